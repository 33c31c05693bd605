"""`zoo bench`: how fast a loaded network is, and how light."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from zoo import benchmarks, registry
from zoo.benchmarks import results
from zoo.cli import errors, output
from zoo.cli.startup import import_tensorflow

if TYPE_CHECKING:
    from zoo.benchmarks import Load, Startup, Throughput


def bench(
    context: typer.Context,
    names: Annotated[
        list[str] | None,
        typer.Argument(metavar="NAME", help="Registered models.", show_default=False),
    ] = None,
    batch: Annotated[int, typer.Option(min=1, help="Images in a batch.")] = 16,
    rounds: Annotated[
        int, typer.Option(min=1, help="How often each is timed; with --startup, how often started.")
    ] = 20,
    startup: Annotated[
        bool,
        typer.Option(
            "--startup",
            help="Measure the start of Python code and commands, and loading a checkpoint of "
            "random values (of resnet_v1_50 if no NAME is given), instead of throughput.",
        ),
    ] = False,
    csv: Annotated[
        Path | None,
        typer.Option(
            metavar="PATH",
            help="Write the rows to this file; to a file whose name says device, dtype and "
            "versions, if PATH is a directory.",
        ),
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Measure the throughput of loaded models, with random values.

    Measured in turn in one process: the TF1 function in a Session, the loaded model in a
    tf.function, called eagerly and by predict_on_batch, and its twin in keras.applications if
    there is one. A ratio is the median over the rounds, with the quartiles beside it; above 1
    the first is faster. The exit code is 1 if a ratio or a time misses its target.
    """
    if not names and not startup:
        raise typer.BadParameter("give the names of models to measure, or --startup.")
    names = [registry.info(name).name for name in names or ["resnet_v1_50"]]
    if csv is not None and not (csv.is_dir() or csv.parent.is_dir()):
        raise typer.BadParameter(f"there is no directory {csv.parent}.")
    if csv is not None and csv.is_dir():
        csv = csv / _file_name(context, startup)
    measure = _startup(names, rounds) if startup else _throughput(context, names, batch, rounds)
    rows, met = [], True
    # Shown and written as it comes: measuring takes minutes, and may be interrupted.
    for measured in measure:
        rows.append(measured.to_dict())
        met = met and measured.met
        if not json:
            _show_startup(measured) if startup else _show_throughput(measured)
            sys.stdout.flush()
        if csv is not None:
            results.write_csv(csv, rows)
    if json:
        output.print_json(rows)
    raise typer.Exit(0 if met else errors.NEGATIVE)


def _file_name(context: typer.Context, startup: bool) -> str:
    import_tensorflow(debug=context.obj)
    return results.result_file_name("startup" if startup else "benchmark", results.device_name())


def _throughput(context, names: list[str], batch: int, rounds: int) -> Iterator[Throughput]:
    import_tensorflow(debug=context.obj)
    import keras

    for name in names:
        with _rounds_bar() as progress:
            measured = benchmarks.measure_throughput(
                name, batch=batch, rounds=rounds, progress=progress
            )
        yield measured
        keras.backend.clear_session()


def _startup(names: list[str], times: int) -> Iterator[Startup | Load]:
    with _rounds_bar():
        light = benchmarks.measure_startup(times)
    yield from light
    for name in names:
        with _rounds_bar() as progress:
            load = benchmarks.measure_load(name, times=min(times, 5), progress=progress)
        yield load


@contextmanager
def _rounds_bar() -> Iterator[Callable[[int, int, str], None] | None]:
    """A bar on a terminal's stderr, started anew for each network."""
    if not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("Warming up", total=None)

        def show(done: int, total: int, name: str) -> None:
            bar.update(task, description=name, completed=done, total=total)

        yield show


def _show_throughput(measured: Throughput) -> None:
    output.table(_SPEED_HEADER, _speed_rows(measured))
    output.table(_RATIO_HEADER, _ratio_rows(measured))


_SPEED_HEADER = ("MODEL", "WAY", "IMAGES/S", "MS/BATCH")
_RATIO_HEADER = ("MODEL", "RATIO", "MEDIAN", "QUARTILES", "CPU TIME", "TARGET", "")
_STARTUP_HEADER = ("WHAT", "SECONDS", "CPU SECONDS", "TARGET", "PEAK/CHECKPOINT", "TARGET", "")


def _speed_rows(measured: Throughput) -> list[tuple[str, ...]]:
    return [
        (
            measured.model,
            f"keras {measured.twin}" if way == "keras" else way,
            f"{measured.images_per_second(way):.1f}",
            f"{1e3 * measured.batch / measured.images_per_second(way):.1f}",
        )
        for way in measured.seconds
    ]


def _ratio_rows(measured: Throughput) -> list[tuple[str, ...]]:
    return [
        (
            measured.model,
            name,
            f"{ratio.median:.3f}",
            f"{ratio.low:.3f}..{ratio.high:.3f}",
            f"{ratio.cpu:.3f}",
            f">= {ratio.target}",
            _verdict(ratio.met),
        )
        for name, ratio in measured.ratios.items()
    ]


def _show_startup(measured: Startup | Load) -> None:
    row = measured.to_dict()
    peak = row.get("peak_over_checkpoint")
    cells = (
        row["what"],
        f"{row['seconds']:.3f}",
        f"{row['cpu_seconds']:.3f}",
        f"<= {row['target_seconds']}",
        output.NOTHING if peak is None else f"{peak:.2f}",
        output.NOTHING if peak is None else f"<= {row['target_peak_over_checkpoint']}",
        "imports TensorFlow" if row.get("imports_tensorflow") else _verdict(measured.met),
    )
    output.table(_STARTUP_HEADER, [cells])


def _verdict(met: bool) -> str:
    return "met" if met else "MISSED"
