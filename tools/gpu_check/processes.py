"""A form's process, from the side that asks it."""

from __future__ import annotations

import json
import os
import queue
import subprocess
import sys
import threading
from pathlib import Path

FORMS = {
    "jax native": "the native form on JAX, jitted",
    "jax program": "the TF1 code's own graph as StableHLO, on JAX",
    "torch native": "the native form on PyTorch, eager",
    "torch native compiled": "the native form on PyTorch, compiled",
    "timm": "timm's twin, channels last, eager",
    "timm compiled": "timm's twin, channels last, compiled",
}
# Somebody else's.
PEERS = ("timm", "timm compiled")


class WorkerError(Exception):
    """What was asked failed, took too long, or the process has ended."""


class Worker:
    """Starts the process; ends it on leaving the `with` block.

    Args:
        form: of `FORMS`.
        bundle: folder.
        log: file that all it prints goes to.
        exact: float32 without TF32, and quick compilation before fast code.
        cpu: whether it is to leave GPUs alone.
    """

    def __init__(self, form: str, bundle: Path, log: Path, *, exact: bool, cpu: bool) -> None:
        self.form = form
        self.alive = True
        self._log = log
        with log.open("ab") as printed:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "gpu_check.worker", form, str(bundle)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=printed,
                text=True,
                env={**os.environ, **_environment(form, exact, cpu)},
                start_new_session=True,  # Ctrl-C is for the one that asks.
            )
        self._lines: queue.Queue[str] = queue.Queue()
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        for line in self._process.stdout:
            self._lines.put(line)
        self._lines.put("")

    def __enter__(self) -> Worker:
        return self

    def __exit__(self, *error) -> None:
        self.end()

    def end(self) -> None:
        self.alive = False
        self._process.kill()
        self._process.wait()

    def ask(self, what: str, timeout: float, **details) -> dict:
        """What the process answers.

        Raises:
            WorkerError: it failed, or has ended; after `timeout` seconds it is ended.
        """
        if not self.alive:
            raise WorkerError("its process has ended")
        try:
            print(json.dumps({"do": what, **details}), file=self._process.stdin, flush=True)
            line = self._lines.get(timeout=max(1.0, timeout))
        except BrokenPipeError:
            line = ""
        except queue.Empty:
            self.end()
            raise WorkerError(f"took more than {timeout:.0f} seconds") from None
        if not line:
            self.alive = False
            raise WorkerError(f"its process ended: {self._last_words()}")
        answer = json.loads(line)
        if "error" in answer:
            raise WorkerError(answer["error"])
        return answer

    def _last_words(self) -> str:
        lines = self._log.read_text(errors="replace").split("\n")
        said = [line.strip() for line in lines if line.strip()]
        return said[-1][:300] if said else f"exit code {self._process.wait()}"


def _environment(form: str, exact: bool, cpu: bool) -> dict[str, str]:
    found = {
        "PYTHONUNBUFFERED": "1",
        "KERAS_BACKEND": "jax" if form.startswith("jax") else "torch",
        # Several processes share the device.
        "XLA_PYTHON_CLIENT_PREALLOCATE": "false",
        "PYTORCH_CUDA_ALLOC_CONF": "expandable_segments:True",
        "TORCHINDUCTOR_COMPILE_THREADS": "4",
    }
    if cpu:
        found |= {"JAX_PLATFORMS": "cpu", "CUDA_VISIBLE_DEVICES": ""}
    if exact and cpu:
        found["JAX_DISABLE_MOST_OPTIMIZATIONS"] = "1"
    elif exact:
        flags = os.environ.get("XLA_FLAGS", "")
        found["XLA_FLAGS"] = f"{flags} --xla_gpu_autotune_level=0".strip()
        found["NVIDIA_TF32_OVERRIDE"] = "0"
    return found
