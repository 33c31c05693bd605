"""Memory of this process and of the GPU that it uses, in bytes."""

from __future__ import annotations

import contextlib
import sys
from pathlib import Path

_STATUS = Path("/proc/self/status")
_CLEAR = Path("/proc/self/clear_refs")


def resident() -> int:
    """Memory in use now; where the system does not tell (not Linux), the most so far."""
    return _linux("VmRSS") if _STATUS.exists() else peak()


def peak() -> int:
    """The most memory that was in use at once, since `forget_peak` where there is that.

    On Linux not from getrusage, in which a process inherits what the one it was started from
    had used.
    """
    if _STATUS.exists():
        return _linux("VmHWM")
    import resource

    # macOS counts bytes, the BSDs kibibytes (getrusage(2)).
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def forget_peak() -> None:
    """Peaks are from now on, as far as the system and the backend can (Linux does, JAX doesn't)."""
    with contextlib.suppress(OSError):
        _CLEAR.write_text("5")  # proc(5)
    if torch := _with_gpu("torch"):
        torch.cuda.reset_peak_memory_stats()
    elif tf := _with_gpu("tensorflow"):
        tf.config.experimental.reset_memory_stats("GPU:0")


def device_peak() -> int | None:
    """The most of the GPU's memory that the backend had in use at once; None on the CPU.

    The backend is the one of PyTorch, TensorFlow and JAX that this process has imported.
    """
    if torch := _with_gpu("torch"):
        return torch.cuda.max_memory_allocated()
    if tf := _with_gpu("tensorflow"):
        return tf.config.experimental.get_memory_info("GPU:0")["peak"]
    if jax := sys.modules.get("jax"):
        stats = jax.devices()[0].memory_stats()  # None on the CPU
        return stats["peak_bytes_in_use"] if stats else None
    return None


def _with_gpu(backend: str):
    """The module, if it is imported and sees a GPU."""
    module = sys.modules.get(backend)
    if module is None:
        return None
    if backend == "torch":
        return module if module.cuda.is_available() else None
    return module if module.config.list_physical_devices("GPU") else None


def _linux(key: str) -> int:
    for line in _STATUS.read_text().splitlines():
        name, _, value = line.partition(":")
        if name == key:
            return int(value.split()[0]) * 1024
    raise OSError(f"{_STATUS} has no {key}")
