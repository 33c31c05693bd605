"""`zoo list`: the registered models."""

from __future__ import annotations

from typing import Annotated

import typer

from zoo import registry
from zoo.cli import errors, output
from zoo.cli.progress import hint
from zoo.errors import nearest_names
from zoo.registry import ModelSpec


def list_models(
    pattern: Annotated[
        str,
        typer.Argument(
            metavar="PATTERN", help="A glob such as 'resnet_v?_50', or a part of the name."
        ),
    ] = "*",
    family: Annotated[str | None, typer.Option(help="Only models of this family.")] = None,
    pretrained: Annotated[
        bool | None,
        typer.Option(
            "--pretrained/--no-pretrained",
            help="Only models with, or without, a published checkpoint.",
            show_default=False,
        ),
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """List the registered models.

    Shown are the name, family, input size in pixels, number of parameters, published ImageNet
    top-1 accuracy in percent, and the tags of the published checkpoints, the default first.
    """
    glob = pattern if set(pattern) & set("*?[") else f"*{pattern}*"
    names = registry.list_models(glob, family=family, pretrained=pretrained)
    specs = [registry.info(name) for name in names]
    if json:
        output.print_json([_as_dict(spec) for spec in specs])
    else:
        output.table(_HEADER, [_as_row(spec) for spec in specs])
    if not specs:
        alike = nearest_names(pattern, registry.list_models())
        hint(f"no model matches {pattern!r}" + (f"; nearest: {', '.join(alike)}" if alike else ""))
        raise typer.Exit(errors.NEGATIVE)


_HEADER = ("NAME", "FAMILY", "INPUT", "PARAMETERS", "TOP-1", "CHECKPOINTS")


def _as_row(spec: ModelSpec) -> tuple[str, ...]:
    top1 = _published_top1(spec)
    return (
        spec.name,
        spec.family,
        str(spec.input_size),
        str(spec.parameters) if spec.parameters else output.NOTHING,
        f"{top1:.1f}" if top1 else output.NOTHING,
        ",".join(spec.checkpoints) or output.NOTHING,
    )


def _as_dict(spec: ModelSpec) -> dict:
    return {
        "name": spec.name,
        "family": spec.family,
        "aliases": spec.aliases,
        "input_size": spec.input_size,
        "num_classes": spec.num_classes,
        "parameters": spec.parameters,
        "top1": _published_top1(spec),
        "checkpoints": list(spec.checkpoints),
    }


def _published_top1(spec: ModelSpec) -> float | None:
    """Of the default checkpoint."""
    return spec.checkpoint.published.top1 if spec.checkpoint and spec.checkpoint.published else None
