"""Processes that may be killed: the worker (worker.py), with a limit of time and of memory."""

from __future__ import annotations

import dataclasses
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from zoo.errors import UnsupportedEnvironmentError, ZooError
from zoo.tpu import compiler
from zoo.tpu.requests import Request


class WorkerError(ZooError, RuntimeError):
    """A process did not do what it was asked to; the message is short."""


@dataclasses.dataclass(frozen=True)
class Limits:
    """What a process may take.

    Attributes:
        seconds: of wall time.
        memory: resident bytes; held only where there is /proc, as on Linux.
    """

    seconds: float = 900
    memory: int = 12 << 30


def work(verb: str, request: Request, program: Path, limits: Limits) -> dict:
    """What the worker answers to "export", "compile" or "run".

    Raises:
        UnsupportedEnvironmentError: something is not installed or not there.
        WorkerError: it failed, died, or went over a limit.
    """
    with tempfile.TemporaryDirectory(prefix="zoo-tpu-") as folder:
        answer, log = Path(folder) / "answer.json", Path(folder) / "log"
        given = json.dumps(dataclasses.asdict(request))
        with log.open("wb") as to:
            process = subprocess.Popen(
                [sys.executable, "-m", "zoo.tpu.worker", verb, given, str(program), str(answer)],
                stdin=subprocess.DEVNULL,
                stdout=to,
                stderr=to,
                env={**os.environ, **_environment(verb, request)},
                start_new_session=True,  # Ctrl-C is for the one that asks.
            )
        try:
            _wait(process, limits)
        finally:
            _end(process)
        if not answer.exists():
            raise WorkerError(f"the process ended without an answer: {_last_words(log, process)}")
        found = json.loads(answer.read_text())
    if "error" in found:
        raise (UnsupportedEnvironmentError if found["environment"] else WorkerError)(found["error"])
    return found


def _environment(verb: str, request: Request) -> dict[str, str]:
    found = {"TF_CPP_MIN_LOG_LEVEL": "3", "KERAS_BACKEND": "tensorflow"}
    if verb == "export":
        return {**found, "CUDA_VISIBLE_DEVICES": "-1"}
    found["KERAS_BACKEND"] = "jax"
    return {**found, **compiler.ENVIRONMENT} if verb == "compile" else found


def _wait(process: subprocess.Popen, limits: Limits) -> None:
    end = time.monotonic() + limits.seconds
    while process.poll() is None:
        if time.monotonic() > end:
            raise WorkerError(f"stopped after {limits.seconds:.0f} s")
        if (memory := _resident(process.pid)) > limits.memory:
            raise WorkerError(f"stopped at {memory / (1 << 30):.1f} GiB of memory")
        time.sleep(0.1)


def _resident(pid: int) -> int:
    try:
        pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    except (OSError, IndexError):
        return 0
    return pages * os.sysconf("SC_PAGE_SIZE")


def _end(process: subprocess.Popen) -> None:
    """With all that it started."""
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        pass
    process.wait()


def _last_words(log: Path, process: subprocess.Popen) -> str:
    lines = [line.strip() for line in log.read_text(errors="replace").splitlines()]
    said = [line for line in lines if line]
    return f"exit code {process.returncode}" + (f", {said[-1][:300]}" if said else "")
