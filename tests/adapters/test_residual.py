"""Stacks of residual units: output strides, stored activations, widths."""

import numpy as np
import pytest

from zoo.errors import ArgumentError
from zoo.shim import skip_initializers, tf1_variables

pytestmark = pytest.mark.slow
both = pytest.mark.parametrize("generation", ["v1", "v2"])


@both
def test_stored_activations_are_the_ones_before_striding(
    generation, make, images, relative_difference
):
    # He et al. stride in a block's last unit; stored first and strided after it is the same map.
    scope = f"resnet_{generation}_50"
    batch = images(2, 65, 97, 3)
    arguments = {"num_classes": 10}
    strided = make(scope, (65, 97, 3), **arguments)
    stored = make(scope, (65, 97, 3), store_non_strided_activations=True, **arguments)
    a, b = strided.end_points(batch), stored.end_points(batch)
    for block in (1, 2, 3):
        name = f"{scope}/block{block}"
        assert relative_difference(b[name][:, ::2, ::2], np.asarray(a[name])) < 1e-5
    assert relative_difference(stored(batch), np.asarray(strided(batch))) < 1e-5


@both
def test_stored_activations_and_an_output_stride(generation, make, images, relative_difference):
    scope = f"resnet_{generation}_50"
    batch = images(1, 97, 97, 3)
    dense = {"num_classes": 0, "global_pool": False, "output_stride": 16}
    a = make(scope, (97, 97, 3), **dense)(batch)
    b = make(scope, (97, 97, 3), store_non_strided_activations=True, **dense)(batch)
    assert a.shape[1:3] == b.shape[1:3] == (7, 7)
    assert relative_difference(b, np.asarray(a)) < 1e-5


@both
def test_widths(generation, adapter):
    scope = f"resnet_{generation}_50"
    cls, _ = adapter(scope)
    network = cls(depth_multiplier=0.25, min_base_depth=24, num_classes=10)
    with skip_initializers():
        network(np.zeros((1, 64, 64, 3), np.float32))
    variables = tf1_variables(network)
    # max(int(depth * 0.25), 24), and four times that after a unit; conv1 keeps its 64.
    for block, depth in enumerate((24, 32, 64, 128), 1):
        unit = f"{scope}/block{block}/unit_1/bottleneck_{generation}"
        assert variables[f"{unit}/conv2/weights"].shape == (3, 3, depth, depth)
        assert variables[f"{unit}/conv3/weights"].shape == (1, 1, depth, 4 * depth)
    assert variables[f"{scope}/conv1/weights"].shape == (7, 7, 3, 64)


@both
@pytest.mark.parametrize("stride", [2, 12, 64])
def test_an_output_stride_out_of_reach_is_refused(generation, stride, adapter, build_in_graph):
    cls, _ = adapter(f"resnet_{generation}_50")
    with pytest.raises(ArgumentError, match="4, 8, 16, 32"):
        build_in_graph(cls(output_stride=stride), 64, 64, 3)
