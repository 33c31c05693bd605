"""CifarNet: training, image size, stopping early."""

import numpy as np
import pytest
import tensorflow as tf

from zoo.errors import InputShapeError
from zoo.shim import tf1_variables


def test_a_training_step(make, images):
    network = make("cifarnet", (32, 32, 3))
    batch = images(2, 32, 32, 3)
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(network(batch, training=True) ** 2) + sum(network.losses)
    trained = [variable.value for variable in tf1_variables(network).values()]
    assert all(np.any(gradient) for gradient in tape.gradient(loss, trained))
    # Dropout: training differs from call to call, inference does not.
    assert np.any(network(batch, training=True) != network(batch, training=True))
    np.testing.assert_array_equal(network(batch), network(batch))


def test_without_classes_the_last_features_are_the_result(make, images):
    network = make("cifarnet", (32, 32, 3), num_classes=0)
    batch = images(2, 32, 32, 3)
    np.testing.assert_allclose(network(batch), network.end_points(batch)["fc4"], rtol=1e-5)
    assert not [name for name in tf1_variables(network) if name.startswith(network.head)]


def test_images_of_unknown_size(adapter, trace):
    cls, _ = adapter("cifarnet")
    with pytest.raises(InputShapeError, match="final_endpoint='pool2'"):
        trace(cls(), 1, None, None, 3)
    features, _ = trace(cls(final_endpoint="pool2"), 1, None, None, 3)
    assert features.shape == (1, None, None, 64)


def test_biases_start_from_a_tenth_but_for_the_logits(images, adapter):
    cls, _ = adapter("cifarnet")
    network = cls()
    network(images(1, 32, 32, 3))
    biases = {n: v.numpy() for n, v in tf1_variables(network).items() if n.endswith("biases")}
    for name, values in biases.items():  # as cifarnet.py of the Slim model library has them
        assert np.all(values == np.float32(0.1 if "/fc" in name else 0.0)), name
