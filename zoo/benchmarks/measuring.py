"""Times the forms of a network, each backend and each peer in a process of its own.

A process has one Keras backend, so each has its own (worker.py), which stays: the forms are timed
in turn, round after round, while the other processes sleep. All of them compute on the same
batch, which is on the device already, and on equally many threads.
"""

from __future__ import annotations

import contextlib
import os
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np

from zoo import registry
from zoo.benchmarks import counting, results
from zoo.benchmarks.forms import FORMS, REFERENCE, USUAL, Setting, check_setting, unavailable
from zoo.benchmarks.roofline import Ceilings, Roofline
from zoo.benchmarks.speeds import Speeds, Turns
from zoo.benchmarks.worker_process import WorkerProcess
from zoo.errors import ArgumentError
from zoo.processes import WorkerError, cores

Progress = Callable[[int, int, str], object]

# A turn takes at least so long, in as many steps as that takes, after one that is not timed: the
# process has slept, and what the caches hold is another's.
_SECONDS_A_TURN = 0.3
# Thread pools spin a while before they sleep, which would be at the next one's cost.
_PAUSE = 0.05

# How far logits, or losses, may be from the Session's, where the largest is 1. Speed counts only
# where the result is right: this tells another network, not a rounding. float32 in another order
# moves them by some 1e-5, or 1e-3 with a GPU's TF32; the others round each value to 11 or 8 bits,
# hundreds of times in a row.
_SAME = {"float32": 1e-2, "float16": 5e-2, "bfloat16": 0.3}

# Their values are their own.
_OWN_VALUES = ("timm", "keras")

# Backends that tell what the device does at most, and what they told.
_TELLING = ("tensorflow", "jax", "torch")
_CEILINGS: dict[tuple[str, str, int], Ceilings] = {}


def measure_speeds(
    name: str,
    *,
    batches: Sequence[int] = (1, 16),
    work: str = "inference",
    dtype: str = "float32",
    device: str = "cpu",
    forms: Sequence[str] = USUAL,
    rounds: int = 20,
    threads: int | None = None,
    timeout: float = 900.0,
    progress: Progress | None = None,
) -> Iterator[Speeds]:
    """Measures forms of a registered network with random values, and its peers.

    Args:
        name: a registered name.
        batches: numbers of images in a batch.
        work: "inference", or "training": steps of gradient descent on the cross entropy and the
            regularization losses, with the updates of moving averages.
        dtype: "float32", or "bfloat16" or "float16" as in Keras's mixed policies.
        device: "cpu" or "gpu".
        forms: names in `FORMS` to measure besides "session".
        rounds: how often each form has its turn.
        threads: of each process on the CPU; as many as there are cores by default.
        timeout: seconds that a step, with what it compiles, or a preparation may take.
        progress: called as (done, total, what) after each preparation and round.

    Yields:
        What was measured, for each batch size. What is not installed, does not start, takes too
        long or too much memory is in `skipped`, with the reason.

    Raises:
        UnknownModelError: no registered model has this name.
        ArgumentError: a number below 1, a form that there is not, or none that does this.
    """
    for argument, value in [
        ("rounds", rounds),
        ("threads", threads or 1),
        ("timeout", timeout),
        *(("batches", batch) for batch in batches),
    ]:
        if value < 1:
            raise ArgumentError(f"{argument} is 1 or more.", received=f"{argument}={value}")
    wanted = with_reference(forms)
    threads = min(threads or cores(), cores())
    setting = Setting(registry.info(name).name, work, dtype, device, threads)
    check_setting(setting, forms)
    return _measure(
        setting, batches, rounds, wanted, timeout, progress or (lambda done, total, what: None)
    )


def with_reference(forms: Sequence[str]) -> list[str]:
    """The forms in the table's order, and "session" among them, against which all are held."""
    return [form for form in FORMS if form in forms or form == REFERENCE]


def distinct_models() -> list[str]:
    """Names of the registered models, without those that are another's network over again."""
    found: dict[tuple, str] = {}
    for name in registry.list_models():
        spec = registry.info(name)
        arguments = repr(sorted(spec.arguments.items()))
        network = (spec.adapter, arguments, spec.image_shape, spec.num_classes)
        found.setdefault(network, name)
    return list(found.values())


def _measure(setting, batches, rounds, wanted, timeout, progress: Progress) -> Iterator[Speeds]:
    name = setting.model
    common = {
        "setting": setting,
        "image_size": registry.info(name).input_size,
        "rounds": rounds,
        "device": results.device_name(setting.device),
        "load": round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else None,
    }
    left = list(batches)
    try:
        with _Sides(setting, timeout) as sides:
            for done, form in enumerate(wanted):
                progress(done, len(wanted), f"{name}: {form}")
                sides.prepare(form)
            sides.learn_facts()
            while left:
                what = f"{name}, batches of {left[0]}"
                told = lambda done, what=what: progress(done, rounds, what)  # noqa: E731
                yield Speeds(batch=left[0], **common, **sides.measure(left[0], rounds, told))
                del left[0]
    except WorkerError as error:  # Of the Session's process, without which nothing is known.
        for batch in left:
            skipped = dict.fromkeys(wanted, str(error))
            yield Speeds(batch=batch, turns={}, skipped=skipped, **common)


class _Sides:
    """The processes, and which forms they are ready to run."""

    def __init__(self, setting: Setting, timeout: float) -> None:
        self.setting = setting
        self.skipped: dict[str, str] = {}
        self._timeout = timeout
        self._workers: dict[str, WorkerProcess] = {}
        # Form -> what its process said of it when it was made.
        self._made: dict[str, dict] = {}
        self._facts: dict = {}

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
        if reason := unavailable(form, self.setting):
            self.skipped[form] = reason
            if form != REFERENCE:
                return
        try:
            self._ready(form)
        except WorkerError as error:
            # The others of its process go on.
            if form == REFERENCE:
                raise
            self.skipped[form] = str(error)

    def learn_facts(self) -> None:
        """Of the network, and of the device."""
        self._facts = self._worker("tensorflow").ask("facts")
        setting = self.setting
        key = (setting.dtype, setting.device, setting.threads)
        if key not in _CEILINGS:
            told = [self._told(backend) for backend in _TELLING if backend in self._workers]
            on_device = [
                one for one in told if one and (setting.device == "cpu") == (one.device == "cpu")
            ]
            if on_device:
                _CEILINGS[key] = _highest(on_device)
        self._ceilings = _CEILINGS.get(key)

    def measure(self, batch: int, rounds: int, progress: Callable[[int], object]) -> dict:
        """What `Speeds` has of a batch size."""
        images = self._images(batch)
        skipped, turns, outputs = dict(self.skipped), {}, {}
        for form in list(self._made):
            with self._or_skipped(form, skipped, turns):
                turns[form], outputs[form] = self._first(form, images)
        wrong = wrong_outputs(outputs, self.setting, self._facts["has_dropout"])
        skipped.update(wrong)
        for form in list(turns):
            if not self._made[form]["timed"]:
                skipped.setdefault(form, "TensorFlow sees no GPU; it served to compare with")
            if form in skipped:
                del turns[form]
        self._time_in_turn(images, rounds, skipped, turns, progress)
        return {
            "turns": turns,
            "skipped": skipped,
            "wrong": frozenset(form for form in wrong if not FORMS[form].is_peer),
            "parameters": self._facts["parameters"],
            **self._counts(batch),
        }

    def _counts(self, batch: int) -> dict:
        if not self._facts["layers"]:
            return {}
        layers = [counting.Layer(*counted) for counted in self._facts["layers"]]
        found: dict = {"multiplications": counting.multiplications(layers)}
        if self._ceilings:
            itemsize = 4 if self.setting.dtype == "float32" else 2
            line = Roofline(self._ceilings)
            found["ceilings"] = self._ceilings
            found["least_seconds"] = counting.least_seconds(layers, batch, itemsize, line)
        return found

    def _time_in_turn(self, images: Path, rounds: int, skipped, turns, progress) -> None:
        """A B C, B C A, C A B, ..."""
        forms = list(turns)
        for done in range(rounds):
            first = done % len(forms) if forms else 0
            for form in forms[first:] + forms[:first]:
                if form in skipped:
                    continue
                time.sleep(_PAUSE)
                with self._or_skipped(form, skipped, turns):
                    taken = self._ready(form).ask(
                        "time", form=form, images=str(images), seconds=_SECONDS_A_TURN
                    )
                    turns[form].add(**taken)
            progress(done + 1)

    @contextlib.contextmanager
    def _or_skipped(self, form: str, skipped: dict, turns: dict) -> Iterator[None]:
        """What compiles, or runs out of memory, does so at a step."""
        try:
            yield
        except WorkerError as error:
            if form == REFERENCE:
                raise
            skipped[form] = str(error)
            turns.pop(form, None)

    def _first(self, form: str, images: Path) -> tuple[Turns, np.ndarray]:
        path = self._folder / "output.npy"
        answer = self._ready(form).ask("first", form=form, images=str(images), to=str(path))
        turns = Turns(
            answer["runtime"],
            first_seconds=answer["seconds"],
            multiplications=self._made[form]["multiplications"],
        )
        return turns, np.load(path, allow_pickle=False)

    def _ready(self, form: str) -> WorkerProcess:
        """The form's process, which may be a new one: the old one may have ended."""
        row = FORMS[form]
        if row.file and not (self._folder / row.file).exists():
            self._worker("tensorflow").ask("write", file=row.file)
        worker = self._worker(row.worker)
        if form not in worker.prepared:
            self._made[form] = worker.ask("prepare", form=form)
            worker.prepared.add(form)
        return worker

    def _worker(self, name: str) -> WorkerProcess:
        if name not in self._workers or self._workers[name].has_ended:
            worker = WorkerProcess(name, self.setting, self._folder, self._timeout)
            self._workers[name] = self._stack.enter_context(worker)
        return self._workers[name]

    def _told(self, backend: str) -> Ceilings | None:
        """In a process of its own, which needs a lot of memory."""
        folder = self._folder / "ceilings"
        folder.mkdir(exist_ok=True)
        try:
            with WorkerProcess(backend, self.setting, folder, self._timeout) as worker:
                return Ceilings(**worker.ask("ceilings", backend=backend))
        except WorkerError:
            return None

    def _images(self, batch: int) -> Path:
        path = self._folder / f"images_{batch}.npy"
        shape = registry.info(self.setting.model).image_shape
        images = np.random.RandomState(0).uniform(-1, 1, (batch, *shape))
        np.save(path, images.astype(np.float32))
        return path


def wrong_outputs(
    outputs: dict[str, np.ndarray], setting: Setting, has_dropout: bool = False
) -> dict[str, str]:
    """Form -> what is wrong with its logits, or its loss, held against the Session's.

    Losses of networks with dropout are random; a twin's values are its own.
    """
    reference, found = outputs[REFERENCE], {}
    what = "another loss" if setting.trains else "other logits"
    for form, output in outputs.items():
        if not np.isfinite(output).all():
            found[form] = "gives what is no finite number"
        elif FORMS[form].worker in _OWN_VALUES or (setting.trains and has_dropout):
            continue
        elif output.size != reference.size:
            found[form] = f"gives {output.size} values, where the Session gives {reference.size}"
        else:
            apart = np.abs(output.ravel() - reference.ravel()).max() / np.abs(reference).max()
            if not apart <= _SAME[setting.dtype]:
                found[form] = f"gives {what} than the Session: {apart:.2g} of the largest apart"
    return found


def _highest(told: Sequence[Ceilings]) -> Ceilings:
    """What the device was seen to do, whichever backend did it."""
    product = max(told, key=lambda one: one.flops_per_second)
    return Ceilings(
        product.backend,
        product.dtype,
        product.device,
        product.flops_per_second,
        max(one.bytes_per_second for one in told),
    )
