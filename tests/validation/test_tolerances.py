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


def test_half_precision_grows_with_depth():
    """By two roundings of 2^-8 (bfloat16 keeps 8 bits) a layer, the worst three times as far off:
    0.094 for 32 layers."""
    half = tolerances.of("bfloat16", depth=32).logits
    assert abs(half - 3 * 8 / 256) < 1e-9
    assert tolerances.of("float16", depth=32).logits == half / 8
    assert tolerances.of("bfloat16", depth=128).logits == 2 * half
    assert tolerances.of("bfloat16").regularization == tolerances.of().regularization
