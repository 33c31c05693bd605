"""tf.distribute, in a process of its own: logical devices are set up before TensorFlow starts."""

import subprocess
import sys

import pytest

SCRIPT = """
import keras, numpy as np, tensorflow as tf, tf_slim as slim
from zoo.shim import track_tf1_style_variables, tf1_variables

cpu = tf.config.list_physical_devices("CPU")[0]
tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)


class Net(keras.layers.Layer):
    def __init__(self, normalizer=None):
        super().__init__()
        self.normalizer = normalizer

    @track_tf1_style_variables
    def call(self, images, training=False):
        parameters = {"is_training": training} if self.normalizer else None
        with tf.compat.v1.variable_scope("net"):
            net = slim.conv2d(
                images, 4, [3, 3], normalizer_fn=self.normalizer, normalizer_params=parameters
            )
            net = slim.conv2d(
                net,
                4,
                [3, 3],
                normalizer_fn=self.normalizer,
                normalizer_params=parameters,
                weights_regularizer=slim.l2_regularizer(0.1),
            )
            return slim.fully_connected(slim.flatten(net), 2, activation_fn=None)


def build(normalizer=None):
    images = keras.Input((6, 6, 3))
    model = keras.Model(images, Net(normalizer)(images))
    for seed, variable in enumerate(model.trainable_variables):
        variable.assign(np.random.RandomState(seed).normal(0, 0.2, variable.shape))
    model.compile(keras.optimizers.SGD(0.05, momentum=0.9), "mse")
    return model


images = np.random.RandomState(0).normal(size=(8, 6, 6, 3)).astype(np.float32)
targets = np.ones((8, 2), np.float32)
strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])

one = build()
with strategy.scope():
    two, normalized = build(), build(slim.batch_norm)
for model in (one, two, normalized):
    model.fit(images, targets, batch_size=8, epochs=2, shuffle=False, verbose=0)

# Two replicas on halves of the batch take the steps of one device on the whole: momentum and the
# regularizers' losses count once.
assert len(one.losses) == 1
for ours, theirs in zip(two.weights, one.weights, strict=True):
    np.testing.assert_allclose(ours.numpy(), theirs.numpy(), rtol=1e-5, atol=1e-6)

# Variables are mirrored: each replica has its own copy, and the copies are equal.
assert all(len(variable._value.values) == 2 for variable in two.weights)

# Moving averages are the mean of the replicas', and equal on both.
mean = tf1_variables(normalized)["net/Conv/BatchNorm/moving_mean"]
assert np.abs(mean.numpy()).max() > 0
for variable in normalized.weights:
    first, second = (part.numpy() for part in variable._value.values)
    np.testing.assert_array_equal(first, second)
print("passed")
"""


@pytest.mark.slow
def test_mirrored_strategy_takes_the_steps_of_one_device():
    run = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True)
    assert run.stdout.strip().endswith("passed"), run.stderr[-3000:]
