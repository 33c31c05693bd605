"""Records what TensorFlow 1.15 draws for the seeds that DeterministicRandomTestTool gives.

Run by TensorFlow 1.15.5's own Python (3.7), with the path of the file to write:

    python tools/record_random_tool.py tests/goldens/random_tool.npz

TensorFlow 1.15 has no such tool. Here `get_seed`, which every stateful random op asks for its
pair of seeds, answers (42, 0) to all ("constant") or (42, number of random ops before)
("num_random_ops"), as the tool's documentation says.

`<mode>/ops/<number>` are random ops in the order of `OPS`, as one graph draws them in one run of
a session; `<mode>/network/<name>` are variables, outputs of two runs in training mode, and the
regularization loss of a small network of initializers and dropout; `<mode>/guide/<training>/` has
outputs and loss of the model that the model mapping guide migrates in four stages.
tests/shim/test_random_tool.py reads it, and builds the same.
"""

import sys

import numpy as np
import tensorflow as tf
import tf_slim as slim
from tensorflow.python.framework import random_seed

v1 = tf.compat.v1

OPS = [
    lambda: tf.random.uniform([3, 2]),
    lambda: tf.random.uniform([5], -2.0, 3.0),
    lambda: tf.random.uniform([7], 0, 1000, tf.int32),
    lambda: tf.random.normal([3, 3], 1.0, 2.0),
    lambda: tf.random.truncated_normal([8], stddev=0.5),
    lambda: tf.random.gamma([4], 1.5),
    lambda: tf.random.shuffle(tf.range(10)),
    lambda: tf.random.categorical(tf.zeros([2, 5]), 6),
    lambda: tf.nn.dropout(tf.ones([4, 5]), rate=0.4),
    lambda: slim.dropout(tf.ones([4, 5]), 0.7),
    lambda: v1.glorot_uniform_initializer()([3, 4]),
    lambda: v1.glorot_normal_initializer()([3, 4]),
    lambda: v1.truncated_normal_initializer(stddev=0.09)([3, 4]),
    lambda: v1.variance_scaling_initializer(2.0, "fan_out")([2, 3, 4]),
    lambda: v1.orthogonal_initializer()([4, 3]),
    lambda: slim.xavier_initializer()([3, 4]),
    lambda: slim.variance_scaling_initializer()([3, 4]),
]


def network(inputs):
    """[N, 5, 5, 2] -> [N, 4], in training mode."""
    l2 = slim.l2_regularizer(0.01)
    with v1.variable_scope("net"):
        outputs = slim.conv2d(inputs, 3, [3, 3], padding="VALID", weights_regularizer=l2)
        outputs = slim.dropout(slim.flatten(outputs), 0.6, is_training=True)
        kernel = v1.get_variable("kernel", [outputs.shape[-1], 6], regularizer=l2)
        outputs = tf.nn.dropout(tf.nn.relu(tf.matmul(outputs, kernel)), rate=0.3)
        initializer = v1.truncated_normal_initializer(stddev=0.2)
        return slim.fully_connected(outputs, 4, None, weights_initializer=initializer)


def guide_model(inputs, training):
    """[N, 5, 5, 5] -> [N, 10]: the model of TensorFlow's model mapping guide."""
    l2 = tf.keras.regularizers.l2(0.01)
    with v1.variable_scope("model"):
        outputs = v1.layers.conv2d(inputs, 3, 3, kernel_regularizer=l2)
        outputs = v1.layers.flatten(outputs)
        outputs = v1.layers.dropout(outputs, training=training)
        return v1.layers.dense(outputs, 10, kernel_regularizer=l2)


class Seeds:
    def __init__(self, mode):
        self.mode = mode
        self.count = 0

    def __call__(self, _):
        seed = self.count if self.mode == "num_random_ops" else 0
        self.count += 1
        return 42, seed


def record(mode):
    found = {}
    random_seed.get_seed = Seeds(mode)
    with tf.Graph().as_default(), v1.Session() as session:
        drawn = session.run([op() for op in OPS])
        found.update({f"ops/{number}": value for number, value in enumerate(drawn)})
    random_seed.get_seed = Seeds(mode)
    with tf.Graph().as_default(), v1.Session() as session:
        inputs = session.run(tf.random.normal([2, 5, 5, 2]))
        outputs = network(tf.constant(inputs))
        session.run(v1.global_variables_initializer())
        for variable in v1.global_variables():
            found["network/" + variable.op.name] = session.run(variable)
        found["network/outputs"] = np.stack([session.run(outputs) for _ in range(2)])
        found["network/loss"] = session.run(tf.add_n(v1.losses.get_regularization_losses()))
    for training in (False, True):
        random_seed.get_seed = Seeds(mode)
        with tf.Graph().as_default(), v1.Session() as session:
            outputs = guide_model(tf.random.normal([10, 5, 5, 5]), training)
            session.run(v1.global_variables_initializer())
            loss = tf.add_n(v1.losses.get_regularization_losses())
            values = session.run({"outputs": outputs, "loss": loss})
        found.update({f"guide/{training}/{key}": value for key, value in values.items()})
    return {mode + "/" + key: value for key, value in found.items()}


if __name__ == "__main__":
    tf.compat.v1.logging.set_verbosity("ERROR")
    np.savez_compressed(sys.argv[1], **record("constant"), **record("num_random_ops"))
