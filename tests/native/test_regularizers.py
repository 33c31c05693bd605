"""Slim's regularizers, and others', as Keras's."""

import keras
import numpy as np
import pytest
import tensorflow as tf
import tf_slim as slim

from zoo.errors import ConversionError
from zoo.native.regularizers import as_keras

WEIGHTS = np.random.RandomState(0).normal(size=(3, 3, 4, 5)).astype(np.float32)


@pytest.mark.parametrize(
    ("regularizer", "config"),
    [
        (slim.l2_regularizer(4e-5), {"l2": 2e-5}),  # Slim halves the sum of squares
        (slim.l1_regularizer(0.01), {"l1": 0.01}),
        (slim.l1_l2_regularizer(0.01, 0.02), {"l1": 0.01, "l2": 0.01}),
        (keras.regularizers.L2(0.5), {"l2": 0.5}),
        (lambda weights: 3.0 * tf.nn.l2_loss(weights), {"l2": 1.5}),
    ],
)
def test_the_same_loss(regularizer, config):
    found = as_keras({"weights": regularizer})["weights"]
    assert found.get_config() == pytest.approx(config, rel=1e-6)
    expected = float(regularizer(tf.constant(WEIGHTS)))
    assert float(found(WEIGHTS)) == pytest.approx(expected, rel=1e-5)


def test_one_that_is_shared_is_one():
    shared = slim.l2_regularizer(1e-4)
    found = as_keras({"a": shared, "b": shared})
    assert found["a"] is found["b"]


def test_one_that_is_no_norm():
    with pytest.raises(ConversionError, match="that of a"):
        as_keras({"a": lambda weights: tf.reduce_sum(weights**4)})
