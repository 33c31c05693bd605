"""A process that runs forms of a network (worker.py), seen from the one that asks it."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

from zoo.benchmarks.forms import Setting
from zoo.errors import ZooError

# Which Keras backend a process has; those of the other peers use none.
_BACKENDS = {
    "tensorflow": "tensorflow",
    "keras": "tensorflow",
    "jax": "jax",
    "torch": "torch",
    "openvino": "openvino",
}


class WorkerError(ZooError, RuntimeError):
    """A process could not do what it was asked to; the message is one line."""


class WorkerProcess:
    """Starts the process; ends it on leaving the `with` block.

    Args:
        worker: "tensorflow", "keras", "jax", "torch", "openvino", "onnxruntime" or "timm".
        setting: of its forms.
        folder: that the processes share.
        timeout: seconds that an answer may take; the process is ended after that.

    Attributes:
        prepared: forms that it has ready.
    """

    def __init__(self, worker: str, setting: Setting, folder: Path, timeout: float) -> None:
        self._worker, self._timeout = worker, timeout
        self._log = folder / f"{worker}.log"
        self.prepared: set[str] = set()
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "zoo.benchmarks.worker"]
                + [worker, str(folder), json.dumps(dataclasses.asdict(setting))],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                env={**os.environ, **_environment(worker, setting)},
                start_new_session=True,  # Ctrl-C is for the one that asks.
            )

    def __enter__(self) -> WorkerProcess:
        return self

    def __exit__(self, *error) -> None:
        if not self.has_ended:
            self._kill()
        self._process.communicate()

    @property
    def has_ended(self) -> bool:
        return self._process.poll() is not None

    def ask(self, what: str, **details) -> dict:
        """What the process answers.

        Raises:
            WorkerError: it failed, has ended, or took too long.
        """
        late = threading.Timer(self._timeout, self._kill)
        late.start()
        try:
            print(json.dumps({"do": what, **details}), file=self._process.stdin, flush=True)
            line = self._process.stdout.readline()
        except BrokenPipeError:
            line = ""
        finally:
            timed_out = not late.is_alive()
            late.cancel()
        if not line:
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(10)
            self._kill()  # What it has left behind, or itself.
            self._process.wait()
            raise WorkerError(self._why_it_ended(timed_out))
        answer = json.loads(line)
        if "error" in answer:
            raise WorkerError(answer["error"])
        return answer

    def _kill(self) -> None:
        """It, and what it has started, such as PyTorch's compilers."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)

    def _why_it_ended(self, timed_out: bool) -> str:
        if timed_out:
            return f"no answer in {self._timeout:g} seconds"
        said = f"the {self._worker} process ended"
        if self._process.returncode == -signal.SIGKILL:
            return f"{said}: killed, as the system does when memory runs out"
        lines = self._log.read_text(errors="replace").split("\n")
        last = [line.strip() for line in lines if line.strip()]
        return f"{said}: {last[-1][:300] if last else f'exit code {self._process.returncode}'}"


def _environment(worker: str, setting: Setting) -> dict[str, str]:
    found = {"TF_CPP_MIN_LOG_LEVEL": "3"}
    if setting.device == "cpu":
        found["CUDA_VISIBLE_DEVICES"] = "-1"
        found["JAX_PLATFORMS"] = "cpu"
        found["OMP_NUM_THREADS"] = str(setting.threads)
    else:
        # Several processes share the GPU: each takes what it needs.
        found["TF_FORCE_GPU_ALLOW_GROWTH"] = "true"
        found["XLA_PYTHON_CLIENT_PREALLOCATE"] = "false"
    if worker == "timm" and not setting.trains:
        # Weights as constants, laid out once: PyTorch's way to compile for inference. Kernels in
        # Keras's order of axes then meet oneDNN's slowest code.
        found["TORCHINDUCTOR_FREEZING"] = "1"
    if worker in _BACKENDS:
        found["KERAS_BACKEND"] = _BACKENDS[worker]
    return found
