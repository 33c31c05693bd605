"""A small Slim network with batch norm, as one is trained in TensorFlow 1.

It runs unchanged under TensorFlow 1.15 (tools/record_training.py) and, through `zoo.wrap`, on
Keras 3.
"""

import tensorflow.compat.v1 as tf
import tf_slim as slim


def network(images, is_training=False, classes=5):
    batch_norm = {"is_training": is_training, "decay": 0.9, "scale": True}
    with tf.variable_scope("net"):
        with slim.arg_scope(
            [slim.conv2d],
            normalizer_fn=slim.batch_norm,
            normalizer_params=batch_norm,
            weights_regularizer=slim.l2_regularizer(1e-3),
        ):
            net = slim.conv2d(images, 8, [3, 3], stride=2, scope="conv1")
            net = slim.conv2d(net, 16, [3, 3], stride=2, scope="conv2")
        net = tf.reduce_mean(net, [1, 2])
        logits = slim.fully_connected(net, classes, activation_fn=None, scope="logits")
    return logits, {"predictions": tf.nn.softmax(logits)}
