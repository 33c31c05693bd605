"""How fast the forms are: made ready side by side, then timed in turn."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from gpu_check.bundle import BFLOAT16, INFERENCE, TF32, TRAINING, Bundle
from gpu_check.processes import PEERS, Worker, WorkerError
from gpu_check.roofline import least_seconds, operations
from gpu_check.settings import Setting
from zoo.benchmarks.roofline import Ceilings, Roofline
from zoo.benchmarks.spread import Spread

# A turn lasts so long, after four calls that are waited for one by one.
_SECONDS_A_TURN = 0.06
_ROUNDS, _ROUNDS_ON_CPU = 9, 3
# What is late has so many seconds to be ready, and is then given up with its process.
GRACE = 20

Say = Callable[[str], object]


def settings_of(bundle: Bundle, cpu: bool) -> list[Setting]:
    """What is measured, the most telling first: one batch size of every network, training, then
    the other batch sizes; within each the network with the least work first."""
    batches, training = bundle.batches, bundle.training_batch
    middle = training if training in batches else batches[0]
    kinds = [(INFERENCE, middle), (TRAINING, training)]
    if not cpu:
        kinds += [
            (INFERENCE, batch) for batch in (*batches[:1], *batches[:0:-1]) if batch != middle
        ]
    return [
        Setting(network.name, task, dtype, batch)
        for task, batch in dict.fromkeys(kinds)
        for network in bundle.networks
        if network.timed
        for dtype in (BFLOAT16, TF32)
    ]


class Throughput:
    """Measures the settings in every form; each form has a process.

    Args:
        bundle, folder: that is read, and where it is.
        scratch: folder for logs.
        forms: of `FORMS`.
        say: is told of progress.
        cpu: whether GPUs are left alone.
    """

    def __init__(
        self,
        bundle: Bundle,
        folder: Path,
        scratch: Path,
        forms: Sequence[str],
        say: Say,
        cpu: bool,
    ) -> None:
        self.bundle, self.forms, self._say = bundle, forms, say
        self.settings = settings_of(bundle, cpu)
        self._rounds = _ROUNDS_ON_CPU if cpu else _ROUNDS
        self.ceilings: dict[str, Ceilings] = {}
        self.described: dict[str, dict] = {}
        self._skipped: dict[tuple[Setting, str], str] = {}
        self._ready: dict[tuple[Setting, str], dict] = {}
        self._turns: dict[tuple[Setting, str], list[dict]] = {}
        self._start = lambda form: Worker(
            form, folder, scratch / f"{form.replace(' ', '_')}.log", exact=False, cpu=cpu
        )

    def run(self, ready_by: float, deadline: float, save: Callable[[], object]) -> None:
        """All of it, until `time.monotonic()` is `deadline`; `save` is called now and then."""
        with contextlib.ExitStack() as stack:
            workers = {form: stack.enter_context(self._start(form)) for form in self.forms}
            threads = [
                threading.Thread(target=self._prepare, args=(worker, ready_by))
                for worker in workers.values()
            ]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            save()
            self._measure_ceilings(workers)
            self._time(workers, deadline, save)

    def _prepare(self, worker: Worker, ready_by: float) -> None:
        begun, longest = [], 0.0
        try:
            self.described[worker.form] = worker.ask(
                "describe", ready_by + GRACE - time.monotonic()
            )
        except WorkerError as error:
            self._skip(worker.form, self.settings, str(error))
            return
        for setting in self.settings:
            started = time.monotonic()
            if worker.form in PEERS and self.bundle.by_name[setting.network].timm is None:
                self._skipped[setting, worker.form] = "timm has no twin of it"
            elif started + longest > ready_by:
                self._skip(worker.form, [setting], "out of time")
            elif self._asked(worker, setting, "prepare", ready_by) is not None:
                begun.append(setting)
                longest = max(longest, time.monotonic() - started)
        for setting in begun:
            answer = self._asked(worker, setting, "ready", ready_by)
            if answer is not None:
                self._ready[setting, worker.form] = answer
                seconds = answer["compile_seconds"]
                self._say(f"ready: {worker.form}: {setting}; compiled in {seconds:.1f} s")

    def _asked(self, worker: Worker, setting: Setting, what: str, by: float) -> dict | None:
        try:
            return worker.ask(what, by + GRACE - time.monotonic(), setting=setting)
        except WorkerError as error:
            self._skip(worker.form, [setting], str(error))
            return None

    def _skip(self, form: str, settings: Sequence[Setting], why: str) -> None:
        for setting in settings:
            self._skipped[setting, form] = why
        if why != "out of time":
            self._say(f"skipped: {form}: {settings[0]}: {why}")

    def _measure_ceilings(self, workers: dict[str, Worker]) -> None:
        """The highest that any backend reaches."""
        backends = {form.split()[0]: worker for form, worker in workers.items()}
        for backend in backends.keys() & {"jax", "torch"}:
            for dtype, in_zoo in ((TF32, "float32"), (BFLOAT16, "bfloat16")):
                with contextlib.suppress(WorkerError):
                    ask = backends[backend].ask
                    found = Ceilings(**ask("ceilings", 30, backend=backend, dtype=in_zoo))
                    known = self.ceilings.get(dtype)
                    self.ceilings[dtype] = _higher(known, found) if known else found
        for dtype, found in self.ceilings.items():
            self._say(
                f"ceilings, {dtype}: {found.flops_per_second / 1e12:.2f} TFLOP/s, "
                f"{found.bytes_per_second / 1e9:.0f} GB/s"
            )

    def _time(self, workers: dict[str, Worker], deadline: float, save) -> None:
        ready = [key for key in self._in_order() if key in self._ready]
        self._turns = {key: [] for key in ready}
        for number in range(self._rounds):
            for setting, form in ready:
                if time.monotonic() > deadline:
                    return
                if (setting, form) in self._skipped:
                    continue
                try:
                    turn = workers[form].ask("time", 30, setting=setting, seconds=_SECONDS_A_TURN)
                    self._turns[setting, form].append(turn)
                except WorkerError as error:
                    self._skip(form, [setting], str(error))
            save()
            self._say(f"timed: round {number + 1}, {len(ready)} settings of forms")

    def _in_order(self) -> Iterator[tuple[Setting, str]]:
        return ((setting, form) for setting in self.settings for form in self.forms)

    def rows(self) -> list[dict]:
        """A row for each setting and form, those skipped too; times in milliseconds."""
        return [self._row(setting, form) for setting, form in self._in_order()]

    def _row(self, setting: Setting, form: str) -> dict:
        turns = self._turns.get((setting, form), [])
        network = self.bundle.by_name[setting.network]
        training = setting.task == TRAINING
        row = {
            "model": setting.network,
            "form": form,
            "is_peer": form in PEERS,
            "task": setting.task,
            "dtype": setting.dtype,
            "layout": "nhwc",
            "batch_size": setting.batch,
            "img_size": network.image_shape[-2],
            "runtime": _runtime(self.described.get(form)),
            "rounds": len(turns),
        }
        if not turns:
            return {**row, "skipped": self._skipped.get((setting, form), "out of time")}
        step = Spread.of([turn["seconds"] for turn in turns])
        made = self._ready[setting, form]
        row |= {
            "samples_per_sec": _digits(setting.batch / step.median),
            "step_time": _digits(1e3 * step.median),
            "step_time_low": _digits(1e3 * step.low),
            "step_time_high": _digits(1e3 * step.high),
            "latency": _digits(1e3 * Spread.of([turn["latency"] for turn in turns]).median),
            "compile_seconds": round(made["compile_seconds"], 1),
            "memory_mb": made["memory"] and round(made["memory"] / 1e6),
            "gflops": _digits(operations(network.work, training) / 1e9),
        }
        if setting.dtype in self.ceilings and form not in PEERS:
            line = Roofline(self.ceilings[setting.dtype])
            least = least_seconds(network.work, line, setting.batch, setting.dtype, training)
            row["of_roofline"] = _digits(least / step.median)
        return {**row, **self._over_best_peer(setting, form)}

    def _over_best_peer(self, setting: Setting, form: str) -> dict:
        peers = [peer for peer in PEERS if self._turns.get((setting, peer))]
        if not peers:
            return {}

        def seconds(name: str) -> list[float]:
            return [turn["seconds"] for turn in self._turns[setting, name]]

        best = min(peers, key=lambda peer: Spread.of(seconds(peer)).median)
        ratio = Spread.of([b / a for a, b in zip(seconds(form), seconds(best), strict=False)])
        return {
            "best_peer": best,
            "over_best_peer": _digits(ratio.median),
            "over_best_peer_low": _digits(ratio.low),
            "over_best_peer_high": _digits(ratio.high),
        }


def _higher(one: Ceilings, other: Ceilings) -> Ceilings:
    faster = max(one, other, key=lambda found: found.flops_per_second)
    bytes_per_second = max(one.bytes_per_second, other.bytes_per_second)
    return Ceilings(
        faster.backend,
        faster.dtype,
        faster.device,
        faster.flops_per_second,
        bytes_per_second,
    )


def _runtime(described: dict | None) -> str | None:
    versions = described["versions"] if described else {}
    return ", ".join(f"{name} {version}" for name, version in versions.items()) or None


def _digits(value: float) -> float:
    return float(f"{value:.4g}")
