"""The process in which forms of a network run: asked in lines of JSON, answers in such lines.

`python -m zoo.benchmarks.worker FOLDER SETTING`, started by worker_process.py, where SETTING is
JSON. Nothing heavy is imported before it is asked for.
"""

from __future__ import annotations

import dataclasses
import json
import os
import sys
import time
from pathlib import Path

import numpy as np

from zoo import processes, registry
from zoo.benchmarks import memory
from zoo.benchmarks.forms import FORMS, Setting
from zoo.benchmarks.runnable import Batch, Runnable


class Worker:
    """Forms made so far, and what the process can be asked to do with them.

    Args:
        setting: of all of them.
        folder: shared by the processes.
    """

    def __init__(self, setting: Setting, folder: Path) -> None:
        self.setting, self.folder = setting, folder
        self._forms: dict[str, Runnable] = {}
        self._batches: dict[str, tuple[str, object]] = {}

    def write(self, file: str) -> dict:
        from zoo.benchmarks import tensorflow_forms

        tensorflow_forms.write(file, self.setting, self.folder)
        return {}

    def facts(self) -> dict:
        """Of the network: what multiplies in it, how many values it has, whether it drops out."""
        from zoo.benchmarks import tensorflow_forms

        return tensorflow_forms.facts(self.setting)

    def ceilings(self, backend: str) -> dict:
        from zoo.benchmarks import roofline

        return dataclasses.asdict(roofline.ceilings(backend, self.setting.dtype))

    def prepare(self, form: str) -> dict:
        made = self._forms[form] = _make(form, self.setting, self.folder)
        return {"multiplications": made.multiplications, "timed": made.timed}

    def first(self, form: str, images: str, to: str) -> dict:
        """The first step on a batch, with what is compiled then; its result goes to a file."""
        made, batch = self._forms[form], self._batch(form, images)
        start = time.perf_counter()
        result = made.step(batch)
        seconds = time.perf_counter() - start
        np.save(to, np.asarray(made.fetch(result), np.float32))
        runtime = ", ".join([made.runtime, *([made.how()] if made.how else [])])
        return {"seconds": seconds, "runtime": runtime}

    def time(self, form: str, images: str, seconds: float) -> dict:
        """Seconds a step takes, and processor seconds, the mean over as many as fit in; after one
        that is not timed. And the most memory, in bytes."""
        made, batch, steps = self._forms[form], self._batch(form, images), 0
        memory.forget_peak()
        made.step(batch)
        start, cpu_start = time.perf_counter(), time.process_time()
        while (taken := time.perf_counter() - start) < seconds:
            made.step(batch)
            steps += 1
        cpu = time.process_time() - cpu_start
        return {
            "seconds": taken / steps,
            "cpu_seconds": cpu / steps,
            "host_peak": memory.peak(),
            "device_peak": memory.device_peak(),
        }

    def _batch(self, form: str, images: str):
        """The batch on the device, in place of the one before."""
        if self._batches.get(form, ("", None))[0] != images:
            self._batches.pop(form, None)
            loaded = np.load(images, allow_pickle=False)
            classes = registry.info(self.setting.model).num_classes
            labels = np.random.RandomState(1).randint(classes, size=len(loaded)).astype(np.int32)
            self._batches[form] = (images, self._forms[form].put(Batch(loaded, labels)))
        return self._batches[form][1]


def _make(form: str, setting: Setting, folder: Path) -> Runnable:
    if FORMS[form].worker in ("tensorflow", "keras"):
        from zoo.benchmarks import tensorflow_forms

        return tensorflow_forms.make(form, setting)
    if FORMS[form].worker in ("jax", "torch", "openvino"):
        from zoo.benchmarks import backend_forms

        return backend_forms.make(form, setting, folder)
    from zoo.benchmarks import peer_forms

    return peer_forms.make(form, setting, folder)


def _keep_to(threads: int) -> None:
    """Not every library has a setting for its threads; all of them count the cores there are."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:threads])


def _main(folder: str, setting: str) -> None:
    worker = Worker(Setting(**json.loads(setting)), Path(folder))
    if worker.setting.device == "cpu":
        _keep_to(worker.setting.threads)
    asked = ("write", "facts", "ceilings", "prepare", "first", "time")
    processes.answer({what: getattr(worker, what) for what in asked}, _in_a_line)


def _in_a_line(error: Exception) -> str:
    said = str(error).strip().split("\n")[0][:300]
    return said if type(error) is RuntimeError else f"{type(error).__name__}: {said}"


if __name__ == "__main__":
    _main(*sys.argv[1:])
