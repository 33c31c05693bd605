"""Throughput of every form that zoo gives a network, and of what runs the same network elsewhere.

A process has one Keras backend, so each backend and each peer has a process of its own
(form_worker.py), which stays: they are timed in turn, round after round, while the others sleep.
All of them take the same NumPy batch and give NumPy probabilities, on the CPU, on equally many
threads.
"""

from __future__ import annotations

import contextlib
import importlib.util
import os
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from zoo import registry
from zoo.benchmarks.spread import Spread
from zoo.benchmarks.worker_process import WorkerError, WorkerProcess
from zoo.errors import ArgumentError, nearest_names


@dataclass(frozen=True)
class Form:
    """One way to run a network.

    Attributes:
        worker: the process that it runs in; forms of one backend share theirs.
        what: it is, in words.
        file: what the process is given, as the TensorFlow process writes it; "" for nothing.
        needs: Python modules, none of which zoo's own installation brings.
        is_peer: somebody else's.
    """

    worker: str
    what: str
    file: str = ""
    needs: tuple[str, ...] = ()
    is_peer: bool = False


_OPENVINO = ("openvino",)
_TORCH = ("torch",)
_TIMM = ("torch", "timm")

# In this order within a round.
FORMS = {
    "session": Form("tensorflow", "the TF1 function in a tf.Graph, by session.run"),
    "shim": Form("tensorflow", "the loaded model in a tf.function"),
    "native": Form("tensorflow", "zoo.to_native in a tf.function"),
    "folded": Form("tensorflow", "with batch normalization folded, in a tf.function"),
    "frozen": Form("tensorflow", "the same with its weights as constants"),
    "jax native": Form("jax", "zoo.to_native on JAX, jitted", "native.keras", ("jax",)),
    "jax folded": Form("jax", "folded, on JAX, jitted", "folded.keras", ("jax",)),
    "torch native": Form("torch", "zoo.to_native on PyTorch, compiled", "native.keras", _TORCH),
    "torch folded": Form("torch", "folded, on PyTorch, compiled", "folded.keras", _TORCH),
    "openvino folded": Form(
        "openvino", "folded, on Keras's OpenVINO backend", "folded.keras", _OPENVINO
    ),
    "openvino exported": Form(
        "openvino", "folded, as Keras exports it to OpenVINO", "folded.xml", _OPENVINO
    ),
    "onnxruntime": Form(
        "onnxruntime",
        "the TF1 graph in ONNX Runtime",
        "tf1.onnx",
        ("onnxruntime", "tf2onnx"),
        is_peer=True,
    ),
    "timm": Form("timm", "timm's twin, channels last, eager", "", _TIMM, is_peer=True),
    "timm compiled": Form("timm", "timm's twin, channels last, compiled", "", _TIMM, is_peer=True),
}

# What every other form's output is held against; always measured.
_REFERENCE = "session"

# Adapter -> (timm's name of the network, what is not the same). With arguments other than these
# it is another network.
_TIMM_TWINS = {
    "zoo.adapters.mobilenet_v1:MobileNetV1": ("mobilenetv1_100", {"depth_multiplier": 1.0}),
    "zoo.adapters.resnet_v1:ResNetV1_50": ("resnet50", {}),
    "zoo.adapters.resnet_v1:ResNetV1_101": ("resnet101", {}),
    "zoo.adapters.resnet_v1:ResNetV1_152": ("resnet152", {}),
    "zoo.adapters.inception:InceptionV3": ("inception_v3", {}),
}

# A turn takes at least so long, in as many calls as that takes, after one that is not timed: the
# process has slept, and what the caches hold is another's.
_SECONDS_A_TURN = 0.3
# Thread pools spin a while before they sleep, which would be at the next one's cost.
_PAUSE = 0.05


@dataclass(frozen=True)
class FormSpeeds:
    """What was measured of one network at one batch size.

    Attributes:
        model: registered name.
        batch: images in a batch.
        image_size: height and width, pixels.
        threads: that each process had.
        load: the system's load average before; None where it has none.
        seconds: of one batch, in each round, by form.
        cpu_seconds: the same, of processor time.
        runtimes: what ran a form, and how, such as "torch 2.13.0, compiled".
        skipped: form -> why it was not measured.
    """

    model: str
    batch: int
    image_size: int
    threads: int
    load: float | None
    seconds: dict[str, list[float]] = field(repr=False)
    cpu_seconds: dict[str, list[float]] = field(repr=False)
    runtimes: dict[str, str] = field(repr=False)
    skipped: dict[str, str]

    @property
    def best(self) -> str:
        """zoo's fastest form, by the median over the rounds."""
        return self._fastest(is_peer=False)

    @property
    def best_peer(self) -> str | None:
        """The fastest peer; None if there was none to measure."""
        return self._fastest(is_peer=True)

    @property
    def met(self) -> bool:
        """Whether zoo's best form at least equals the best peer."""
        return self.best_peer is None or self.over_best_peer(self.best).median >= 1

    def _fastest(self, is_peer: bool) -> str | None:
        """The Session is TensorFlow's, and not a form that zoo gives a network."""
        of_kind = [
            form for form in self.seconds if FORMS[form].is_peer == is_peer and form != _REFERENCE
        ]
        return max(of_kind, key=self.images_per_second, default=None)

    def images_per_second(self, form: str) -> float:
        return self.batch / Spread.of(self.seconds[form]).median

    def over_best_peer(self, form: str) -> Spread | None:
        """The throughput of a form in that of the best peer, taken in each round."""
        if self.best_peer is None:
            return None
        theirs = self.seconds[self.best_peer]
        return Spread.of([b / a for a, b in zip(self.seconds[form], theirs, strict=True)])

    def to_dicts(self) -> list[dict]:
        """A flat row for each form, those skipped too, for CSV and JSON; times in milliseconds."""
        return [self._row(form) for form in FORMS if form in {**self.seconds, **self.skipped}]

    def _row(self, form: str) -> dict:
        row = {
            "model": self.model,
            "batch_size": self.batch,
            "img_size": self.image_size,
            "form": form,
            "is_peer": FORMS[form].is_peer,
            "runtime": self.runtimes.get(form),
            "threads": self.threads,
            "load": self.load,
            "rounds": len(self.seconds[_REFERENCE]),
        }
        speeds = dict.fromkeys(
            ("samples_per_sec", "step_time", "step_time_low", "step_time_high", "cpu_time")
        )
        ratio = None
        if form in self.seconds:
            spread = Spread.of(self.seconds[form])
            speeds = {
                "samples_per_sec": round(self.batch / spread.median, 2),
                "step_time": round(1e3 * spread.median, 3),
                "step_time_low": round(1e3 * spread.low, 3),
                "step_time_high": round(1e3 * spread.high, 3),
                "cpu_time": round(1e3 * Spread.of(self.cpu_seconds[form]).median, 3),
            }
            ratio = self.over_best_peer(form)
        for part in ("median", "low", "high"):
            key = "over_best_peer" + ("" if part == "median" else f"_{part}")
            speeds[key] = round(getattr(ratio, part), 3) if ratio else None
        return {**row, **speeds, "skipped": self.skipped.get(form)}


def measure_forms(
    name: str,
    *,
    batches: Sequence[int] = (1, 16),
    rounds: int = 10,
    threads: int | None = None,
    forms: Sequence[str] | None = None,
    progress: Callable[[int, int, str], None] | None = None,
) -> Iterator[FormSpeeds]:
    """Measures every form of a registered network with random values, and its peers.

    Args:
        name: a registered name.
        batches: numbers of images in a batch.
        rounds: how often each form has its turn.
        threads: of each process; as many as there are cores by default.
        forms: names in `FORMS` to measure besides "session"; all by default.
        progress: called as (done, total, what) after each preparation and round.

    Yields:
        What was measured, for each batch size. What is not installed, or does not start, is
        in `skipped`.

    Raises:
        UnknownModelError: no registered model has this name.
        ArgumentError: a number below 1, or a form that there is not.
        RuntimeError: forms do not compute the same, or the TensorFlow process failed.
    """
    for argument, value in [("rounds", rounds), ("threads", threads or 1), *_named(batches)]:
        if value < 1:
            raise ArgumentError(f"{argument} is 1 or more.", received=f"{argument}={value}")
    spec = registry.info(name)
    wanted = _wanted(forms)
    threads = min(threads or _cores(), _cores())
    return _measure(spec, batches, rounds, threads, wanted, progress or (lambda *done: None))


def _named(batches: Sequence[int]) -> list[tuple[str, int]]:
    return [("batches", batch) for batch in batches]


def _wanted(forms: Sequence[str] | None) -> list[str]:
    for form in forms or ():
        if form not in FORMS:
            raise ArgumentError(
                "There is no such form to measure.",
                received=form,
                accepted=", ".join(FORMS),
                nearest=nearest_names(form, FORMS),
            )
    return [form for form in FORMS if forms is None or form in forms or form == _REFERENCE]


def _measure(spec, batches, rounds, threads, wanted, progress) -> Iterator[FormSpeeds]:
    load = round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else None
    with _Sides(spec, threads) as sides:
        for done, form in enumerate(wanted):
            progress(done, len(wanted), f"{spec.name}: {form}")
            sides.prepare(form)
        for batch in batches:
            images = sides.images(batch)
            sides.check(images)
            seconds, cpu_seconds = sides.time_in_turn(
                images,
                rounds,
                lambda done, batch=batch: progress(
                    done, rounds, f"{spec.name}, batches of {batch}"
                ),
            )
            yield FormSpeeds(
                model=spec.name,
                batch=batch,
                image_size=spec.input_size,
                threads=threads,
                load=load,
                seconds=seconds,
                cpu_seconds=cpu_seconds,
                runtimes=dict(sides.runtimes),
                skipped=dict(sides.skipped),
            )


class _Sides:
    """The processes, and which forms they are ready to run."""

    def __init__(self, spec: registry.ModelSpec, threads: int) -> None:
        self.spec, self.threads = spec, threads
        self.runtimes: dict[str, str] = {}
        self.skipped: dict[str, str] = {}
        self._workers: dict[str, WorkerProcess] = {}

    def __enter__(self) -> _Sides:
        with contextlib.ExitStack() as stack:
            folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="zoo-bench-"))
            self._folder = Path(folder)
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *error) -> None:
        self._stack.close()

    def prepare(self, form: str) -> None:
        """Makes a form ready to run, or has it in `skipped`."""
        twin = timm_twin(self.spec)
        missing = [module for module in FORMS[form].needs if not _is_installed(module)]
        if missing:
            self.skipped[form] = f"{', '.join(missing)} not installed"
        elif FORMS[form].worker == "timm" and twin is None:
            self.skipped[form] = "timm has no twin of it"
        else:
            try:
                self._write(FORMS[form].file)
                answer = self._worker(FORMS[form].worker).ask("prepare", form=form, twin=twin)
                self.runtimes[form] = answer["runtime"]
            except WorkerError as error:
                # The others of its process go on, if it does.
                if FORMS[form].worker == "tensorflow":
                    raise
                self.skipped[form] = str(error)

    def _worker(self, name: str) -> WorkerProcess:
        if name not in self._workers:
            worker = WorkerProcess(name, self.spec.name, self._folder, self.threads)
            self._workers[name] = self._stack.enter_context(worker)
        return self._workers[name]

    def _write(self, file: str) -> None:
        if file and not (self._folder / file).exists():
            self._worker("tensorflow").ask("write", file=file)

    def images(self, batch: int) -> Path:
        path = self._folder / f"images_{batch}.npy"
        size = self.spec.image_shape
        np.save(path, np.random.RandomState(0).uniform(-1, 1, (batch, *size)).astype(np.float32))
        return path

    def check(self, images: Path) -> None:
        """Speed counts only where the result is right; and warms up."""
        outputs = {form: self._output(form, images) for form in list(self.runtimes)}
        check_outputs(self.spec.name, {f: made for f, made in outputs.items() if made is not None})

    def _output(self, form: str, images: Path) -> np.ndarray | None:
        path = self._folder / "output.npy"
        try:
            self._worker(FORMS[form].worker).ask("run", form=form, images=str(images), to=str(path))
        except WorkerError as error:  # What compiles does so at its first call.
            if FORMS[form].worker == "tensorflow":
                raise
            self.skipped[form] = str(error)
            del self.runtimes[form]
            return None
        return np.load(path, allow_pickle=False)

    def time_in_turn(
        self, images: Path, rounds: int, progress: Callable[[int], object]
    ) -> tuple[dict[str, list[float]], dict[str, list[float]]]:
        """Seconds, and processor seconds, of a batch, by form: A B C, B C A, C A B, ..."""
        forms = list(self.runtimes)
        seconds: dict[str, list[float]] = {form: [] for form in forms}
        cpu_seconds: dict[str, list[float]] = {form: [] for form in forms}
        for done in range(rounds):
            first = done % len(forms)
            for form in forms[first:] + forms[:first]:
                time.sleep(_PAUSE)
                taken = self._worker(FORMS[form].worker).ask(
                    "time", form=form, images=str(images), seconds=_SECONDS_A_TURN
                )
                seconds[form].append(taken["seconds"])
                cpu_seconds[form].append(taken["cpu_seconds"])
            progress(done + 1)
        return seconds, cpu_seconds


def check_outputs(name: str, outputs: dict[str, np.ndarray]) -> None:
    """Every form of the network gives the Session's probabilities, and none gives NaN.

    To 0.01 where the largest is 1: float32 in another order moves logits by some 1e-5 of their
    scale, which random values make up to 100.

    Raises:
        RuntimeError: names the form.
    """
    reference = outputs[_REFERENCE]
    for form, output in outputs.items():
        if not np.isfinite(output).all():
            raise RuntimeError(f"{name}: the outputs of {form!r} are not finite numbers.")
        # timm's twin has values of its own.
        if FORMS[form].worker != "timm" and not (
            output.shape == reference.shape
            and np.abs(output - reference).max() <= 0.01 * reference.max()
        ):
            raise RuntimeError(f"{name}: {form!r} gives other probabilities than the Session.")


def timm_twin(spec: registry.ModelSpec) -> dict | None:
    """`timm.create_model`'s arguments for the twin of a registered model; None without one."""
    adapter = spec.adapter if isinstance(spec.adapter, str) else None
    twin, arguments = _TIMM_TWINS.get(adapter, (None, {}))
    if twin is None or dict(spec.arguments) != arguments:
        return None
    return {"model_name": twin, "num_classes": spec.num_classes}


def _is_installed(module: str) -> bool:
    return importlib.util.find_spec(module) is not None


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
