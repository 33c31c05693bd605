"""What MobileNet V2 and V3 share: divisible widths, dilation, padding, layers of one's own.

Values of Slim's own code are in test_goldens.py and test_arguments.py. Here are laws of the wiring:
on maps of odd size 'SAME' pads alike on both sides, so a dilated network computes the strided
network's features and more between them, and explicit padding changes nothing.
"""

import numpy as np
import pytest

from zoo.adapters.mobilenet_blocks import Bottleneck, Conv, Reduce, make_divisible
from zoo.errors import ArgumentError, InputShapeError
from zoo.shim import tf1_variables


@pytest.mark.parametrize(
    ("value", "divisor", "least", "expected"),
    [
        # Channels of mobilenet_v2_035, _140 and mobilenet_edgetpu_075, as TensorFlow 1.15.5 made
        # them of 32, 16, 24, 64, 96, 160 and 48.
        (32 * 0.35, 8, 8, 16),
        (16 * 0.35, 8, 8, 8),
        (64 * 0.35, 8, 8, 24),
        (96 * 0.35, 8, 8, 32),
        (160 * 0.35, 8, 8, 56),
        (24 * 1.4, 8, 8, 32),
        (96 * 1.4, 8, 8, 136),
        (16 * 0.75, 8, 8, 16),
        (48 * 0.75, 8, 8, 40),
        (32 * 1, 1, None, 32),
    ],
)
def test_make_divisible(value, divisor, least, expected):
    assert make_divisible(value, divisor, least) == expected


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arch", "last", "stride"),
    [
        ("mobilenet_v2_035", "layer_18", 8),
        ("mobilenet_edgetpu_075", "layer_10", 4),
        # Squeeze-and-excite takes means over the map, which are others when it is denser.
        ("mobilenet_v3_small", "layer_12", None),
    ],
)
def test_output_stride_and_explicit_padding_on_odd_maps(
    arch, last, stride, make, run, images, relative_difference
):
    def features(**arguments):
        network = make(arch, (65, 97, 3), final_endpoint=last, **arguments)
        return np.asarray(run(network, images(2, 65, 97, 3))[0])

    nominal = features()
    assert relative_difference(features(use_explicit_padding=True), nominal) < 5e-5
    if stride:
        dense = features(output_stride=stride)
        assert dense.shape[1:3] == (64 // stride + 1, 96 // stride + 1)
        step = (dense.shape[1] - 1) // (nominal.shape[1] - 1)
        assert step > 1
        assert relative_difference(dense[:, ::step, ::step], nominal) < 5e-5


@pytest.mark.parametrize("stride", [3, 10, 64])
def test_an_output_stride_out_of_reach_is_refused(stride, adapter, trace):
    cls, arguments = adapter("mobilenet_v2_035")
    with pytest.raises(ArgumentError, match="8, 16, 32"):
        trace(cls(output_stride=stride, **arguments), 1, 64, 64, 3)


def test_an_end_point_that_is_not_there_is_refused(adapter, trace):
    cls, arguments = adapter("mobilenet_v2_035")
    with pytest.raises(ArgumentError, match="layer_19"):
        trace(cls(final_endpoint="layer_20", **arguments), 1, 64, 64, 3)


def test_layers_of_ones_own(adapter, trace):
    cls, _ = adapter("mobilenet_v2")
    layers = [
        Conv(16, kernel=5, stride=2),
        Bottleneck(24, stride=2, expansion=3, squeeze_excite=True),
        Reduce(),
        Conv(32, batch_norm=False),
    ]
    network = cls(conv_defs=layers, num_classes=3)
    _, end_points = trace(network, 1, 28, 28, 3)
    assert {name: tuple(value.shape) for name, value in end_points.items()} == {
        "layer_1": (1, 14, 14, 16),
        "layer_2": (1, 7, 7, 24),
        "layer_3": (1, 1, 1, 24),
        "layer_4": (1, 1, 1, 32),
        "layer_2/expansion_output": (1, 14, 14, 48),
        "layer_2/depthwise_output": (1, 7, 7, 48),
        "layer_2/output": (1, 7, 7, 24),
        "global_pool": (1, 1, 1, 32),
        "Logits": (1, 3),
        "Predictions": (1, 3),
    }
    assert "MobilenetV2/Conv_1/biases" in tf1_variables(network)
    with pytest.raises(ArgumentError, match="Layer 2 of conv_defs"):
        trace(cls(conv_defs=[layers[0], (3, 2, 8)]), 1, 28, 28, 3)


def test_a_small_map_that_is_not_square_is_refused(adapter, trace):
    cls, _ = adapter("mobilenet_v3_small")
    with pytest.raises(InputShapeError, match="not square"):
        trace(cls(), 1, 96, 128, 3)


@pytest.mark.parametrize("multiplier", [0, -0.5])
@pytest.mark.parametrize("arch", ["mobilenet_v2", "mobilenet_v3_large"])
def test_a_multiplier_of_nothing_is_refused(arch, multiplier, adapter, trace):
    cls, _ = adapter(arch)
    with pytest.raises(ArgumentError, match="above zero"):
        trace(cls(depth_multiplier=multiplier), 1, 64, 64, 3)


def test_a_training_step_updates_moving_averages_at_the_scopes_decay(make, run, images):
    network = make("mobilenet_v2_035", (32, 32, 3), final_endpoint="layer_2")
    variables = tf1_variables(network)
    mean = variables["MobilenetV2/Conv/BatchNorm/moving_mean"]
    before = np.asarray(mean)
    kernel = np.asarray(variables["MobilenetV2/Conv/weights"])
    batch = images(2, 32, 32, 3)
    run(network, batch, training=True)
    # The first convolution by hand: 'SAME' at stride 2 pads below and right.
    padded = np.pad(batch, ((0, 0), (0, 1), (0, 1), (0, 0)))
    windows = np.lib.stride_tricks.sliding_window_view(padded, (3, 3), (1, 2))[:, ::2, ::2]
    features = np.einsum("nyxchw,hwcd->nyxd", windows, kernel)
    moved = before * 0.997 + features.mean((0, 1, 2)) * 0.003  # bn_decay of Slim's training_scope
    np.testing.assert_allclose(np.asarray(mean), moved, atol=1e-6)


def test_losses_are_those_of_kernels_but_depthwise_ones(make):
    network = make("mobilenet_v2_035", (32, 32, 3), final_endpoint="layer_2", weight_decay=2.0)
    expected = [
        float(np.square(value).sum())
        for name, value in tf1_variables(network).items()
        if name.endswith("/weights")
    ]
    assert len(expected) == 2
    np.testing.assert_allclose([float(loss) for loss in network.losses], expected, rtol=1e-5)
