"""LeNet: training, image size, stopping early."""

import numpy as np
import pytest
import tensorflow as tf

from zoo.errors import InputShapeError
from zoo.shim import tf1_variables


def test_a_training_step(make, images):
    network = make("lenet", (28, 28, 1), weight_decay=0.1)
    batch = images(2, 28, 28, 1)
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(network(batch, training=True) ** 2) + sum(network.losses)
    variables = tf1_variables(network)
    gradients = tape.gradient(loss, [variable.value for variable in variables.values()])
    assert all(np.any(gradient) for gradient in gradients)
    kernels = [v.numpy() for name, v in variables.items() if name.endswith("weights")]
    expected = [0.1 / 2 * np.sum(kernel**2) for kernel in kernels]
    np.testing.assert_allclose(network.losses, expected, rtol=1e-5)
    # Dropout: training differs from call to call, inference does not.
    assert np.any(network(batch, training=True) != network(batch, training=True))
    np.testing.assert_array_equal(network(batch), network(batch))


def test_without_classes_the_last_features_are_the_result(make, images):
    network = make("lenet", (28, 28, 1), num_classes=0)
    batch = images(2, 28, 28, 1)
    np.testing.assert_allclose(network(batch), network.end_points(batch)["fc3"], rtol=1e-5)
    assert not [name for name in tf1_variables(network) if name.startswith(network.head)]


def test_images_of_unknown_size(adapter, trace):
    cls, _ = adapter("lenet")
    with pytest.raises(InputShapeError, match="final_endpoint='pool2'"):
        trace(cls(), 1, None, None, 1)
    features, _ = trace(cls(final_endpoint="pool2"), 1, None, None, 1)
    assert features.shape == (1, None, None, 64)
