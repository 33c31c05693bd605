"""Memory of this process, in bytes."""

from __future__ import annotations

import sys
from pathlib import Path

_STATUS = Path("/proc/self/status")


def resident() -> int:
    """Memory in use now; where the system does not tell (not Linux), the most so far."""
    return _linux("VmRSS") if _STATUS.exists() else peak()


def peak() -> int:
    """The most memory that was in use at once.

    On Linux not from getrusage, in which a process inherits what the one it was started from
    had used.
    """
    if _STATUS.exists():
        return _linux("VmHWM")
    import resource

    # macOS counts bytes, the BSDs kibibytes (getrusage(2)).
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def _linux(key: str) -> int:
    for line in _STATUS.read_text().splitlines():
        name, _, value = line.partition(":")
        if name == key:
            return int(value.split()[0]) * 1024
    raise OSError(f"{_STATUS} has no {key}")
