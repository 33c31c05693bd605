import subprocess
import sys

import numpy as np
import pytest

from zoo.benchmarks import memory

SIZE = 200 << 20


def test_the_peak_is_what_was_in_use_at_once():
    before, peak_before = memory.resident(), memory.peak()
    block = np.ones(SIZE, np.uint8)
    during = memory.resident()
    del block
    assert 0.95 * SIZE < during - before < 1.2 * SIZE
    # The system counts in batches of pages for each processor.
    assert memory.peak() > max(during, peak_before) - (1 << 20)
    assert memory.resident() < during - SIZE / 2


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="proc(5)")
def test_a_peak_that_is_forgotten():
    block = np.ones(SIZE, np.uint8)
    del block
    before = memory.peak()
    memory.forget_peak()
    assert memory.resident() <= memory.peak() + (1 << 20) < before - SIZE / 2


def test_there_is_no_peak_of_a_gpu_that_is_not_there():
    assert memory.device_peak() is None


def test_the_peak_is_not_inherited():
    block = np.ones(SIZE, np.uint8)
    code = "from zoo.benchmarks import memory; print(memory.peak())"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert int(done.stdout) < block.nbytes / 2
