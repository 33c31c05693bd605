"""Rates on made-up clocks, by hand; what a real one gives depends on the machine."""

import subprocess
import sys

import numpy as np
import pytest

from zoo.benchmarks import roofline
from zoo.benchmarks.roofline import Ceilings, Roofline
from zoo.errors import ArgumentError

# A GPU of 100 TFLOP/s and 2 TB/s: 50 operations a byte.
LINE = Roofline(Ceilings("jax", "bfloat16", "made up", 100e12, 2e12))


@pytest.mark.parametrize(
    ("operations", "bytes", "seconds", "bound"),
    [
        (1e12, 1e9, 0.01, "compute"),  # 1000 operations a byte
        (1e9, 1e9, 0.0005, "memory"),  # 1
        (0, 0, 0, "compute"),
    ],
)
def test_the_longer_of_computing_and_moving(operations, bytes, seconds, bound):
    assert LINE.time(operations, bytes) == pytest.approx(seconds)
    assert LINE.bound(operations, bytes) == bound


class MadeUp(roofline._Device):
    """10 GFLOP/s, and 4 GB/s read or written, on a clock of its own."""

    now = 0.0

    def __init__(self, dtype):
        self.dtype = dtype

    def product(self, matrix):
        return lambda: self.take(2 * len(matrix) ** 3 / 10e9)

    def copy(self, size):
        return lambda: self.take(2 * size / 4e9)

    def take(self, seconds):
        MadeUp.now += seconds


@pytest.fixture
def made_up(monkeypatch):
    monkeypatch.setitem(roofline._BACKENDS, "torch", MadeUp)
    monkeypatch.setattr(roofline.time, "perf_counter", lambda: MadeUp.now)


def test_the_rates_of_a_device(made_up):
    found = roofline.ceilings("torch", "float16")
    assert (found.backend, found.dtype, found.device) == ("torch", "float16", "cpu")
    assert found.flops_per_second == pytest.approx(10e9)
    assert found.bytes_per_second == pytest.approx(4e9)


@pytest.mark.parametrize("backend", ["numpy", "jax", "torch", "tensorflow"])
def test_each_backend_multiplies_and_copies(backend, monkeypatch):
    if backend in ("jax", "torch"):
        pytest.importorskip(backend)
    monkeypatch.setattr(roofline, "_SIDES", (512,))
    monkeypatch.setattr(roofline, "_COPIED_ON_CPU", 1 << 20)
    found = roofline.ceilings(backend, seconds=0.0)
    # No machine that runs this makes less than 0.1 GFLOP/s, or copies less than 10 MB/s.
    assert found.flops_per_second > 1e8
    assert found.bytes_per_second > 1e7
    assert found.device


def test_the_matrix_is_noise():
    matrix = roofline._matrix(1024)
    assert matrix.shape == (1024, 1024)
    assert matrix.dtype == np.float32
    assert abs(matrix.mean()) < 0.01 < matrix.std()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("jx",), "Nearest:  jax"),
        (("numpy", "bfloat16"), "Accepted: float32, float16"),
        (("jax", "float64"), "Accepted: float32, bfloat16, float16"),
    ],
)
def test_what_there_is_not(arguments, message):
    with pytest.raises(ArgumentError, match=message):
        roofline.ceilings(*arguments)


def test_no_backend_is_imported_before_it_is_asked_for():
    code = (
        "import sys; from zoo.benchmarks import roofline; roofline.Roofline;"
        "print([m for m in ('tensorflow', 'jax', 'torch', 'keras') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
