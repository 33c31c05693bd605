"""`zoo bench`: how fast a loaded network is, and how light."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from zoo import benchmarks, registry, tables
from zoo.benchmarks import results
from zoo.benchmarks.forms import USUAL, Setting, check_setting, choose
from zoo.cli import errors, output
from zoo.cli.progress import hint

if TYPE_CHECKING:
    from zoo.benchmarks import Load, Speeds, Startup

ALL = "all"


class Dtype(str, Enum):
    float32 = "float32"
    bfloat16 = "bfloat16"
    float16 = "float16"


class Device(str, Enum):
    cpu = "cpu"
    gpu = "gpu"


def bench(
    names: Annotated[
        list[str] | None,
        typer.Argument(metavar="NAME", help="Registered models, or 'all'.", show_default=False),
    ] = None,
    batch: Annotated[
        list[str] | None,
        typer.Option(
            metavar="N,...", help="Images in a batch; 1,16 by default.", show_default=False
        ),
    ] = None,
    training: Annotated[
        bool, typer.Option("--training", help="Time steps of gradient descent, not inference.")
    ] = False,
    dtype: Annotated[
        Dtype, typer.Option(help="Of the computation; variables stay float32.")
    ] = Dtype.float32,
    device: Annotated[Device, typer.Option(help="What to compute on.")] = Device.cpu,
    forms: Annotated[bool, typer.Option("--forms", help="Measure every form there is.")] = False,
    form: Annotated[
        list[str] | None,
        typer.Option(
            metavar="FORM,...",
            help="Only these forms, such as 'native,jax folded'; an unknown one names all.",
        ),
    ] = None,
    backend: Annotated[
        list[str] | None,
        typer.Option(metavar="BACKEND,...", help="Only forms of these: tensorflow, jax, ..."),
    ] = None,
    mode: Annotated[
        list[str] | None,
        typer.Option(metavar="MODE,...", help="Only forms run so: eager, function, xla, ..."),
    ] = None,
    rounds: Annotated[
        int, typer.Option(min=1, help="How often each is timed; with --startup, how often started.")
    ] = 20,
    timeout: Annotated[
        int,
        typer.Option(
            min=1, metavar="SECONDS", help="That a step may take, with what it compiles at first."
        ),
    ] = 900,
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
            "versions, if PATH is a directory. What it has already is not measured again.",
        ),
    ] = None,
    again: Annotated[
        bool, typer.Option("--again", help="Measure what the CSV file has, too.")
    ] = False,
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Measure the throughput of models, with random values.

    Timed in turn, on a batch that is on the device already: the TF1 function in a Session, the
    loaded model in a tf.function, called eagerly and by predict_on_batch, and its twin in
    keras.applications. With --forms also plain Keras, folded, compiled by XLA, on JAX, PyTorch
    and OpenVINO, and as peers ONNX Runtime and timm, each backend in a process of its own.
    What is not installed, fails or takes too long is a row with the reason.

    Ratios are medians over the rounds, with the quartiles beside them; above 1 the first is
    faster. The exit code is 1 if a ratio or a time misses its target.
    """
    if not names and not startup:
        raise typer.BadParameter("give the names of models to measure, 'all', or --startup.")
    if csv is not None and not (csv.is_dir() or csv.parent.is_dir()):
        raise typer.BadParameter(f"there is no directory {csv.parent}.")
    names = _registered(names or ["resnet_v1_50"])
    if startup:
        if training or forms or form or backend or mode:
            raise typer.BadParameter("--startup measures no forms: give it without any.")
        rows = _Rows(csv, results.result_file_name("startup", "cpu"), keep=False)
        met = _run(_startup(names, rounds), _show_startup, rows, json)
        raise typer.Exit(0 if met else errors.NEGATIVE)
    batches = _numbers(batch or ["1,16"])
    chosen = choose(_split(form), _split(backend), _split(mode))
    options = {
        "work": "training" if training else "inference",
        "dtype": dtype.value,
        "device": device.value,
        "forms": chosen if forms or form or backend or mode else list(USUAL),
        "rounds": rounds,
        "timeout": timeout,
    }
    check_setting(_setting(names[0], options), options["forms"])
    place = results.device_name(device.value)
    kind = "training" if training else "forms"
    file = results.result_file_name(kind, place, dtype.value, layout=results.LAYOUT)
    rows = _Rows(csv, file, keep=not again)
    met = _run(_speeds(names, batches, options, rows, place), _show_speeds, rows, json)
    raise typer.Exit(0 if met else errors.NEGATIVE)


def _setting(name: str, options: dict) -> Setting:
    of_all = {key: options[key] for key in ("work", "dtype", "device")}
    return Setting(name, **of_all, threads=benchmarks.cores())


def _registered(names: Iterable[str]) -> list[str]:
    names = list(names)
    if ALL in names:
        return benchmarks.distinct_models()
    return list(dict.fromkeys(registry.info(name).name for name in names))


def _split(given: Iterable[str] | None) -> list[str]:
    return [part.strip() for text in given or () for part in text.split(",") if part.strip()]


def _numbers(given: Iterable[str]) -> list[int]:
    numbers = _split(given)
    if not numbers or not all(number.isdecimal() and int(number) for number in numbers):
        raise typer.BadParameter(
            f"--batch takes numbers such as 1,16,64, not {', '.join(given)!r}."
        )
    return sorted({int(number) for number in numbers})


class _Rows:
    """The rows of this run, and of the CSV file if there is one, which is written as they come.

    Args:
        csv: the file, or the directory it goes to; None for none.
        name: of the file in a directory.
        keep: what the file has need not be measured again.
    """

    def __init__(self, csv: Path | None, name: str, keep: bool) -> None:
        self.file = csv / name if csv is not None and csv.is_dir() else csv
        there = self.file is not None and self.file.is_file()
        self._old = list(tables.read_csv(self.file)) if there else []
        self._keep = keep
        self.new: list[dict] = []

    def has(self, name: str, batch: int, options: dict, device: str) -> bool:
        """Whether the file has all that is to be measured, so that it need not be."""
        if not self._keep:
            return False
        setting, forms = _setting(name, options), benchmarks.with_reference(options["forms"])
        return results.is_measured(self._old, setting, batch, forms, options["rounds"], device)

    def add(self, rows: list[dict]) -> None:
        self.new += rows
        if self.file is not None:
            tables.write_csv(self.file, results.merged(self._old, self.new))


def _run(
    measure: Iterator[Speeds | Startup | Load], show: Callable, rows: _Rows, json: bool
) -> bool:
    """Shown and written as it comes: measuring takes minutes, and may be interrupted."""
    met = True
    for measured in measure:
        rows.add(measured.to_dicts() if hasattr(measured, "to_dicts") else [measured.to_dict()])
        met = met and measured.met
        if not json:
            show(measured)
            sys.stdout.flush()
    if json:
        output.print_json(rows.new)
    return met


def _speeds(
    names: list[str], batches: list[int], options: dict, rows: _Rows, device: str
) -> Iterator[Speeds]:
    for name in names:
        left = [batch for batch in batches if not rows.has(name, batch, options, device)]
        for batch in sorted(set(batches) - set(left)):
            hint(f"{name}, batches of {batch}: {rows.file} has it (--again measures it anew)")
        if left:
            bar = _Bar()
            measured = benchmarks.measure_speeds(name, batches=left, progress=bar, **options)
            for _ in left:
                with bar.shown():
                    one = next(measured)
                yield one


def _startup(names: list[str], times: int) -> Iterator[Startup | Load]:
    bar = _Bar()
    with bar.shown():
        light = benchmarks.measure_startup(times)
    yield from light
    for name in names:
        with bar.shown():
            load = benchmarks.measure_load(name, times=min(times, 5), progress=bar)
        yield load


class _Bar:
    """A bar on a terminal's stderr, which is there within `shown` alone; to be called as
    (done, total, what)."""

    _update: Callable[[int, int, str], None] | None = None

    def __call__(self, done: int, total: int, what: str) -> None:
        if self._update:
            self._update(done, total, what)

    @contextmanager
    def shown(self) -> Iterator[None]:
        if not sys.stderr.isatty():
            yield
            return
        from rich.console import Console
        from rich.progress import Progress

        with Progress(console=Console(stderr=True), transient=True) as bar:
            task = bar.add_task("Warming up", total=None)
            self._update = lambda done, total, what: bar.update(
                task, description=what, completed=done, total=total
            )
            try:
                yield
            finally:
                self._update = None


_SPEED_HEADER = (
    "MODEL", "BATCH", "FORM", "IMAGES/S", "MS/BATCH", "QUARTILES", "OF ROOFLINE", "COMPILE S",
    "PEAK MIB", "RUNTIME",
)  # fmt: skip
_RATIO_HEADER = ("MODEL", "BATCH", "RATIO", "MEDIAN", "QUARTILES", "TARGET", "")
_STARTUP_HEADER = ("WHAT", "SECONDS", "CPU SECONDS", "TARGET", "PEAK/CHECKPOINT", "TARGET", "")


def _show_speeds(measured: Speeds) -> None:
    output.table(_SPEED_HEADER, [_speed_row(row) for row in measured.to_dicts()])
    if measured.ratios:
        output.table(_RATIO_HEADER, _ratio_rows(measured))


def _speed_row(row: dict) -> tuple[str, ...]:
    name = (row["model"], str(row["batch_size"]), row["form"])
    if row["skipped"]:
        return *name, *[output.NOTHING] * 6, f"skipped: {row['skipped']}"
    share, device_peak = row["of_roofline"], row["device_peak_mib"]
    return (
        *name,
        f"{row['samples_per_sec']:.1f}",
        f"{row['step_time']:.1f}",
        f"{row['step_time_low']:.1f}..{row['step_time_high']:.1f}",
        output.NOTHING if share is None else f"{share:.0%}",
        f"{row['compile_seconds']:.1f}",
        str(row["host_peak_mib"] if device_peak is None else device_peak),
        row["runtime"],
    )


def _ratio_rows(measured: Speeds) -> list[tuple[str, ...]]:
    return [
        (
            measured.model,
            str(measured.batch),
            name,
            f"{ratio.median:.3f}",
            f"{ratio.low:.3f}..{ratio.high:.3f}",
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
