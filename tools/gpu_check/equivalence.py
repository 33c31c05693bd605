"""What the forms compute, against what TensorFlow 1.15.5 recorded of the original code."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np

from gpu_check.bundle import BFLOAT16, EXACT, Bundle, Network
from gpu_check.processes import Worker, WorkerError
from zoo.validation import recipe, tolerances
from zoo.validation.tolerances import Tolerances

FORMS = ("jax native", "jax program", "torch native")

# Twice what two TensorFlow versions on one kind of kernel need.
_NORMS = 2 * tolerances.NORMS

# A process that is late has so many seconds to end by itself.
GRACE = 15

Add = Callable[[dict], object]


class Equivalence:
    """Compares every network of a bundle in every form; each form and dtype has a process.

    Args:
        bundle, folder: that is read, and where it is.
        scratch: folder for arrays and logs.
        forms: of `FORMS`.
        add: is given each row as it is made.
        cpu: whether GPUs are left alone.
    """

    def __init__(
        self,
        bundle: Bundle,
        folder: Path,
        scratch: Path,
        forms: Sequence[str],
        add: Add,
        cpu: bool,
    ) -> None:
        self.bundle, self.folder, self.scratch, self.forms = bundle, folder, scratch, forms
        self._add, self._cpu = add, cpu

    def run(self, deadline: float) -> None:
        """All of it, until `time.monotonic()` is `deadline`; what is left then is skipped."""
        threads = [
            threading.Thread(target=self._form, args=(form, dtype, deadline))
            for form in self.forms
            if form in FORMS
            for dtype in (EXACT, BFLOAT16)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    def _form(self, form: str, dtype: str, deadline: float) -> None:
        worker = None
        for network, what in self._items(dtype):
            row = {"model": network.name, "form": form, "dtype": dtype, "what": what}
            started = time.monotonic()
            if started > deadline:
                self._add({**row, "skipped": "out of time"})
                continue
            if worker is None or not worker.alive:
                worker = self._started(form, dtype)
            try:
                rows = self._compared(worker, network, dtype, what, deadline + GRACE - started)
            except WorkerError as error:
                self._add({**row, "skipped": str(error)})
                continue
            taken = round(time.monotonic() - started, 2)
            for found in rows:
                self._add({**row, **found, "seconds": taken})
        if worker:
            worker.end()

    def _started(self, form: str, dtype: str) -> Worker:
        log = self.scratch / f"{form.replace(' ', '_')}-{dtype}.log"
        return Worker(form, self.folder, log, exact=True, cpu=self._cpu)

    def _items(self, dtype: str) -> Iterator[tuple[Network, str]]:
        for network in self.bundle.networks:
            yield network, "logits"
        for network in self.bundle.networks:
            if dtype == EXACT and network.training:
                yield network, "training"

    def _compared(self, worker, network, dtype, what, timeout) -> list[dict]:
        bounds = tolerances.of(
            dtype, depth=len(network.work), golden=network.golden, other_kernels=True
        )
        file = self.scratch / f"{worker.form.replace(' ', '_')}-{dtype}.npz"
        if what == "training":
            answer = worker.ask("three_steps", timeout, network=network.name, to=str(file))
            with np.load(file, allow_pickle=False) as averages:
                return compare_steps(network.training.recorded, answer, dict(averages), bounds)
        file = file.with_suffix(".npy")
        worker.ask("logits", timeout, network=network.name, dtype=dtype, to=str(file))
        got = np.load(file, allow_pickle=False)
        return [compare_logits(network.recorded_logits, got, bounds.logits)]


def compare_logits(recorded: np.ndarray, got: np.ndarray, tolerance: float) -> dict:
    """A row: the difference, and how many of the five most likely classes are the same."""
    if got.size != recorded.size:
        return {**_row(np.inf, tolerance), "note": f"shape {got.shape}"}
    got = got.reshape(recorded.shape)
    best = [np.argsort(logits, axis=-1)[:, -5:] for logits in (recorded, got)]
    same = [len(np.intersect1d(*pair)) for pair in zip(*best, strict=True)]
    row = _row(np.abs(got - recorded).max() / np.abs(recorded).max(), tolerance)
    return {**row, "top5": round(float(np.mean(same)) / 5, 3)}


def compare_steps(recorded: dict, answer: dict, averages: dict, bounds: Tolerances) -> list[dict]:
    """Rows of losses, norms of gradients and moving averages."""
    losses = np.abs(np.array(answer["losses"]) / recorded["losses"] - 1).max()
    rows = [{"what": "losses of three steps", **_row(losses, bounds.losses)}]
    if answer["gradient_norms"]:
        rows.append({"what": "norms of gradients", **_norms(recorded, answer["gradient_norms"])})
    if len(recorded["average_names"]):
        rows.append({"what": "moving averages", **_averages(recorded, averages, bounds.averages)})
    return rows


def _norms(recorded: dict, norms: dict[str, float]) -> dict:
    names = [str(name) for name in recorded["gradient_names"]]
    expected = dict(zip(names, recorded["gradient_norms"], strict=True))
    # What is zero but for rounding is held against the largest of all.
    floor = 1e-3 * max(expected.values())
    shared = [name for name in names if name in norms]
    differences = [abs(norms[name] - expected[name]) / (expected[name] + floor) for name in shared]
    return {**_row(max(differences), _NORMS), "note": f"of {len(shared)} variables"}


def _averages(recorded: dict, averages: dict[str, np.ndarray], tolerance: float) -> dict:
    """Of the moves that they made, which are small beside the values."""
    names = [str(name) for name in recorded["average_names"]]
    differences = []
    for name, samples in zip(names, recorded["average_samples"], strict=True):
        if name in averages:
            value = averages[name]
            places = np.random.RandomState(1).choice(value.size, len(samples))
            before = recipe.weights(name, value.shape).ravel()[places]
            off = np.abs(value.ravel()[places] - samples).max()
            differences.append(off / np.abs(samples - before).max())
    return {**_row(max(differences), tolerance), "note": f"of {len(differences)} variables"}


def _row(difference: float, tolerance: float) -> dict:
    finite = bool(np.isfinite(difference))
    return {
        "difference": float(f"{difference:.3g}") if finite else None,
        "tolerance": float(f"{tolerance:.3g}"),
        "passed": finite and bool(difference <= tolerance),
    }
