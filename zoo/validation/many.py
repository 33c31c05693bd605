"""Many models validated, in processes that run side by side, with results as they come."""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path

from zoo import registry
from zoo.processes import Process, WorkerError, cores
from zoo.validation import settings
from zoo.validation.results import RUNS, TF1_GRAPH, Result, Row, Stage, versions

# What a model takes at the most, with its gradients and both sides of it (vgg_19: 144 million
# parameters of 4 bytes, ten times).
_BYTES_A_JOB = 6 << 30

# A process that holds more afterwards is begun anew: TensorFlow keeps what it once took.
_BYTES_KEPT = 3 << 30


def validate_many(names: Sequence[str], jobs: int | None = None, **arguments) -> Iterator[Result]:
    """Validates registered models by their names, each in one of `jobs` processes.

    A process that dies, by lack of memory for one, is the failure of the model that it had, and
    another one goes on.

    Args:
        names: registered names.
        jobs: processes; None for as many as cores and memory allow.
        **arguments: as for `zoo.validate`.

    Yields:
        A result for each name, in the order in which they are done.
    """
    todo: queue.SimpleQueue = queue.SimpleQueue()
    done: queue.SimpleQueue = queue.SimpleQueue()
    for name in names:
        todo.put(name)
    jobs = min(jobs or default_jobs(), len(names))
    workers = [_Worker(todo, done, arguments, jobs) for _ in range(jobs)]
    try:
        for worker in workers:
            worker.start()
        for _ in names:
            yield done.get()
    finally:
        for worker in workers:
            worker.stop()


def default_jobs() -> int:
    """As many as there are cores, and room for in memory."""
    return max(1, min(cores(), _free_memory() // _BYTES_A_JOB))


class _Worker(threading.Thread):
    """Takes one name after the other to a process of its own."""

    def __init__(self, todo, done, arguments: dict, jobs: int) -> None:
        super().__init__(daemon=True)
        self._todo, self._done, self._arguments = todo, done, arguments
        # Processes that each think they have all cores wait for one another's threads.
        self._environment = {"TF_NUM_INTRAOP_THREADS": str(max(1, cores() // jobs))}
        self._process: Process | None = None
        self._stopped = threading.Event()
        self._starting = threading.Lock()

    def run(self) -> None:
        while not self._stopped.is_set():
            try:
                name = self._todo.get_nowait()
            except queue.Empty:
                break
            result = self._validate(name)
            if self._stopped.is_set():
                break
            self._done.put(result)
        self.stop()

    def stop(self) -> None:
        self._stopped.set()
        self._end()

    def _validate(self, name: str) -> Result:
        try:
            with self._starting:
                if self._stopped.is_set():
                    raise WorkerError("stopped")
                if self._process is None:
                    self._process = Process(
                        "zoo.validation.model_worker", environment=self._environment
                    )
                process = self._process
            result = Result.from_dict(process.ask("validate", name=name, arguments=self._arguments))
            if process.resident() > _BYTES_KEPT:
                self._end()
        except Exception as error:  # or whoever waits for the result would wait for ever
            self._end()
            return _broken(name, error, self._arguments)
        return result

    def _end(self) -> None:
        with self._starting:
            process, self._process = self._process, None
        if process is not None:
            process.end()


def _broken(name: str, error: Exception, arguments: dict) -> Result:
    spec = registry.info(name)
    known = {key: value for key, value in arguments.items() if key in _SETTING}
    row = Row(RUNS, (), None, None, False, " ".join(str(error).split()))
    return Result(
        model=spec.name,
        golden=spec.golden,
        setting=settings.setting(**known),
        versions=versions(),
        stages=(Stage.of("variables", TF1_GRAPH, [row]),),
    )


_SETTING = ("form", "mode", "dtype", "backend", "device")


def _free_memory() -> int:
    """Bytes that new processes may take."""
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
        kibibytes = next(line.split()[1] for line in lines if line.startswith("MemAvailable:"))
        return int(kibibytes) << 10
    except (OSError, StopIteration, ValueError):
        return _BYTES_A_JOB
