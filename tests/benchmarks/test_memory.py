import subprocess
import sys

import numpy as np

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


def test_the_peak_is_not_inherited():
    block = np.ones(SIZE, np.uint8)
    code = "from zoo.benchmarks import memory; print(memory.peak())"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert int(done.stdout) < block.nbytes / 2
