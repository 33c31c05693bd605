"""`zoo list`: the registered models."""

from __future__ import annotations

import re
from typing import Annotated

import typer

from zoo import registry
from zoo.cli import errors, output
from zoo.cli.progress import hint
from zoo.errors import nearest_names
from zoo.registry import ModelSpec


def _number(text: str | int) -> int:
    """5000000, "5_000_000", "5M", "3.5 M" or "800k" as a number above zero."""
    match = re.fullmatch(r"(\d[\d_]*(?:\.\d+)?) *([kmb]?)", str(text).strip().lower())
    if not match or not float(match[1]):
        raise typer.BadParameter(f"{text!r} is no number such as 5000000, 5M or 800k")
    return round(float(match[1]) * {"": 1, "k": 1e3, "m": 1e6, "b": 1e9}[match[2]])


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
    input_size: Annotated[
        int | None,
        typer.Option(metavar="PIXELS", help="Only models for images of this height and width."),
    ] = None,
    min_top1: Annotated[
        float | None,
        typer.Option(metavar="PERCENT", help="Only models of at least this top-1 accuracy."),
    ] = None,
    max_parameters: Annotated[
        int | None,
        typer.Option(
            metavar="NUMBER",
            parser=_number,
            help="Only models of at most as many parameters: 5000000, or 5M.",
        ),
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """List the registered models.

    Shown are the name, family, input size in pixels, number of parameters, published ImageNet
    top-1 accuracy in percent, and the tags of the published checkpoints, the default first.
    """
    glob = pattern if set(pattern) & set("*?[") else f"*{pattern}*"
    filters = {
        "family": family,
        "pretrained": pretrained,
        "input_size": input_size,
        "min_top1": min_top1,
        "max_parameters": max_parameters,
    }
    names = registry.list_models(glob, **filters)
    specs = [registry.info(name) for name in names]
    if json:
        output.print_json([_as_dict(spec) for spec in specs])
    else:
        output.table(_HEADER, [_as_row(spec) for spec in specs])
    if not specs:
        hint(_why_none(pattern, len(registry.list_models(glob))))
        raise typer.Exit(errors.NEGATIVE)


def _why_none(pattern: str, alike_in_name: int) -> str:
    if alike_in_name:
        return f"none of the {alike_in_name} models that match {pattern!r} passes the filters"
    alike = nearest_names(pattern, registry.list_models())
    return f"no model matches {pattern!r}" + (f"; nearest: {', '.join(alike)}" if alike else "")


_HEADER = ("NAME", "FAMILY", "INPUT", "PARAMETERS", "TOP-1", "CHECKPOINTS")


def _as_row(spec: ModelSpec) -> tuple[str, ...]:
    top1 = spec.published_top1
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
        "top1": spec.published_top1,
        "checkpoints": list(spec.checkpoints),
    }
