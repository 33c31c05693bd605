"""What is MobileNet V1's own: output strides, explicit padding, widths, layers of one's own.

tf_slim.nets has no MobileNet, so where goldens/outputs has no value the tests hold laws of the
wiring: on maps of odd size 'SAME' pads alike on both sides, so a dilated network computes the
strided network's features and more between them.
"""

import numpy as np
import pytest

from zoo.errors import ArgumentError
from zoo.shim import tf1_variables

ARCH = "mobilenet_v1_025"


def test_output_strides_and_explicit_padding_on_odd_maps(make, run, images, relative_difference):
    def features(**arguments):
        network = make(ARCH, (97, 129, 3), final_endpoint="Conv2d_13_pointwise", **arguments)
        return np.asarray(run(network, images(2, 97, 129, 3))[0])

    nominal = features()
    for stride in (8, 16, 32):
        dense = features(output_stride=stride)
        assert dense.shape[1:3] == (96 // stride + 1, 128 // stride + 1)
        step = 32 // stride
        assert relative_difference(dense[:, ::step, ::step], nominal) < 1e-5
    for stride in (None, 8):
        same = features(output_stride=stride)
        padded = features(output_stride=stride, use_explicit_padding=True)
        assert relative_difference(padded, same) < 1e-5


def test_explicit_padding_differs_on_even_maps(make, run, images):
    # There 'SAME' pads below and right alone, explicit padding above and left too.
    batch = images(2, 96, 96, 3)
    first = {"final_endpoint": "Conv2d_0"}
    same, padded = (
        np.asarray(run(make(ARCH, (96, 96, 3), use_explicit_padding=p, **first), batch)[0])
        for p in (False, True)
    )
    assert padded.shape == same.shape == (2, 48, 48, 8)
    assert np.abs(padded - same).max() > 0.1


@pytest.mark.parametrize("stride", [4, 10, 64])
def test_an_output_stride_out_of_reach_is_refused(stride, adapter, trace):
    cls, _ = adapter(ARCH)
    with pytest.raises(ArgumentError, match="8, 16, 32"):
        trace(cls(output_stride=stride), 1, 64, 64, 3)


@pytest.mark.parametrize(("multiplier", "least"), [(0.25, 8), (0.1, 8), (0.25, 40), (1.4, 8)])
def test_widths(multiplier, least, adapter, trace):
    cls, _ = adapter("mobilenet_v1")
    network = cls(depth_multiplier=multiplier, min_depth=least, num_classes=10)
    trace(network, 1, 64, 64, 3)
    variables = tf1_variables(network)
    # Table 1 of the paper, each depth d as max(int(d * multiplier), least).
    depths = [64, 128, 128, 256, 256, 512, 512, 512, 512, 512, 512, 1024, 1024]
    expected = [max(int(depth * multiplier), least) for depth in depths]
    kernels = [
        variables[f"MobilenetV1/Conv2d_{number}_pointwise/weights"].shape[-1]
        for number in range(1, 14)
    ]
    assert kernels == expected


def test_layers_of_ones_own(adapter, trace):
    from zoo.adapters.mobilenet_v1 import Conv, DepthSepConv

    cls, _ = adapter("mobilenet_v1")
    layers = [Conv([5, 5], 2, 16), DepthSepConv([3, 3], 2, 24), Conv([1, 1], 1, 32)]
    network = cls(conv_defs=layers, num_classes=3)
    _, end_points = trace(network, 1, 28, 28, 3)
    shapes = {name: tuple(value.shape) for name, value in end_points.items()}
    assert shapes == {
        "Conv2d_0": (1, 14, 14, 16),
        "Conv2d_1_depthwise": (1, 7, 7, 16),
        "Conv2d_1_pointwise": (1, 7, 7, 24),
        "Conv2d_2": (1, 7, 7, 32),
        "AvgPool_1a": (1, 1, 1, 32),
        "Logits": (1, 3),
        "Predictions": (1, 3),
    }
    with pytest.raises(ArgumentError, match="Layer 1 of conv_defs"):
        trace(cls(conv_defs=[layers[0], (3, 2, 8)]), 1, 28, 28, 3)


def test_depthwise_kernels_are_regularized_on_demand(adapter, trace):
    cls, _ = adapter(ARCH)
    for regularize, count in ((False, 15), (True, 28)):
        network = cls(regularize_depthwise=regularize)
        trace(network, 1, 64, 64, 3)
        assert len(network.losses) == count


def test_no_weight_decay_is_no_loss(adapter, trace):
    cls, _ = adapter(ARCH)
    network = cls(weight_decay=0, final_endpoint="Conv2d_0")
    trace(network, 1, 64, 64, 3)
    assert network.losses == []
