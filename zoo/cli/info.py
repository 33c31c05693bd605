"""`zoo info`: all that is known of a model."""

from __future__ import annotations

import dataclasses
import glob
from collections.abc import Iterator
from typing import Annotated

import typer

from zoo import hub, registry
from zoo.cli import output
from zoo.hub.progress import bytes_text
from zoo.registry import Accuracy, CheckpointSpec, ModelSpec, Paper, SourceSpec


def complete_name(incomplete: str) -> list[str]:
    """Model names for the shell's completion."""
    return [name for name in registry.list_models() if name.startswith(incomplete)]


# The argument that every command about one model begins with.
Name = Annotated[
    str,
    typer.Argument(
        metavar="NAME",
        help="A model's name, alias, or name.tag of one of its checkpoints.",
        autocompletion=complete_name,
    ),
]


def info(
    name: Name,
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Show all that is known of a model.

    With name.tag only that checkpoint of the published ones is shown.
    """
    spec = registry.info(name)
    checkpoints = _shown_checkpoints(spec, name)
    default = next(iter(spec.checkpoints.values()), None)
    if json:
        output.print_json(_as_dict(spec, checkpoints))
        return
    print(output.emphasize(spec.name))
    output.facts(_model_facts(spec))
    for checkpoint in checkpoints:
        mark = " (default)" if checkpoint == default else ""
        print("\n" + output.emphasize(f"checkpoint {checkpoint.full_name}") + mark)
        output.facts(_checkpoint_facts(checkpoint))


def _shown_checkpoints(spec: ModelSpec, name: str) -> list[CheckpointSpec]:
    """The one whose tag was given, else all, the default first."""

    def plain(text: str) -> str:
        return text.strip().lower().replace("-", "_")

    chosen = spec.checkpoint
    if chosen is not None and plain(name).endswith(f".{plain(chosen.tag)}"):
        return [chosen]
    return list(spec.checkpoints.values())


def _cached(checkpoint: CheckpointSpec) -> list[hub.CachedFile]:
    return hub.list_cached(glob.escape(checkpoint.full_name))


def _as_dict(spec: ModelSpec, checkpoints: list[CheckpointSpec]) -> dict:
    values = dataclasses.asdict(spec)
    values["adapter"] = _adapter(spec)
    values["checkpoint"] = spec.checkpoint and spec.checkpoint.full_name
    values["checkpoints"] = {
        checkpoint.tag: {
            **dataclasses.asdict(checkpoint),
            "cached": [
                {**dataclasses.asdict(file), "path": str(file.path)} for file in _cached(checkpoint)
            ],
        }
        for checkpoint in checkpoints
    }
    return values


def _adapter(spec: ModelSpec) -> str:
    if isinstance(spec.adapter, str):
        return spec.adapter
    return f"{spec.adapter.__module__}:{spec.adapter.__qualname__}"


def _model_facts(spec: ModelSpec) -> Iterator[tuple[str, str]]:
    yield "family", spec.family
    if spec.aliases:
        yield "aliases", ", ".join(spec.aliases)
    frames = f"{spec.frames} frames of " if spec.frames else ""
    grey = ", grey" if spec.channels == 1 else ""
    yield "input", f"{frames}{spec.input_size} x {spec.input_size} pixels{grey}"
    yield "preprocessing", spec.preprocessing
    background = ", index 0 is the background" if spec.label_offset == 1 else ""
    yield "classes", f"{spec.num_classes}{background}"
    yield "label offset", str(spec.label_offset)
    if spec.parameters is not None:
        yield "parameters", f"{spec.parameters:,}"
    yield "adapter", _adapter(spec)
    if spec.arguments:
        yield "arguments", ", ".join(f"{key}={value!r}" for key, value in spec.arguments.items())
    if spec.golden:
        yield "golden values", spec.golden
    if spec.paper:
        yield "paper", _paper_text(spec.paper)
        if spec.paper.url:
            yield "", spec.paper.url
    if not spec.checkpoints:
        yield "checkpoints", "none is published; give your own with --ckpt"


def _paper_text(paper: Paper) -> str:
    by = ", ".join(str(part) for part in (paper.authors, paper.year) if part)
    return f"{paper.title} ({by})" if by else paper.title


def _checkpoint_facts(checkpoint: CheckpointSpec) -> Iterator[tuple[str, str]]:
    yield "licence", checkpoint.licence or "not stated"
    if checkpoint.note:
        yield "note", checkpoint.note
    if checkpoint.published:
        yield "published accuracy", _accuracy_text(checkpoint.published)
    for accuracy in checkpoint.measured:
        yield "re-measured", _accuracy_text(accuracy)
    for source in checkpoint.sources:
        yield from _source_facts(source)
    files = _cached(checkpoint)
    for file in files:
        yield "cached", f"{file.path} ({bytes_text(file.size)}, fetched {file.fetched})"
    if not files:
        yield "cached", "no"


def _accuracy_text(accuracy: Accuracy) -> str:
    top5 = f", top-5 {accuracy.top5:g} %" if accuracy.top5 is not None else ""
    rest = "; ".join(part for part in (accuracy.by, accuracy.note) if part)
    return f"top-1 {accuracy.top1:g} %{top5}" + (f" ({rest})" if rest else "")


def _source_facts(source: SourceSpec) -> Iterator[tuple[str, str]]:
    options = dict(source.options)
    mirrors = options.pop("mirrors", ())
    yield "source", f"{source.kind}: {' '.join(str(value) for value in options.values())}"
    for mirror in mirrors:
        yield "  mirror", mirror
    if source.member:
        yield "  member", source.member
    if source.size is not None:
        yield "  size", f"{source.size} bytes ({bytes_text(source.size)})"
    if source.digest:
        yield f"  {source.algorithm}", source.digest
    else:
        yield "  hash", "none is published; recorded on first use"
