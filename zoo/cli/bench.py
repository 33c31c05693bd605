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
    from zoo.benchmarks import FormSpeeds, Load, Startup, Throughput


def bench(
    context: typer.Context,
    names: Annotated[
        list[str] | None,
        typer.Argument(metavar="NAME", help="Registered models.", show_default=False),
    ] = None,
    batch: Annotated[
        int, typer.Option(min=1, help="Images in a batch; with --forms, 1 and this many.")
    ] = 16,
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
    forms: Annotated[
        bool,
        typer.Option(
            "--forms",
            help="Measure every form that zoo gives a network (TF1 code, plain Keras, folded; on "
            "TensorFlow, JAX, PyTorch and OpenVINO) against ONNX Runtime and timm's twin, on the "
            "CPU, each backend in a process of its own. What is not installed is skipped.",
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
    the first is faster. With --forms the ratio is that of zoo's fastest form to the fastest peer.
    The exit code is 1 if a ratio or a time misses its target.
    """
    if startup and forms:
        raise typer.BadParameter("--startup and --forms are measured one at a time.")
    if not names and not startup:
        raise typer.BadParameter("give the names of models to measure, or --startup.")
    names = [registry.info(name).name for name in names or ["resnet_v1_50"]]
    if csv is not None and not (csv.is_dir() or csv.parent.is_dir()):
        raise typer.BadParameter(f"there is no directory {csv.parent}.")
    if csv is not None and csv.is_dir():
        csv = csv / _file_name(context, startup, forms)
    if startup:
        measure, show = _startup(names, rounds), _show_startup
    elif forms:
        measure, show = _forms(names, batch, rounds), _show_forms
    else:
        measure, show = _throughput(context, names, batch, rounds), _show_throughput
    rows, met = [], True
    # Shown and written as it comes: measuring takes minutes, and may be interrupted.
    for measured in measure:
        rows += measured.to_dicts() if forms else [measured.to_dict()]
        met = met and measured.met
        if not json:
            show(measured)
            sys.stdout.flush()
        if csv is not None:
            results.write_csv(csv, rows)
    if json:
        output.print_json(rows)
    raise typer.Exit(0 if met else errors.NEGATIVE)


def _file_name(context: typer.Context, startup: bool, forms: bool) -> str:
    if forms:
        return results.result_file_name("forms", "cpu")
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


def _forms(names: list[str], batch: int, rounds: int) -> Iterator[FormSpeeds]:
    for name in names:
        with _rounds_bar() as progress:
            measured = list(
                benchmarks.measure_forms(
                    name, batches=sorted({1, batch}), rounds=rounds, progress=progress
                )
            )
        yield from measured


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
_FORMS_HEADER = (
    "MODEL",
    "BATCH",
    "FORM",
    "IMAGES/S",
    "MS/BATCH",
    "QUARTILES",
    "CPU MS/BATCH",
    "RUNTIME",
)
_BEST_HEADER = ("MODEL", "BATCH", "BEST/BEST PEER", "MEDIAN", "QUARTILES", "TARGET", "")
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


def _show_forms(measured: FormSpeeds) -> None:
    output.table(_FORMS_HEADER, [_form_row(measured, row) for row in measured.to_dicts()])
    if measured.best_peer is None:
        return
    ratio = measured.over_best_peer(measured.best)
    cells = (
        measured.model,
        str(measured.batch),
        f"{measured.best} / {measured.best_peer}",
        f"{ratio.median:.3f}",
        f"{ratio.low:.3f}..{ratio.high:.3f}",
        ">= 1",
        _verdict(measured.met),
    )
    output.table(_BEST_HEADER, [cells])


def _form_row(measured: FormSpeeds, row: dict) -> tuple[str, ...]:
    name = (measured.model, str(measured.batch), row["form"])
    if row["skipped"]:
        return *name, *[output.NOTHING] * 4, f"skipped: {row['skipped']}"
    return (
        *name,
        f"{row['samples_per_sec']:.1f}",
        f"{row['step_time']:.1f}",
        f"{row['step_time_low']:.1f}..{row['step_time_high']:.1f}",
        f"{row['cpu_time']:.1f}",
        row["runtime"],
    )


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
