"""A process that runs forms of a network (form_worker.py), seen from the one that asks it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from zoo.errors import ZooError

# Which Keras backend a process has; those of the peers use none.
_BACKENDS = {"tensorflow": "tensorflow", "jax": "jax", "torch": "torch", "openvino": "openvino"}


class WorkerError(ZooError, RuntimeError):
    """A process could not do what it was asked to; the message is one line."""


class WorkerProcess:
    """Starts the process, on the CPU; ends it on leaving the `with` block.

    Args:
        worker: "tensorflow", "jax", "torch", "openvino", "onnxruntime" or "timm".
        model: registered name.
        folder: that the processes share.
        threads: to compute on.
    """

    def __init__(self, worker: str, model: str, folder: Path, threads: int) -> None:
        self._worker = worker
        self._log = folder / f"{worker}.log"
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "zoo.benchmarks.form_worker"]
                + [worker, model, str(folder), str(threads)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                env={**os.environ, **_environment(worker, threads)},
                start_new_session=True,  # Ctrl-C is for the one that asks.
            )

    def __enter__(self) -> WorkerProcess:
        return self

    def __exit__(self, *error) -> None:
        self._process.kill()
        self._process.communicate()

    def ask(self, what: str, **details) -> dict:
        """What the process answers.

        Raises:
            WorkerError: it failed, or has ended.
        """
        try:
            print(json.dumps({"do": what, **details}), file=self._process.stdin, flush=True)
            line = self._process.stdout.readline()
        except BrokenPipeError:
            line = ""
        if not line:
            raise WorkerError(f"the {self._worker} process ended: {self._last_words()}")
        answer = json.loads(line)
        if "error" in answer:
            raise WorkerError(answer["error"])
        return answer

    def _last_words(self) -> str:
        lines = self._log.read_text(errors="replace").split("\n")
        said = [line.strip() for line in lines if line.strip()]
        return said[-1][:300] if said else f"exit code {self._process.wait()}"


def _environment(worker: str, threads: int) -> dict[str, str]:
    found = {
        "TF_CPP_MIN_LOG_LEVEL": "3",
        "CUDA_VISIBLE_DEVICES": "-1",
        "JAX_PLATFORMS": "cpu",
        "OMP_NUM_THREADS": str(threads),
    }
    if worker == "timm":
        # Weights as constants, laid out once: PyTorch's way to compile for inference. Kernels in
        # Keras's order of axes then meet oneDNN's slowest code.
        found["TORCHINDUCTOR_FREEZING"] = "1"
    if worker in _BACKENDS:
        found["KERAS_BACKEND"] = _BACKENDS[worker]
    return found
