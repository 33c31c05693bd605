"""Stacks of residual units: output strides, stored activations, widths."""

import numpy as np
import pytest

from zoo.errors import ArgumentError
from zoo.shim import tf1_variables

pytestmark = pytest.mark.slow
both = pytest.mark.parametrize("generation", ["v1", "v2"])


@both
def test_stored_activations_are_the_ones_before_striding(
    generation, make, run, images, relative_difference
):
    # He et al. stride in a block's last unit; stored first and strided after it is the same map.
    scope = f"resnet_{generation}_50"
    batch = images(2, 65, 97, 3)
    arguments = {"num_classes": 10}
    strided = make(scope, (65, 97, 3), **arguments)
    stored = make(scope, (65, 97, 3), store_non_strided_activations=True, **arguments)
    (logits, a), (same_logits, b) = (run(network, batch) for network in (strided, stored))
    for block in (1, 2, 3):
        name = f"{scope}/block{block}"
        assert relative_difference(b[name][:, ::2, ::2], np.asarray(a[name])) < 1e-5
    assert relative_difference(same_logits, np.asarray(logits)) < 1e-5


@both
def test_stored_activations_and_an_output_stride(
    generation, make, run, images, relative_difference
):
    scope = f"resnet_{generation}_50"
    batch = images(2, 97, 97, 3)
    dense = {"num_classes": 0, "global_pool": False, "output_stride": 16}
    a, b = (
        run(make(scope, (97, 97, 3), store_non_strided_activations=stored, **dense), batch)[0]
        for stored in (False, True)
    )
    assert a.shape[1:3] == b.shape[1:3] == (7, 7)
    assert relative_difference(b, np.asarray(a)) < 1e-5


@both
def test_widths(generation, adapter, trace):
    scope = f"resnet_{generation}_50"
    cls, _ = adapter(scope)
    network = cls(depth_multiplier=0.25, min_base_depth=24, num_classes=10)
    trace(network, 1, 64, 64, 3)
    variables = tf1_variables(network)
    # max(int(depth * 0.25), 24), and four times that after a unit; conv1 keeps its 64.
    for block, depth in enumerate((24, 32, 64, 128), 1):
        unit = f"{scope}/block{block}/unit_1/bottleneck_{generation}"
        assert variables[f"{unit}/conv2/weights"].shape == (3, 3, depth, depth)
        assert variables[f"{unit}/conv3/weights"].shape == (1, 1, depth, 4 * depth)
    assert variables[f"{scope}/conv1/weights"].shape == (7, 7, 3, 64)


@both
@pytest.mark.parametrize("stride", [2, 12, 64])
def test_an_output_stride_out_of_reach_is_refused(generation, stride, adapter, trace):
    cls, _ = adapter(f"resnet_{generation}_50")
    with pytest.raises(ArgumentError, match="4, 8, 16, 32"):
        trace(cls(output_stride=stride), 1, 64, 64, 3)
