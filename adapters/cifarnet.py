"""The Slim model library's network for CIFAR-10: wiring, names and defaults are those of its
cifarnet.py (after Krizhevsky's cuda-convnet)."""

from __future__ import annotations

import tensorflow.compat.v1 as tf
import tf_slim as slim

from zoo.shim import TF1Network

from .heads import check_final_endpoint, check_known_size

END_POINTS = ("conv1", "pool1", "conv2", "pool2", "Flatten", "fc3", "fc4")


def _truncated_normal(stddev):
    return tf.truncated_normal_initializer(stddev=stddev)


def cifarnet_arg_scope(weight_decay=0.004):
    """ReLU after every layer; an L2 loss on the kernels of fc3 and fc4, not on convolutions."""
    with (
        slim.arg_scope(
            [slim.conv2d], weights_initializer=_truncated_normal(0.05), activation_fn=tf.nn.relu
        ),
        slim.arg_scope(
            [slim.fully_connected],
            biases_initializer=tf.constant_initializer(0.1),
            weights_initializer=_truncated_normal(0.04),
            weights_regularizer=slim.l2_regularizer(float(weight_decay)),
            activation_fn=tf.nn.relu,
        ) as scope,
    ):
        return scope


def cifarnet(
    images,
    num_classes=10,
    is_training=False,
    dropout_keep_prob=0.5,
    prediction_fn=slim.softmax,
    scope="CifarNet",
    final_endpoint=None,
):
    check_final_endpoint(final_endpoint, END_POINTS)

    def dropped(net):
        return slim.dropout(net, dropout_keep_prob, is_training=is_training, scope="dropout3")

    # Responses are normalized after the first pooling, but before the second one.
    layers = {
        "conv1": lambda x: slim.conv2d(x, 64, [5, 5], scope="conv1"),
        "pool1": lambda x: slim.max_pool2d(x, [2, 2], 2, scope="pool1"),
        "conv2": lambda x: slim.conv2d(_normalized(x, "norm1"), 64, [5, 5], scope="conv2"),
        "pool2": lambda x: slim.max_pool2d(_normalized(x, "norm2"), [2, 2], 2, scope="pool2"),
        "Flatten": _flatten,
        "fc3": lambda x: slim.fully_connected(x, 384, scope="fc3"),
        "fc4": lambda x: slim.fully_connected(dropped(x), 192, scope="fc4"),
    }
    net, end_points = images, {}
    with tf.variable_scope(scope, "CifarNet", [images]):
        for name, layer in layers.items():
            net = end_points[name] = layer(net)
            if name == final_endpoint:
                return net, end_points
        if not num_classes:
            return net, end_points
        logits = slim.fully_connected(
            net,
            num_classes,
            biases_initializer=tf.zeros_initializer(),
            weights_initializer=_truncated_normal(1 / 192),
            weights_regularizer=None,
            activation_fn=None,
            scope="logits",
        )
        end_points["Logits"] = logits
    if prediction_fn:
        end_points["Predictions"] = prediction_fn(logits, scope="Predictions")
    return logits, end_points


def _normalized(net, name):
    """Local response normalization over 9 channels."""
    # TensorFlow has no kernel for it in bfloat16.
    exact = tf.cast(net, tf.float32)
    exact = tf.nn.lrn(exact, 4, bias=1.0, alpha=0.001 / 9.0, beta=0.75, name=name)
    return tf.cast(exact, net.dtype)


def _flatten(net):
    check_known_size(net, "fc3", "Pass final_endpoint='pool2', or images of one size.")
    return slim.flatten(net)


cifarnet.default_image_size = 32


class CifarNet(TF1Network):
    """The network for CIFAR-10: images (N, 32, 32, 3) float32 -> logits (N, 10).

    The shape of fc3's weights goes with the size of the images.
    """

    function = staticmethod(cifarnet)
    arg_scope = staticmethod(cifarnet_arg_scope)
    scope = "CifarNet"
    default_image_size = 32
    minimum_image_size = 4
    head = ("CifarNet/logits",)
