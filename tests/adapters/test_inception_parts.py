"""Inception V4 and Inception-ResNet V2: their heads and arguments.

Expected values are laws on the networks' own features and weights, or shapes that TensorFlow
1.15.5 recorded.
"""

import numpy as np
import pytest
import tensorflow as tf

from zoo.errors import ArgumentError, InputShapeError
from zoo.shim import tf1_variables

# The last end point of the features.
NETWORKS = {"inception_v4": "Mixed_7d", "inception_resnet_v2": "Conv2d_7b_1x1"}
each_network = pytest.mark.parametrize("arch", NETWORKS)


@pytest.mark.slow
@each_network
def test_the_head_at_any_size(arch, make, run, images, relative_difference):
    network = make(arch, (75, 110, 3), num_classes=10, create_aux_logits=False)
    variables = tf1_variables(network)
    assert not [name for name in variables if name.startswith(network.auxiliary)]
    logits, end_points = run(network, images(2, 75, 110, 3))
    mean = np.mean(end_points[NETWORKS[arch]], axis=(1, 2))
    assert relative_difference(np.squeeze(end_points["global_pool"]), mean) < 1e-5
    kernel, biases = (
        np.asarray(variables[f"{network.scope}/Logits/Logits/{n}"]) for n in ("weights", "biases")
    )
    assert relative_difference(logits, mean @ kernel + biases) < 1e-5


@pytest.mark.slow
def test_without_classes_there_is_no_head(adapter, trace):
    cls, _ = adapter("inception_v4")
    features, end_points = trace(cls(num_classes=0), 1, 75, 75, 3)
    assert features.shape == (1, 1, 1, 1536) and list(end_points)[-1] == "global_pool"
    assert not {"Logits", "AuxLogits"} & set(end_points)


@pytest.mark.parametrize(
    ("arch", "last", "shape"),
    [
        ("inception_v4", "Conv2d_2b_3x3", (147, 147, 64)),
        ("inception_v4", "Mixed_3a", (73, 73, 160)),
        ("inception_v4", "Mixed_6b", (17, 17, 1024)),
        ("inception_resnet_v2", "MaxPool_5a_3x3", (35, 35, 192)),
        ("inception_resnet_v2", "Mixed_5b", (35, 35, 320)),
    ],
)
def test_final_endpoint(arch, last, shape, adapter, trace):
    cls, _ = adapter(arch)
    features, end_points = trace(cls(final_endpoint=last), 1, 299, 299, 3)
    assert features.shape == (1, *shape)  # as recorded for the whole network
    assert list(end_points)[-1] == last


@pytest.mark.slow
@pytest.mark.parametrize("size", [106, None])
def test_sizes_without_auxiliary_logits(size, adapter, trace):
    cls, _ = adapter("inception_v4")
    with pytest.raises(InputShapeError, match="create_aux_logits=False"):
        trace(cls(), 1, size, size, 3)


@pytest.mark.slow
def test_output_stride_8_computes_the_map_between(make, run, images, relative_difference):
    # With aligned maps, and a map of odd size, 13 x 13, before the stride that is left out.
    arguments = {"final_endpoint": "PreAuxLogits", "align_feature_maps": True}
    batch = images(2, 104, 104, 3)
    networks = (
        make("inception_resnet_v2", (104, 104, 3), output_stride=s, **arguments) for s in (16, 8)
    )
    sparse, dense = (np.asarray(run(network, batch)[0]) for network in networks)
    assert sparse.shape[1:3] == (7, 7) and dense.shape[1:3] == (13, 13)
    assert relative_difference(dense[:, ::2, ::2], sparse) < 1e-5


@pytest.mark.slow
def test_output_strides_that_there_are_not(adapter, trace):
    cls, _ = adapter("inception_resnet_v2")
    with pytest.raises(ArgumentError, match="16, or 8"):
        trace(cls(output_stride=32), 1, 75, 75, 3)
    with pytest.raises(ArgumentError, match="PreAuxLogits"):
        trace(cls(output_stride=8), 1, 75, 75, 3)


@pytest.mark.slow
def test_the_activation_is_that_of_convolutions_and_residuals(adapter, run, images):
    cls, _ = adapter("inception_resnet_v2")
    network = cls(activation_fn=tf.ones_like, final_endpoint="Mixed_6a")
    _, end_points = run(network, images(2, 75, 75, 3))
    # Mixed_6a is of the residual sums before it, and of convolutions.
    assert all(np.all(value == 1) for value in end_points.values())
