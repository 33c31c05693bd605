"""`zoo evaluate`: how often a network is right."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from zoo import hub, registry
from zoo.cli import errors, output
from zoo.cli.info import complete_name
from zoo.cli.loading import Ckpt, NumClasses, StripScope, load_arguments
from zoo.cli.progress import hint, variables_bar
from zoo.cli.startup import import_tensorflow
from zoo.errors import ArgumentError

if TYPE_CHECKING:
    from zoo.evaluation.result import Evaluation

_NAMED = 20  # images that cannot be read; --json names all


class Form(str, Enum):
    shim = "shim"
    native = "native"


def evaluate(
    context: typer.Context,
    model: Annotated[
        str,
        typer.Argument(
            metavar="NAME|FILE",
            help="A registered model, hf://OWNER/REPO that one was published to, or a .keras file, "
            "such as zoo finetune makes.",
            autocompletion=complete_name,
        ),
    ],
    data: Annotated[
        str,
        typer.Argument(
            metavar="DATA",
            help="A folder with a subfolder of images for each class, named by its synset id or "
            "name; a folder of images and a file that says what they are; or TFRecord files of "
            "Slim's format, by their folder or pattern.",
        ),
    ],
    ground_truth: Annotated[
        str | None,
        typer.Option(
            "--ground-truth",
            metavar="FILE",
            help="What the images of a flat folder are: ILSVRC2012_validation_ground_truth.txt, "
            "or lines of a name and a class; by default the only text file in the folder.",
        ),
    ] = None,
    labels: Annotated[
        str | None,
        typer.Option(
            "--labels",
            metavar="FILE",
            help="Names of the network's outputs, one a line, if it does not know them.",
        ),
    ] = None,
    label_offset: Annotated[
        int | None,
        typer.Option(
            "--label-offset",
            min=0,
            help="Number of the first class, where numbers tell them: 1 in ImageNet's records.",
        ),
    ] = None,
    form: Annotated[
        Form | None, typer.Option("--form", help="native: as plain Keras layers.")
    ] = None,
    preprocessing: Annotated[
        str | None,
        typer.Option("--preprocessing", metavar="KIND", help="If not the network's own."),
    ] = None,
    batch_size: Annotated[int, typer.Option("--batch-size", min=1)] = 32,
    limit: Annotated[
        int | None,
        typer.Option("--limit", min=1, help="So many images, evenly spread over the data."),
    ] = None,
    by_class: Annotated[
        bool, typer.Option("--by-class", help="Also a table of the data's classes.")
    ] = False,
    mistakes: Annotated[
        int,
        typer.Option(
            "--mistakes", min=0, metavar="N", help="Also the N wrong predictions made most surely."
        ),
    ] = 0,
    registry_row: Annotated[
        bool,
        typer.Option("--registry-row", help="Print the YAML for `measured:` in registry.yaml."),
    ] = False,
    state: Annotated[
        str | None,
        typer.Option("--state", metavar="FILE", help="Where to keep the state, if not the cache."),
    ] = None,
    restart: Annotated[
        bool, typer.Option("--restart", help="Begin anew, whatever was counted before.")
    ] = False,
    ckpt: Ckpt = None,
    num_classes: NumClasses = None,
    strip_scope: StripScope = None,
    csv: Annotated[
        Path | None,
        typer.Option("--csv", metavar="PATH", help="Write a row; with --by-class one a class."),
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Measure a network's top-1 and top-5 accuracy on labelled images.

    The images are preprocessed as Slim's evaluation does it, one crop each. What was interrupted
    goes on when the same command is given again. Images that cannot be read are named and left
    out. The exit code is 1 if the registry's own checkpoint is not as accurate as published.
    """
    is_saved = model.endswith(".keras")
    if is_saved and (ckpt, num_classes, strip_scope) != (None, None, None):
        raise typer.BadParameter("a .keras file has its own weights: no --ckpt and the like.")
    if registry_row and (ckpt, limit) != (None, None):
        raise typer.BadParameter("a row of the registry is of its own checkpoint and all images.")
    if csv is not None and not csv.expanduser().parent.is_dir():
        raise typer.BadParameter(f"there is no directory {csv.parent}.")
    if not is_saved and not hub.is_address(model):
        registry.info(model)
    import_tensorflow(debug=context.obj)
    from zoo.evaluation.evaluating import measure
    from zoo.evaluation.sources import check_data
    from zoo.evaluation.subject import subject_of

    check_data(data)
    given = load_arguments(ckpt, num_classes, strip_scope)
    given = {key: value for key, value in given.items() if value is not None}
    with variables_bar() as progress:
        subject = subject_of(
            model,
            form=form and form.value,
            labels=labels,
            preprocessing=preprocessing,
            progress=progress,
            **given,
        )
    with _images_bar() as progress:
        result = measure(
            subject,
            data,
            ground_truth=ground_truth,
            label_offset=label_offset,
            batch_size=batch_size,
            limit=limit,
            state=state,
            restart=restart,
            progress=progress,
        )
    row, refused = _registry_row(result) if registry_row else (None, None)
    if json:
        more = {"by_class": result.by_class()} if by_class else {}
        more |= {"mistakes": result.mistakes(mistakes)} if mistakes else {}
        more |= {"registry_row": row} if registry_row else {}
        output.print_json({**result.to_dict(), **more})
    else:
        _show(result, by_class, mistakes, row)
    # What may fail comes when the figures are out: they may have taken hours.
    if csv is not None:
        _write_csv(csv.expanduser(), result, by_class)
    if refused is not None:
        raise refused
    comparison = result.comparison
    differs = comparison is not None and comparison.verdict == "differs"
    raise typer.Exit(errors.NEGATIVE if differs and result.registered else 0)


@contextmanager
def _images_bar() -> Iterator[Callable[[int, int, str], None] | None]:
    """A bar on a terminal's stderr: images, their rate, the time that is left, top-1 so far."""
    if not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
    )

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.speed:.1f} images/s"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = None

        def show(done: int, total: int, text: str) -> None:
            nonlocal task
            if task is None:  # what an earlier run has done is not in the rate
                task = bar.add_task(text, total=total, completed=done)
            bar.update(task, description=text, completed=done)

        yield show


def _write_csv(path: Path, result: Evaluation, by_class: bool) -> None:
    from zoo.tables import write_csv

    write_csv(path, result.by_class() if by_class else [result.to_row()])


def _registry_row(result: Evaluation) -> tuple[str | None, ArgumentError | None]:
    """The row, or why there is none."""
    try:
        return result.registry_row(), None
    except ArgumentError as error:
        return None, error


def _show(result: Evaluation, by_class: bool, mistakes: int, row: str | None) -> None:
    print(output.emphasize(output.printable(result.model)))
    output.facts(_facts(result))
    if by_class:
        print()
        header = ("INDEX", "SYNSET", "IMAGES", "TOP-1", "TOP-5", "NAME", "TAKEN FOR")
        output.table(header, [_class_row(row) for row in result.by_class()])
    if mistakes:
        print()
        header = ("PROB", "IMAGE", "IS", "TAKEN FOR")
        output.table(header, [_mistake_row(row) for row in result.mistakes(mistakes)])
    for skipped in result.skipped[:_NAMED]:
        hint(f"left out: {output.printable(skipped)}")
    if len(result.skipped) > _NAMED:
        hint(f"left out: {len(result.skipped) - _NAMED} more (--json names all)")
    if row is not None:
        print()
        print(row, end="")


def _facts(result: Evaluation) -> Iterator[tuple[str, str]]:
    left_out = f", {len(result.skipped)} left out" if result.skipped else ""
    limit = f", of a limit of {result.limit:,}" if result.limit else ""
    yield "images", f"{result.images:,} of {result.classes:,} classes{left_out}{limit}"
    yield "top-1", f"{result.top1:.2f} % (standard error {result.top1_error:.2f})"
    if result.top5 is not None:
        yield "top-5", f"{result.top5:.2f} % (standard error {result.top5_error:.2f})"
    yield "mean loss", f"{result.mean_loss:.4f}"
    if result.broken:
        yield "broken", f"{result.broken} images with infinite or NaN outputs, counted as wrong"
    yield "computed", f"{result.form}, {result.dtype}"
    yield "preprocessing", result.preprocessing
    comparison = result.comparison
    if comparison is None:
        return
    theirs = comparison.published
    top5 = f", top-5 {theirs.top5:g} %" if theirs.top5 is not None else ""
    yield "published", f"top-1 {theirs.top1:g} %{top5} ({theirs.by}, {comparison.checkpoint})"
    top5 = f", top-5 {comparison.top5:+.2f}" if comparison.top5 is not None else ""
    yield "difference", f"top-1 {comparison.top1:+.2f}{top5} points"
    whose = "" if result.registered else " (your weights need not be that checkpoint's)"
    yield "verdict", f"{comparison.verdict}: {comparison.why}{whose}"


def _class_row(row: dict) -> tuple[str, ...]:
    return (
        str(row["index"]),
        row["synset"] or output.NOTHING,
        str(row["images"]),
        f"{row['top1']:.1f}",
        output.NOTHING if row["top5"] is None else f"{row['top5']:.1f}",
        row["name"],
        row["taken_for"] or output.NOTHING,
    )


def _mistake_row(row: dict) -> tuple[str, ...]:
    return f"{row['probability']:.4f}", row["image"], row["right_name"], row["predicted_name"]
