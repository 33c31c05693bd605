"""What is read off the compiler's program.

lenet_v5e.hlo is the entry computation of LeNet in bfloat16, batch 8, as libtpu 0.0.52 made it for a
v5e, with metadata left out.
"""

from pathlib import Path

import pytest

from zoo.tpu.chips import CHIPS
from zoo.tpu.estimates import read_estimate, roofline_seconds

LENET = Path(__file__).with_name("lenet_v5e.hlo").read_text()


def test_lenet_on_v5e():
    estimate = read_estimate(LENET)
    # By hand: `grep -c ' fusion('`, and the sum of `grep -o 'estimated_cycles":"[0-9]*'`.
    assert (estimate.fusions, estimate.cycles) == (7, 90922)
    assert estimate.seconds(CHIPS["v5e"]) == pytest.approx(90922 / 1.5e9)
    # Read once: images, all variables. Written: probabilities. All else stays in VMEM, S(1).
    variables = 25 * 32 + 32 + 25 * 32 * 64 + 64 + 3136 * 1024 + 1024 + 1024 * 10 + 10
    assert estimate.traffic == 2 * 8 * 28 * 28 + 4 * variables + 4 * 8 * 10


def test_what_is_asynchronous_is_counted_once():
    hlo = """\
ENTRY %main (a: f32[2,3]) -> (f32[2,3], pred[4]) {
  %a = f32[2,3]{1,0} parameter(0)
  %start = (f32[2,3]{1,0:S(1)}, f32[2,3]{1,0}, u32[]{:S(2)}) copy-start(%a)
  %done = f32[2,3]{1,0:S(1)} copy-done(%start)
  %b = f32[2,3]{1,0} fusion(%done, %done), backend_config={"estimated_cycles":"7"}
  %c = pred[4]{0} compare(%b, %b), backend_config={"estimated_cycles":5}
  ROOT %d = (f32[2,3]{1,0}, pred[4]{0}) tuple(%b, %c)
}
"""
    estimate = read_estimate(hlo)
    # a read, b written and read, c written.
    assert estimate.traffic == 24 + 24 + 24 + 4
    assert (estimate.fusions, estimate.cycles) == (1, 12)


def test_only_the_entry_counts():
    inner = "%region (x: f32[]) -> f32[] {\n  ROOT %y = f32[] fusion(%x)\n}\n\n"
    assert read_estimate(inner + LENET) == read_estimate(LENET)
    with pytest.raises(ValueError, match="no ENTRY"):
        read_estimate(inner)


def test_the_roofline_is_the_slower_of_both():
    chip = CHIPS["v5e"]
    assert roofline_seconds(197e12, 0, chip, "bfloat16") == 1
    assert roofline_seconds(197e12, 2 * 819e9, chip, "bfloat16") == 2
