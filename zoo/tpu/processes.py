"""The worker (worker.py) in a process of its own, with a limit of time and of memory."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from zoo.errors import UnsupportedEnvironmentError
from zoo.processes import Process
from zoo.tpu import compiler
from zoo.tpu.requests import Request


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
    with Process(
        "zoo.tpu.worker",
        environment=_environment(verb, request),
        seconds=limits.seconds,
        memory=limits.memory,
    ) as process:
        found = process.ask(verb, request=dataclasses.asdict(request), file=str(program))
    if "missing" in found:
        raise UnsupportedEnvironmentError(found["missing"])
    return found


def _environment(verb: str, request: Request) -> dict[str, str]:
    if verb == "export":
        return {"KERAS_BACKEND": "tensorflow", "CUDA_VISIBLE_DEVICES": "-1"}
    return {"KERAS_BACKEND": "jax", **(compiler.ENVIRONMENT if verb == "compile" else {})}
