import pytest

from zoo.validation import tolerances


def test_what_verify_allows_is_what_validate_allows():
    found = tolerances.of()
    assert (found.logits, found.end_points) == (tolerances.LOGITS, tolerances.END_POINTS)


def test_other_kernels_and_rough_networks_get_more():
    usual = tolerances.of()
    assert tolerances.of(other_kernels=True).logits == 10 * usual.logits
    assert tolerances.of(golden="mobilenet_v3_large").logits == 3 * usual.logits
    # Native forms of MobileNet V2 and of NASNet round otherwise than the graph.
    other = tolerances.of(other_kernels=True).gradients
    assert tolerances.of(golden="nasnet_mobile", native=True).gradients == other
    assert tolerances.of(golden="nasnet_mobile").gradients == usual.gradients
    assert tolerances.of(golden="mobilenet_v2_035", native=True).logits == 3 * usual.logits
    assert tolerances.of(golden="mobilenet_v2_035").logits == usual.logits
    assert tolerances.of(golden="pnasnet_mobile", native=True).gradients == usual.gradients
    # A step that is not taken, of three, never passes.
    assert tolerances.of(other_kernels=True).variables < 1 / 3


def test_half_precision_without_an_original_grows_with_depth():
    """By two roundings of 2^-8 (bfloat16 keeps 8 bits) a layer, the worst three times as far off:
    0.094 for 32 layers."""
    half = tolerances.of("bfloat16", depth=32).logits
    assert abs(half - 3 * 8 / 256) < 1e-9
    assert tolerances.of("float16", depth=32).logits == half / 8
    assert tolerances.of("bfloat16", depth=128).logits == 2 * half
    rough = tolerances.of("bfloat16", depth=32, golden="mobilenet_v2").logits
    assert rough == 3 * half  # 1.9 times as much was seen
    assert tolerances.of("bfloat16").regularization == tolerances.of().regularization


def test_half_precision_by_what_it_makes_of_the_original():
    usual = tolerances.of("bfloat16")
    originals = {"Conv": 0.03, "same": 0.0, "saturated": 0.7, "overflowed": float("nan")}
    found = tolerances.in_half_precision(
        usual, "bfloat16", originals, logits=0.1, predictions=0.2, size=1.5
    )
    assert found.root_mean_square and not usual.root_mean_square
    assert (found.logits, found.predictions) == (0.2, 0.4)
    assert found.of_end_point("Conv") == 0.06
    assert found.of_end_point("same") == 2 * 2**-8
    assert found.of_end_point("saturated") == 1.0
    assert found.of_end_point("overflowed") is None and found.left_out == ["overflowed"]
    assert found.regularization == usual.regularization
    # Logits that are 0.3 off make a softmax that is as far off, wherever it was by chance.
    near = tolerances.in_half_precision(
        usual, "bfloat16", {"Predictions": 0.01}, logits=0.1, predictions=0.01, size=1.5
    )
    assert near.predictions == near.of_end_point("Predictions") == pytest.approx(0.3)
    # Of a network whose logits overflow nothing is asked.
    nothing = tolerances.in_half_precision(
        usual, "float16", {}, logits=float("inf"), predictions=float("nan"), size=1.0
    )
    assert nothing.logits is None and nothing.predictions is None
