"""Inception-ResNet V2 (Szegedy et al., 2016, https://arxiv.org/abs/1602.07261).

Wiring, names and defaults are those of the Slim model library's inception_resnet_v2.py. Like it,
the network averages over the whole map whatever its size, so it has no `global_pool`.
"""

from __future__ import annotations

from functools import partial

import tensorflow.compat.v1 as tf
import tf_slim as slim

from zoo.errors import ArgumentError
from zoo.shim import TF1Network

from .heads import check_final_endpoint
from .inception_parts import Layer, auxiliary_logits, concatenated, head, layer, same_size

STEM = (
    Layer("Conv2d_1a_3x3", 32, stride=2),
    Layer("Conv2d_2a_3x3", 32, stride=1),
    Layer("Conv2d_2b_3x3", 64),
    Layer("MaxPool_3a_3x3", stride=2),
    Layer("Conv2d_3b_1x1", 80, stride=1),
    Layer("Conv2d_4a_3x3", 192, stride=1),
    Layer("MaxPool_5a_3x3", stride=2),
)
MIXED_5B = (
    (Layer("Conv2d_1x1", 96),),
    (Layer("Conv2d_0a_1x1", 48), Layer("Conv2d_0b_5x5", 64)),
    (Layer("Conv2d_0a_1x1", 64), Layer("Conv2d_0b_3x3", 96), Layer("Conv2d_0c_3x3", 96)),
    (Layer("AvgPool_0a_3x3"), Layer("Conv2d_0b_1x1", 64)),
)
BLOCK_35 = (
    (Layer("Conv2d_1x1", 32),),
    (Layer("Conv2d_0a_1x1", 32), Layer("Conv2d_0b_3x3", 32)),
    (Layer("Conv2d_0a_1x1", 32), Layer("Conv2d_0b_3x3", 48), Layer("Conv2d_0c_3x3", 64)),
)
BLOCK_17 = (
    (Layer("Conv2d_1x1", 192),),
    (Layer("Conv2d_0a_1x1", 128), Layer("Conv2d_0b_1x7", 160), Layer("Conv2d_0c_7x1", 192)),
)
MIXED_7A = (
    (Layer("Conv2d_0a_1x1", 256), Layer("Conv2d_1a_3x3", 384, stride=2)),
    (Layer("Conv2d_0a_1x1", 256), Layer("Conv2d_1a_3x3", 288, stride=2)),
    (
        Layer("Conv2d_0a_1x1", 256),
        Layer("Conv2d_0b_3x3", 288),
        Layer("Conv2d_1a_3x3", 320, stride=2),
    ),
    (Layer("MaxPool_1a_3x3", stride=2),),
)
BLOCK_8 = (
    (Layer("Conv2d_1x1", 192),),
    (Layer("Conv2d_0a_1x1", 192), Layer("Conv2d_0b_1x3", 224), Layer("Conv2d_0c_3x1", 256)),
)


def _mixed_6a(stride):
    return (
        (Layer("Conv2d_1a_3x3", 384, stride),),
        (
            Layer("Conv2d_0a_1x1", 256),
            Layer("Conv2d_0b_3x3", 256),
            Layer("Conv2d_1a_3x3", 384, stride),
        ),
        (Layer("MaxPool_1a_3x3", stride=stride),),
    )


END_POINTS = (
    *(first.scope for first in STEM),
    *("Mixed_5b", "Mixed_6a", "PreAuxLogits", "Mixed_7a", "Conv2d_7b_1x1"),
)


def inception_resnet_v2_arg_scope(
    weight_decay=0.00004,
    batch_norm_decay=0.9997,
    batch_norm_epsilon=0.001,
    activation_fn=tf.nn.relu,
    batch_norm_updates_collections=tf.GraphKeys.UPDATE_OPS,
    batch_norm_scale=False,
):
    """Batch norm without gamma and ReLU after every convolution; an L2 loss on kernels and
    biases alike."""
    batch_norm = {
        "decay": batch_norm_decay,
        "epsilon": batch_norm_epsilon,
        "updates_collections": batch_norm_updates_collections,
        "fused": None,
        "scale": batch_norm_scale,
    }
    with (
        slim.arg_scope(
            [slim.conv2d, slim.fully_connected],
            weights_regularizer=slim.l2_regularizer(weight_decay),
            biases_regularizer=slim.l2_regularizer(weight_decay),
        ),
        slim.arg_scope(
            [slim.conv2d],
            activation_fn=activation_fn,
            normalizer_fn=slim.batch_norm,
            normalizer_params=batch_norm,
        ) as scope,
    ):
        return scope


def _residual(net, branches, scale, activation_fn, scope):
    """Adds a share of what the branches find to the map that they found it in."""
    with tf.variable_scope(scope):
        found = concatenated(net, branches)
        found = slim.conv2d(
            found, net.shape[3], [1, 1], activation_fn=None, normalizer_fn=None, scope="Conv2d_1x1"
        )
        net += scale * found
        return activation_fn(net) if activation_fn else net


def _residuals(net, repeat, name, count, branches, scale, activation_fn):
    with tf.variable_scope(repeat):
        for number in range(1, count + 1):
            net = _residual(net, branches, scale, activation_fn, f"{name}_{number}")
    return net


def inception_resnet_v2_base(
    inputs,
    final_endpoint="Conv2d_7b_1x1",
    output_stride=16,
    align_feature_maps=False,
    scope=None,
    activation_fn=tf.nn.relu,
):
    """The network up to `final_endpoint`, without the head: (features, end points).

    Args:
        inputs: (N, H, W, 3).
        final_endpoint: one of `END_POINTS`.
        output_stride: of PreAuxLogits, 16, or 8 for a map of twice the size by dilation; then
            PreAuxLogits is the last end point that there is.
        align_feature_maps: pad every layer, so that maps of all sizes have the same edges.
        activation_fn: the activation after a residual is added, or None.
    """
    check_final_endpoint(final_endpoint, END_POINTS)
    _check_output_stride(output_stride, final_endpoint)
    padding = "SAME" if align_feature_maps else "VALID"
    stride, rate = (1, 2) if output_stride == 8 else (2, 1)

    def module(net, name, branches):
        with tf.variable_scope(name):
            return concatenated(net, branches, padding)

    def mixed_6a(net):
        net = _residuals(net, "Repeat", "block35", 10, BLOCK_35, 0.17, activation_fn)
        return module(net, "Mixed_6a", _mixed_6a(stride))

    def before_auxiliary(net):
        with slim.arg_scope([slim.conv2d], rate=rate):
            return _residuals(net, "Repeat_1", "block17", 20, BLOCK_17, 0.1, activation_fn)

    def last(net):
        net = _residuals(net, "Repeat_2", "block8", 9, BLOCK_8, 0.2, activation_fn)
        net = _residual(net, BLOCK_8, 1.0, None, "Block8")
        return slim.conv2d(net, 1536, [1, 1], scope="Conv2d_7b_1x1")

    steps = {
        **{first.scope: partial(layer, spec=first, padding=padding) for first in STEM},
        "Mixed_5b": lambda net: module(net, "Mixed_5b", MIXED_5B),
        "Mixed_6a": mixed_6a,
        "PreAuxLogits": before_auxiliary,
        "Mixed_7a": lambda net: module(net, "Mixed_7a", MIXED_7A),
        "Conv2d_7b_1x1": last,
    }
    net, end_points = inputs, {}
    with tf.variable_scope(scope, "InceptionResnetV2", [inputs]), same_size():
        for name, step in steps.items():
            net = end_points[name] = step(net)
            if name == final_endpoint:
                break
    return net, end_points


def _check_output_stride(output_stride, final_endpoint):
    if output_stride not in (8, 16):
        raise ArgumentError(
            "The network has no such output stride.",
            received=f"output_stride={output_stride!r}",
            accepted="16, or 8 up to PreAuxLogits",
        )
    if output_stride == 8 and final_endpoint in ("Mixed_7a", "Conv2d_7b_1x1"):
        raise ArgumentError(
            "An output stride of 8 goes no further than PreAuxLogits.",
            received=f"output_stride=8 up to {final_endpoint}",
            next_step="Pass final_endpoint='PreAuxLogits', or output_stride=16.",
        )


def inception_resnet_v2(
    inputs,
    num_classes=1001,
    is_training=True,
    dropout_keep_prob=0.8,
    reuse=None,
    scope="InceptionResnetV2",
    create_aux_logits=True,
    activation_fn=tf.nn.relu,
    final_endpoint=None,
    output_stride=16,
    align_feature_maps=False,
):
    with (
        tf.variable_scope(scope, "InceptionResnetV2", [inputs], reuse=reuse) as scope,
        slim.arg_scope([slim.batch_norm, slim.dropout], is_training=is_training),
    ):
        net, end_points = inception_resnet_v2_base(
            inputs,
            final_endpoint or END_POINTS[-1],
            output_stride,
            align_feature_maps,
            scope,
            activation_fn,
        )
        if final_endpoint is not None:
            return net, end_points
        if create_aux_logits and num_classes:
            end_points["AuxLogits"] = auxiliary_logits(
                end_points["PreAuxLogits"], num_classes, "Conv2d_2a_5x5", "Logits"
            )
        return head(net, end_points, num_classes, dropout_keep_prob), end_points


inception_resnet_v2.default_image_size = 299


class InceptionResnetV2(TF1Network):
    """Inception-ResNet V2: images (N, 299, 299, 3) float32 -> logits (N, 1001).

    The auxiliary classifier is part of the graph, also in inference, as its authors had it;
    `create_aux_logits=False` leaves it out. At other sizes than 299 the shape of its kernel
    `Conv2d_2a_5x5` follows the image size.
    """

    function = staticmethod(inception_resnet_v2)
    arg_scope = staticmethod(inception_resnet_v2_arg_scope)
    scope = "InceptionResnetV2"
    default_image_size = 299
    minimum_image_size = 75
    head = ("InceptionResnetV2/Logits/", "InceptionResnetV2/AuxLogits/Logits")
    auxiliary = ("InceptionResnetV2/AuxLogits",)
