"""The table of chips."""

import pytest

from zoo.errors import ArgumentError
from zoo.tpu.chips import CHIPS, chip

# Units of multiplication of a chip, and their side (Google Cloud's page of each chip).
UNITS = {"v4": (8, 128), "v5e": (4, 128), "v5p": (8, 128), "v6e": (4, 256)}


@pytest.mark.parametrize("name", CHIPS)
def test_clock_and_peak_belong_together(name):
    count, side = UNITS[name]
    peak = 2 * count * side**2 * CHIPS[name].clock  # a multiplication and an addition each
    assert peak == pytest.approx(CHIPS[name].peak["bfloat16"], rel=0.005)


@pytest.mark.parametrize("name", CHIPS)
def test_every_number_has_a_source(name):
    assert CHIPS[name].source.startswith("https://cloud.google.com/tpu/docs/")
    assert CHIPS[name].clock_source
    assert set(CHIPS[name].peak) == {"bfloat16", "float32"}
    assert {1, 4} <= set(CHIPS[name].topologies)


def test_what_there_is_not():
    with pytest.raises(ArgumentError, match=r"no such chip.*\n.*v5ee\n.*v4, v5e, v5p, v6e\n.*v5e"):
        chip("v5ee")
    with pytest.raises(ArgumentError, match=r"no topology of 3 chips of v4.*\n.*\n.*1, 4"):
        chip("v4").topology(3)
