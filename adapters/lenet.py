"""The Slim model library's variant of LeNet, for digits: wiring, names and defaults are those of
its lenet.py (after LeCun et al., 1998, https://doi.org/10.1109/5.726791)."""

from __future__ import annotations

import tensorflow.compat.v1 as tf
import tf_slim as slim

from zoo.shim import TF1Network

from .heads import check_final_endpoint, check_known_size

END_POINTS = ("conv1", "pool1", "conv2", "pool2", "Flatten", "fc3")


def lenet_arg_scope(weight_decay=0.0):
    """ReLU after every layer; an L2 loss on every kernel if `weight_decay` is above zero."""
    with slim.arg_scope(
        [slim.conv2d, slim.fully_connected],
        weights_regularizer=slim.l2_regularizer(float(weight_decay)),
        weights_initializer=tf.truncated_normal_initializer(stddev=0.1),
        activation_fn=tf.nn.relu,
    ) as scope:
        return scope


def lenet(
    images,
    num_classes=10,
    is_training=False,
    dropout_keep_prob=0.5,
    prediction_fn=slim.softmax,
    scope="LeNet",
    final_endpoint=None,
):
    check_final_endpoint(final_endpoint, END_POINTS)
    layers = {
        "conv1": lambda x: slim.conv2d(x, 32, [5, 5], scope="conv1"),
        "pool1": lambda x: slim.max_pool2d(x, [2, 2], 2, scope="pool1"),
        "conv2": lambda x: slim.conv2d(x, 64, [5, 5], scope="conv2"),
        "pool2": lambda x: slim.max_pool2d(x, [2, 2], 2, scope="pool2"),
        "Flatten": _flatten,
        "fc3": lambda x: slim.fully_connected(x, 1024, scope="fc3"),
    }
    net, end_points = images, {}
    with tf.variable_scope(scope, "LeNet", [images]):
        for name, layer in layers.items():
            net = end_points[name] = layer(net)
            if name == final_endpoint:
                return net, end_points
        if not num_classes:
            return net, end_points
        net = slim.dropout(net, dropout_keep_prob, is_training=is_training, scope="dropout3")
        end_points["dropout3"] = net
        logits = slim.fully_connected(net, num_classes, activation_fn=None, scope="fc4")
        end_points["Logits"] = logits
    if prediction_fn:
        end_points["Predictions"] = prediction_fn(logits, scope="Predictions")
    return logits, end_points


def _flatten(net):
    check_known_size(net, "fc3", "Pass final_endpoint='pool2', or images of one size.")
    return slim.flatten(net)


lenet.default_image_size = 28


class LeNet(TF1Network):
    """LeNet for digits: images (N, 28, 28, 1) float32 -> logits (N, 10).

    The shape of fc3's weights goes with the size of the images.
    """

    function = staticmethod(lenet)
    arg_scope = staticmethod(lenet_arg_scope)
    scope = "LeNet"
    default_image_size = 28
    minimum_image_size = 4
    head = ("LeNet/fc4",)
