"""What Inception V4 and Inception-ResNet V2 have in common: how their modules are written down,
the auxiliary classifier and the head (Szegedy et al., 2016, https://arxiv.org/abs/1602.07261)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import tensorflow.compat.v1 as tf
import tf_slim as slim

from .heads import check_known_size, check_map, global_average


class Layer(NamedTuple):
    """One layer of a branch.

    Attributes:
        scope: kind and kernel in one, such as Conv2d_0b_1x7 or MaxPool_1a_3x3.
        width: output channels of a convolution.
        stride: given where the layer pads as the network's strided layers do; without it the
            layer keeps the map's size.
    """

    scope: str
    width: int | None = None
    stride: int | None = None


# The layers of a branch one after the other; a list among them is a fork, whose results are
# concatenated.
Branch = Sequence[Layer | list[Layer]]

POOLS = {"MaxPool": slim.max_pool2d, "AvgPool": slim.avg_pool2d}


def same_size():
    """The arg scope that all layers without a stride of their own rely on."""
    layers = [slim.conv2d, slim.max_pool2d, slim.avg_pool2d]
    return slim.arg_scope(layers, stride=1, padding="SAME")


def layer(net, spec: Layer, padding: str = "VALID"):
    """Adds one layer; `padding` is that of layers with a stride."""
    kernel = [int(side) for side in spec.scope.rpartition("_")[2].split("x")]
    arguments = {} if spec.stride is None else {"stride": spec.stride, "padding": padding}
    pool = POOLS.get(spec.scope.partition("_")[0])
    if pool is not None:
        return pool(net, kernel, scope=spec.scope, **arguments)
    return slim.conv2d(net, spec.width, kernel, scope=spec.scope, **arguments)


def concatenated(net, branches: Sequence[Branch], padding: str = "VALID"):
    """Runs the branches side by side, in scopes Branch_0, Branch_1, ..."""
    results = []
    for number, branch in enumerate(branches):
        with tf.variable_scope(f"Branch_{number}"):
            result = net
            for step in branch:
                if isinstance(step, list):
                    result = tf.concat([layer(result, spec, padding) for spec in step], axis=3)
                else:
                    result = layer(result, step, padding)
            results.append(result)
    return tf.concat(results, axis=3)


def auxiliary_logits(net, num_classes: int, reduced_scope: str, logits_scope: str):
    """The classifier on the 17 x 17 map, whose loss helps in training: logits (N, classes).

    The kernel of `reduced_scope` is the whole pooled map, so it goes with the image size.
    """
    next_step = "create_aux_logits=False leaves them out."
    check_known_size(net, "the auxiliary logits", next_step)
    check_map(net, 5, "the auxiliary logits' pooling", next_step)
    with tf.variable_scope("AuxLogits"), same_size():
        net = slim.avg_pool2d(net, [5, 5], stride=3, padding="VALID", scope="AvgPool_1a_5x5")
        net = slim.conv2d(net, 128, [1, 1], scope="Conv2d_1b_1x1")
        net = slim.conv2d(net, 768, net.shape[1:3], padding="VALID", scope=reduced_scope)
        net = slim.flatten(net)
        return slim.fully_connected(net, num_classes, activation_fn=None, scope=logits_scope)


def head(net, end_points: dict, num_classes: int | None, dropout_keep_prob: float):
    """Mean over the map, dropout and the classifier: logits (N, classes).

    Without classes the mean (N, 1, 1, C) is the result.
    """
    with tf.variable_scope("Logits"):
        if net.shape[1:3].is_fully_defined():
            net = slim.avg_pool2d(net, net.shape[1:3], padding="VALID", scope="AvgPool_1a")
        else:
            net = global_average(net)
        end_points["global_pool"] = net
        if not num_classes:
            return net
        net = slim.flatten(net)
        net = slim.dropout(net, dropout_keep_prob, scope="Dropout_1b")
        end_points["PreLogitsFlatten"] = net
        logits = slim.fully_connected(net, num_classes, activation_fn=None, scope="Logits")
        end_points["Logits"] = logits
        end_points["Predictions"] = tf.nn.softmax(logits, name="Predictions")
    return logits
