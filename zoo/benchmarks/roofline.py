"""The roofline of a device: how fast it computes and moves memory at most, measured, and the least
time that leaves for so many operations and so many bytes.

>>> from zoo.benchmarks import roofline
>>> line = roofline.Roofline(roofline.ceilings("jax", "bfloat16"))
>>> line.time(operations=2 * 569e6, bytes=32e6)  # seconds

Model: S. Williams, A. Waterman, D. Patterson, "Roofline: an insightful visual performance model",
Communications of the ACM 52(4), 2009. No backend is imported before it is asked for.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from zoo.errors import ArgumentError, nearest_names

Run = Callable[[], object]

DTYPES = ("float32", "bfloat16", "float16")

# Sides of the square matrices: the next one as long as a product is over too soon to fill the
# device. A GPU of today is full at 8192, where three matrices of float32 take 800 MB.
_SIDES = (512, 1024, 2048, 4096, 8192)
_LONG_ENOUGH = 0.05

# More than any cache holds, and long enough to time: one array on a CPU, and on anything else.
_COPIED_ON_CPU = 1 << 28
_COPIED = 1 << 30


@dataclass(frozen=True)
class Ceilings:
    """The most that a device was seen to do.

    Attributes:
        backend: that measured it.
        dtype: of the matrices.
        device: its name, as the backend has it.
        flops_per_second: operations a second in a matrix product; a multiplication and an
            addition are two.
        bytes_per_second: read and written, together, in a copy within the device's memory.
    """

    backend: str
    dtype: str
    device: str
    flops_per_second: float
    bytes_per_second: float


@dataclass(frozen=True)
class Roofline:
    """Times that a device needs at least, by its ceilings."""

    ceilings: Ceilings

    def time(self, operations: float, bytes: float) -> float:
        """Seconds for so many operations on so many bytes read and written.

        Both go on at once at best, so it is the longer of the two. Of a network, add up its
        layers' times: what one is short of, another does not have to spare.
        """
        return max(
            operations / self.ceilings.flops_per_second, bytes / self.ceilings.bytes_per_second
        )

    def bound(self, operations: float, bytes: float) -> str:
        """What the time is of: "compute" or "memory"."""
        by_memory = bytes / self.ceilings.bytes_per_second
        return "memory" if by_memory > operations / self.ceilings.flops_per_second else "compute"


def ceilings(backend: str, dtype: str = "float32", seconds: float = 0.5) -> Ceilings:
    """Measures them by a matrix product and a copy, on the backend's default device.

    float32 products run as the process has set them: with TF32 where the backend has it allowed.
    The fastest of all calls counts, since whatever else the machine does only slows them.

    Args:
        backend: "numpy", "jax", "torch" or "tensorflow"; PyTorch takes a GPU where there is one.
        dtype: "float32", "bfloat16" or "float16"; NumPy has no bfloat16.
        seconds: that each of the two is repeated for.

    Raises:
        ArgumentError: no such backend, or a dtype that it does not have.
        ImportError: the backend is not installed.
    """
    if backend not in _BACKENDS:
        raise ArgumentError(
            "There is no such backend to measure with.",
            received=backend,
            accepted=", ".join(_BACKENDS),
            nearest=nearest_names(backend, _BACKENDS),
        )
    if dtype not in DTYPES or (backend == "numpy" and dtype == "bfloat16"):
        raise ArgumentError(
            f"{backend} multiplies no matrices of this dtype here.",
            received=dtype,
            accepted=", ".join(d for d in DTYPES if backend != "numpy" or d != "bfloat16"),
        )
    device = _BACKENDS[backend](dtype)
    return Ceilings(
        backend=backend,
        dtype=dtype,
        device=device.name,
        flops_per_second=_fastest_product(device, seconds),
        bytes_per_second=_fastest_copy(device, seconds),
    )


def _fastest_product(device: _Device, seconds: float) -> float:
    fastest = 0.0
    for side in _SIDES:
        taken = _shortest(device.product(_matrix(side)), seconds / len(_SIDES))
        fastest = max(fastest, 2 * side**3 / taken)
        if taken > _LONG_ENOUGH:
            break
    return fastest


def _matrix(side: int) -> np.ndarray:
    """float32 noise around 0: on zeros some chips are faster than on numbers."""
    tile = np.random.RandomState(0).uniform(-1, 1, (512, 512)).astype(np.float32)
    return np.tile(tile, (side // 512, side // 512))


def _fastest_copy(device: _Device, seconds: float) -> float:
    size = _COPIED_ON_CPU if device.is_cpu else _COPIED
    return 2 * size / _shortest(device.copy(size), seconds)


def _shortest(run: Run, seconds: float) -> float:
    """Seconds of the shortest call, of three or more after one that is not timed."""
    run()
    taken: list[float] = []
    while len(taken) < 3 or sum(taken) < seconds:
        start = time.perf_counter()
        run()
        taken.append(time.perf_counter() - start)
    return min(taken)


class _Device:
    """A backend's default device.

    Attributes:
        name: as the backend has it.
        is_cpu: whether it is the processor.
    """

    name = "cpu"
    is_cpu = True

    def product(self, matrix: np.ndarray) -> Run:
        """Multiplies a float32 matrix by itself, in the dtype, and returns when that is done."""
        raise NotImplementedError

    def copy(self, size: int) -> Run:
        """Copies so many bytes from one place to another, and returns when that is done."""
        raise NotImplementedError


class _NumPy(_Device):
    def __init__(self, dtype: str) -> None:
        self._dtype = dtype

    def product(self, matrix: np.ndarray) -> Run:
        matrix = matrix.astype(self._dtype)
        return lambda: matrix @ matrix

    def copy(self, size: int) -> Run:
        source, target = np.ones(size, np.uint8), np.empty(size, np.uint8)
        return lambda: np.copyto(target, source)


class _JAX(_Device):
    def __init__(self, dtype: str) -> None:
        import jax

        self._dtype, device = dtype, jax.devices()[0]
        self.name, self.is_cpu = device.device_kind, device.platform == "cpu"

    def product(self, matrix: np.ndarray) -> Run:
        import jax

        matrix = jax.numpy.asarray(matrix, self._dtype)
        multiply = jax.jit(jax.numpy.matmul)
        return lambda: multiply(matrix, matrix).block_until_ready()

    def copy(self, size: int) -> Run:
        import jax

        # What a compiler cannot leave out, and reads and writes as many bytes as a copy.
        source = jax.numpy.ones(size // 4, "float32")
        function = jax.jit(lambda values: values + 1)
        return lambda: function(source).block_until_ready()


class _Torch(_Device):
    def __init__(self, dtype: str) -> None:
        import torch

        self._dtype = getattr(torch, dtype)
        self.is_cpu = not torch.cuda.is_available()
        self._where = "cpu" if self.is_cpu else "cuda"
        self.name = "cpu" if self.is_cpu else torch.cuda.get_device_name()

    def product(self, matrix: np.ndarray) -> Run:
        import torch

        on_device = torch.from_numpy(matrix).to(self._where, self._dtype)
        result = torch.empty_like(on_device)
        return self._until_done(lambda: torch.mm(on_device, on_device, out=result))

    def copy(self, size: int) -> Run:
        import torch

        source = torch.ones(size, dtype=torch.uint8, device=self._where)
        target = torch.empty_like(source)
        return self._until_done(lambda: target.copy_(source))

    def _until_done(self, run: Run) -> Run:
        import torch

        if self.is_cpu:
            return run
        return lambda: (run(), torch.cuda.synchronize())


class _TensorFlow(_Device):
    def __init__(self, dtype: str) -> None:
        import tensorflow as tf

        self._dtype = dtype
        if gpus := tf.config.list_physical_devices("GPU"):
            details = tf.config.experimental.get_device_details(gpus[0])
            self.name, self.is_cpu = details.get("device_name", "gpu"), False

    def product(self, matrix: np.ndarray) -> Run:
        import tensorflow as tf

        matrix = tf.cast(tf.constant(matrix), self._dtype)
        return self._until_done(lambda: tf.matmul(matrix, matrix))

    def copy(self, size: int) -> Run:
        import tensorflow as tf

        source = tf.ones(size // 4)
        return self._until_done(lambda: source + 1)  # tf.identity copies nothing.

    def _until_done(self, run: Run) -> Run:
        import tensorflow as tf

        if self.is_cpu:
            return run
        return lambda: (run(), tf.test.experimental.sync_devices())


_BACKENDS: dict[str, Callable[[str], _Device]] = {
    "numpy": _NumPy,
    "jax": _JAX,
    "torch": _Torch,
    "tensorflow": _TensorFlow,
}
