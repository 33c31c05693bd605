"""VGG A, 16 and 19 (Simonyan and Zisserman, 2014, https://arxiv.org/abs/1409.1556).

Wiring, names and defaults are those of the Slim model library's vgg.py.
"""

from __future__ import annotations

import tensorflow.compat.v1 as tf
import tf_slim as slim

from zoo.shim import TF1Network

from .chain import classify_by_chain, conv, pool


def vgg_arg_scope(weight_decay=0.0005):
    """ReLU, zero biases and an L2 loss of `weight_decay` on every kernel; no batch norm."""
    with slim.arg_scope(
        [slim.conv2d, slim.fully_connected],
        activation_fn=tf.nn.relu,
        weights_regularizer=slim.l2_regularizer(float(weight_decay)),
        biases_initializer=tf.zeros_initializer(),
    ):
        with slim.arg_scope([slim.conv2d], padding="SAME") as scope:
            return scope


def _vgg(name, convolutions):
    """The network with so many 3 x 3 convolutions in each of its five blocks."""
    features = []
    for block, (count, depth) in enumerate(
        zip(convolutions, (64, 128, 256, 512, 512), strict=True), 1
    ):
        features += [conv(f"conv{block}/conv{block}_{i + 1}", depth, 3) for i in range(count)]
        features.append(pool(f"pool{block}", 2))

    def network(
        inputs,
        num_classes=1000,
        is_training=True,
        dropout_keep_prob=0.5,
        spatial_squeeze=True,
        reuse=None,
        scope=name,
        fc_conv_padding="VALID",
        global_pool=False,
        final_endpoint=None,
    ):
        return classify_by_chain(
            inputs,
            features,
            fc6=conv("fc6", 4096, 7, padding=fc_conv_padding),
            fc7=conv("fc7", 4096, 1),
            fc8=conv("fc8", num_classes, 1) if num_classes else None,
            is_training=is_training,
            dropout_keep_prob=dropout_keep_prob,
            spatial_squeeze=spatial_squeeze,
            reuse=reuse,
            scope=scope,
            global_pool=global_pool,
            final_endpoint=final_endpoint,
        )

    network.__name__ = network.__qualname__ = name
    network.default_image_size = 224
    return network


vgg_a = _vgg("vgg_a", (1, 1, 2, 2, 2))
vgg_16 = _vgg("vgg_16", (2, 2, 3, 3, 3))
vgg_19 = _vgg("vgg_19", (2, 2, 4, 4, 4))


class VGGA(TF1Network):
    """VGG with 11 layers: images (N, 224, 224, 3) float32 -> logits (N, 1000).

    Configuration A of table 1 of the paper.
    """

    function = staticmethod(vgg_a)
    arg_scope = staticmethod(vgg_arg_scope)
    scope = "vgg_a"
    default_image_size = 224
    minimum_image_size = 32
    head = ("vgg_a/fc8",)


class VGG16(TF1Network):
    """VGG with 16 layers: images (N, 224, 224, 3) float32 -> logits (N, 1000).

    Configuration D of table 1 of the paper.
    """

    function = staticmethod(vgg_16)
    arg_scope = staticmethod(vgg_arg_scope)
    scope = "vgg_16"
    default_image_size = 224
    minimum_image_size = 32
    head = ("vgg_16/fc8",)


class VGG19(TF1Network):
    """VGG with 19 layers: images (N, 224, 224, 3) float32 -> logits (N, 1000).

    Configuration E of table 1 of the paper.
    """

    function = staticmethod(vgg_19)
    arg_scope = staticmethod(vgg_arg_scope)
    scope = "vgg_19"
    default_image_size = 224
    minimum_image_size = 32
    head = ("vgg_19/fc8",)
