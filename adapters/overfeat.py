"""OverFeat, the fast network (Sermanet et al., 2013, https://arxiv.org/abs/1312.6229).

Wiring, names and defaults are those of the Slim model library's overfeat.py.
"""

from __future__ import annotations

import tensorflow.compat.v1 as tf
import tf_slim as slim

from zoo.shim import TF1Network

from .chain import classify_by_chain, conv, pool


def overfeat_arg_scope(weight_decay=0.0005):
    """ReLU, zero biases and an L2 loss of `weight_decay` on every kernel; no batch norm."""
    with slim.arg_scope(
        [slim.conv2d, slim.fully_connected],
        activation_fn=tf.nn.relu,
        weights_regularizer=slim.l2_regularizer(float(weight_decay)),
        biases_initializer=tf.zeros_initializer(),
    ):
        with slim.arg_scope([slim.conv2d], padding="SAME"):
            with slim.arg_scope([slim.max_pool2d], padding="VALID") as scope:
                return scope


def overfeat(
    inputs,
    num_classes=1000,
    is_training=True,
    dropout_keep_prob=0.5,
    spatial_squeeze=True,
    reuse=None,
    scope="overfeat",
    fc_conv_padding="VALID",
    global_pool=False,
    final_endpoint=None,
):
    features = [
        conv("conv1", 64, 11, stride=4, padding="VALID"),
        pool("pool1", 2),
        conv("conv2", 256, 5, padding="VALID"),
        pool("pool2", 2),
        conv("conv3", 512, 3),
        conv("conv4", 1024, 3),
        conv("conv5", 1024, 3),
        pool("pool5", 2),
    ]
    narrow = {"weights_initializer": tf.truncated_normal_initializer(0.0, 0.005)}
    raised = {"biases_initializer": tf.constant_initializer(0.1)}
    return classify_by_chain(
        inputs,
        features,
        fc6=conv("fc6", 3072, 6, padding=fc_conv_padding, **narrow, **raised),
        fc7=conv("fc7", 4096, 1, **narrow, **raised),
        fc8=conv("fc8", num_classes, 1, biases_initializer=tf.zeros_initializer(), **narrow)
        if num_classes
        else None,
        is_training=is_training,
        dropout_keep_prob=dropout_keep_prob,
        spatial_squeeze=spatial_squeeze,
        reuse=reuse,
        scope=scope,
        global_pool=global_pool,
        final_endpoint=final_endpoint,
    )


overfeat.default_image_size = 231


class Overfeat(TF1Network):
    """OverFeat: images (N, 231, 231, 3) float32 -> logits (N, 1000)."""

    function = staticmethod(overfeat)
    arg_scope = staticmethod(overfeat_arg_scope)
    scope = "overfeat"
    default_image_size = 231
    minimum_image_size = 71
    head = ("overfeat/fc8",)
