"""Inception V4 and Inception-ResNet V2: their heads, arguments and training.

Expected values are laws on the networks' own features and weights, or shapes that TensorFlow
1.15.5 recorded.
"""

import numpy as np
import pytest
import tensorflow as tf

from zoo.errors import ArgumentError, InputShapeError
from zoo.shim import skip_initializers, tf1_variables

# The last end point of the features.
NETWORKS = {"inception_v4": "Mixed_7d", "inception_resnet_v2": "Conv2d_7b_1x1"}
each_network = pytest.mark.parametrize("arch", NETWORKS)


@pytest.mark.slow
@each_network
def test_a_training_step(arch, adapter, images):
    cls, _ = adapter(arch)
    network = cls(num_classes=5)
    with tf.GradientTape() as tape:
        # 107 is the smallest size that has auxiliary logits.
        end_points = network.end_points(images(2, 107, 107, 3), training=True)
        logits, auxiliary = end_points["Logits"], end_points["AuxLogits"]
        loss = tf.reduce_sum(logits**2) + tf.reduce_sum(auxiliary**2) + sum(network.losses)
    assert logits.shape == auxiliary.shape == (2, 5)
    variables = tf1_variables(network)
    trained = [variable.value for variable in variables.values() if variable.trainable]
    for gradient in tape.gradient(loss, trained):
        assert gradient is not None and np.isfinite(gradient).all()
    means = [v for name, v in variables.items() if name.endswith("moving_mean")]
    assert all(np.any(mean.numpy() != 0) for mean in means)  # they start from zero


@pytest.mark.slow
@each_network
def test_the_head_at_any_size(arch, make, images, relative_difference):
    network = make(arch, (75, 75, 3), num_classes=10, create_aux_logits=False)
    variables = tf1_variables(network)
    assert not [name for name in variables if name.startswith(network.auxiliary)]
    batch = images(2, 75, 110, 3)
    end_points = network.end_points(batch, names=(NETWORKS[arch], "global_pool"))
    mean = np.mean(end_points[NETWORKS[arch]], axis=(1, 2))
    assert relative_difference(np.squeeze(end_points["global_pool"]), mean) < 1e-5
    kernel, biases = (
        np.asarray(variables[f"{network.scope}/Logits/Logits/{n}"]) for n in ("weights", "biases")
    )
    expected = mean @ kernel + biases
    assert relative_difference(network(batch), expected) < 1e-5


@pytest.mark.slow
def test_without_classes_there_is_no_head(adapter, build_in_graph):
    cls, _ = adapter("inception_v4")
    features, end_points = build_in_graph(cls(num_classes=0), 75, 75, 3)
    assert features.shape == (1, 1, 1, 1536) and features is end_points["global_pool"]
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
def test_final_endpoint(arch, last, shape, adapter, build_in_graph):
    cls, _ = adapter(arch)
    features, end_points = build_in_graph(cls(final_endpoint=last), 299, 299, 3)
    assert features.shape == (1, *shape)  # as recorded for the whole network
    assert list(end_points)[-1] == last


@pytest.mark.slow
@pytest.mark.parametrize("size", [106, None])
def test_sizes_without_auxiliary_logits(size, adapter, build_in_graph):
    cls, _ = adapter("inception_v4")
    with pytest.raises(InputShapeError, match="create_aux_logits=False"):
        build_in_graph(cls(), size, size, 3)


@pytest.mark.slow
def test_output_stride_8_computes_the_map_between(make, images, relative_difference):
    # With aligned maps, and a map of odd size, 13 x 13, before the stride that is left out.
    arguments = {"final_endpoint": "PreAuxLogits", "align_feature_maps": True}
    batch = images(1, 104, 104, 3)
    sparse, dense = (
        np.asarray(make("inception_resnet_v2", (104, 104, 3), output_stride=s, **arguments)(batch))
        for s in (16, 8)
    )
    assert sparse.shape[1:3] == (7, 7) and dense.shape[1:3] == (13, 13)
    assert relative_difference(dense[:, ::2, ::2], sparse) < 1e-5


@pytest.mark.slow
def test_output_strides_that_there_are_not(adapter, build_in_graph):
    cls, _ = adapter("inception_resnet_v2")
    with pytest.raises(ArgumentError, match="16, or 8"):
        build_in_graph(cls(output_stride=32), 75, 75, 3)
    with pytest.raises(ArgumentError, match="PreAuxLogits"):
        build_in_graph(cls(output_stride=8), 75, 75, 3)


def test_the_activation_is_that_of_convolutions_and_residuals(adapter, build_in_graph):
    cls, _ = adapter("inception_resnet_v2")
    network = cls(activation_fn=tf.nn.relu6, final_endpoint="Mixed_6a")
    features, _ = build_in_graph(network, 75, 75, 3)
    kinds = {op.type for op in features.graph.get_operations()}
    assert "Relu6" in kinds and "Relu" not in kinds


@pytest.mark.slow
def test_biases_are_regularized_too(adapter):
    cls, _ = adapter("inception_resnet_v2")
    network = cls(weight_decay=0.5, num_classes=3, create_aux_logits=False)
    with skip_initializers():
        network(np.zeros((1, 75, 75, 3), np.float32))
    for variable in tf1_variables(network).values():
        variable.assign(np.zeros(variable.shape))
    tf1_variables(network)["InceptionResnetV2/Logits/Logits/biases"].assign([1.0, 2.0, 3.0])
    assert float(sum(network.losses)) == 0.5 * (1 + 4 + 9) / 2
