"""`zoo verify`: is the loaded network still the TF1 graph's function?"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from zoo import registry
from zoo.cli import errors, output
from zoo.cli.info import Name
from zoo.cli.loading import Ckpt, NumClasses, StripScope, load_arguments
from zoo.cli.progress import variables_bar
from zoo.cli.startup import import_tensorflow

if TYPE_CHECKING:
    from zoo.validation import EndPointDifference


def verify(
    context: typer.Context,
    name: Name,
    ckpt: Ckpt = None,
    random: Annotated[
        bool,
        typer.Option(
            "--random",
            help="Compare with random values, drawn by the network's TF1 initializers; needs "
            "no checkpoint and no network connection.",
        ),
    ] = False,
    num_classes: NumClasses = None,
    strip_scope: StripScope = None,
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Compare a loaded model with its TF1 graph.

    The graph runs in a tf.compat.v1.Session in the same process, on the same values.

    Shown for each end point and the logits: the largest absolute difference over the largest
    absolute value. The exit code is 1 if one of them is further apart than its tolerance.
    """
    if random and ckpt is not None:
        raise typer.BadParameter("--random takes no --ckpt: it compares random values.")
    registry.info(name)
    import_tensorflow(debug=context.obj)
    from zoo.validation import verify as run

    with variables_bar() as progress:
        report = run(
            name,
            weights=None if random else "published",
            progress=progress,
            **load_arguments(ckpt, num_classes, strip_scope),
        )
    if json:
        output.print_json(report.to_dict())
    else:
        rows = (*report.end_points, report.logits)
        output.table(
            ("END POINT", "SHAPE", "DIFFERENCE", "TOLERANCE", ""), [_as_row(row) for row in rows]
        )
        if output.is_terminal():
            print()
        verdict, color = ("PASSED", "green") if report.passed else ("FAILED", "red")
        print(f"{output.emphasize(verdict, color)}  {output.printable(str(report))}")
    raise typer.Exit(0 if report.passed else errors.NEGATIVE)


def _as_row(row: EndPointDifference) -> tuple[str, ...]:
    return (
        row.name,
        "x".join(map(str, row.shape)),
        f"{row.difference:.1e}",
        f"{row.tolerance:.0e}",
        "ok" if row.passed else "DIFFERENT",
    )
