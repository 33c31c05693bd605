"""Expected values: NumPy's percentiles."""

import numpy as np
import pytest

from zoo.benchmarks.spread import Spread


@pytest.mark.parametrize("values", [[3.0, 1.0], [5.0, 1.0, 2.0], [4.0, 1.0, 9.0, 2.0, 7.0, 7.0]])
def test_median_and_quartiles(values):
    spread = Spread.of(values)
    expected = np.percentile(values, [50, 25, 75])
    np.testing.assert_allclose([spread.median, spread.low, spread.high], expected)


def test_one_value():
    assert Spread.of([2.5]) == Spread(2.5, 2.5, 2.5)
