"""AlexNet v2, the "one weird trick" form (Krizhevsky, 2014, https://arxiv.org/abs/1404.5997).

Wiring, names and defaults are those of the Slim model library's alexnet.py: the local response
normalisation of the paper is left out.
"""

from __future__ import annotations

import tensorflow.compat.v1 as tf
import tf_slim as slim

from zoo.shim import TF1Network

from .chain import classify_by_chain, conv, pool


def alexnet_v2_arg_scope(weight_decay=0.0005):
    """ReLU, biases that start at 0.1 and an L2 loss of `weight_decay` on every kernel."""
    with slim.arg_scope(
        [slim.conv2d, slim.fully_connected],
        activation_fn=tf.nn.relu,
        biases_initializer=tf.constant_initializer(0.1),
        weights_regularizer=slim.l2_regularizer(float(weight_decay)),
    ):
        with slim.arg_scope([slim.conv2d], padding="SAME"):
            with slim.arg_scope([slim.max_pool2d], padding="VALID") as scope:
                return scope


def alexnet_v2(
    inputs,
    num_classes=1000,
    is_training=True,
    dropout_keep_prob=0.5,
    spatial_squeeze=True,
    reuse=None,
    scope="alexnet_v2",
    fc_conv_padding="VALID",
    global_pool=False,
    final_endpoint=None,
):
    features = [
        conv("conv1", 64, 11, stride=4, padding="VALID"),
        pool("pool1", 3),
        conv("conv2", 192, 5),
        pool("pool2", 3),
        conv("conv3", 384, 3),
        conv("conv4", 384, 3),
        conv("conv5", 256, 3),
        pool("pool5", 3),
    ]
    narrow = {"weights_initializer": tf.truncated_normal_initializer(0.0, 0.005)}
    return classify_by_chain(
        inputs,
        features,
        fc6=conv("fc6", 4096, 5, padding=fc_conv_padding, **narrow),
        fc7=conv("fc7", 4096, 1, **narrow),
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


alexnet_v2.default_image_size = 224


class AlexNetV2(TF1Network):
    """AlexNet v2: images (N, 224, 224, 3) float32 -> logits (N, 1000)."""

    function = staticmethod(alexnet_v2)
    arg_scope = staticmethod(alexnet_v2_arg_scope)
    scope = "alexnet_v2"
    default_image_size = 224
    minimum_image_size = 67
    head = ("alexnet_v2/fc8",)
