"""Inception V4 (Szegedy et al., 2016, https://arxiv.org/abs/1602.07261).

Wiring, names and defaults are those of the Slim model library's inception_v4.py. Like it, the
network averages over the whole map whatever its size, so it has no `global_pool`.
"""

from __future__ import annotations

import tensorflow.compat.v1 as tf
import tf_slim as slim

from zoo.shim import TF1Network

from .heads import check_final_endpoint
from .inception import inception_arg_scope
from .inception_parts import Layer, auxiliary_logits, concatenated, head, layer, same_size

inception_v4_arg_scope = inception_arg_scope

STEM = (
    Layer("Conv2d_1a_3x3", 32, stride=2),
    Layer("Conv2d_2a_3x3", 32, stride=1),
    Layer("Conv2d_2b_3x3", 64),
)

# The figures of the paper, by name: figure 3 (the rest of the stem), 4 to 8.
STEM_3A = (
    (Layer("MaxPool_0a_3x3", stride=2),),
    (Layer("Conv2d_0a_3x3", 96, stride=2),),
)
STEM_4A = (
    (Layer("Conv2d_0a_1x1", 64), Layer("Conv2d_1a_3x3", 96, stride=1)),
    (
        Layer("Conv2d_0a_1x1", 64),
        Layer("Conv2d_0b_1x7", 64),
        Layer("Conv2d_0c_7x1", 64),
        Layer("Conv2d_1a_3x3", 96, stride=1),
    ),
)
STEM_5A = (
    (Layer("Conv2d_1a_3x3", 192, stride=2),),
    (Layer("MaxPool_1a_3x3", stride=2),),
)
INCEPTION_A = (
    (Layer("Conv2d_0a_1x1", 96),),
    (Layer("Conv2d_0a_1x1", 64), Layer("Conv2d_0b_3x3", 96)),
    (Layer("Conv2d_0a_1x1", 64), Layer("Conv2d_0b_3x3", 96), Layer("Conv2d_0c_3x3", 96)),
    (Layer("AvgPool_0a_3x3"), Layer("Conv2d_0b_1x1", 96)),
)
REDUCTION_A = (
    (Layer("Conv2d_1a_3x3", 384, stride=2),),
    (
        Layer("Conv2d_0a_1x1", 192),
        Layer("Conv2d_0b_3x3", 224),
        Layer("Conv2d_1a_3x3", 256, stride=2),
    ),
    (Layer("MaxPool_1a_3x3", stride=2),),
)
INCEPTION_B = (
    (Layer("Conv2d_0a_1x1", 384),),
    (Layer("Conv2d_0a_1x1", 192), Layer("Conv2d_0b_1x7", 224), Layer("Conv2d_0c_7x1", 256)),
    (
        Layer("Conv2d_0a_1x1", 192),
        Layer("Conv2d_0b_7x1", 192),
        Layer("Conv2d_0c_1x7", 224),
        Layer("Conv2d_0d_7x1", 224),
        Layer("Conv2d_0e_1x7", 256),
    ),
    (Layer("AvgPool_0a_3x3"), Layer("Conv2d_0b_1x1", 128)),
)
REDUCTION_B = (
    (Layer("Conv2d_0a_1x1", 192), Layer("Conv2d_1a_3x3", 192, stride=2)),
    (
        Layer("Conv2d_0a_1x1", 256),
        Layer("Conv2d_0b_1x7", 256),
        Layer("Conv2d_0c_7x1", 320),
        Layer("Conv2d_1a_3x3", 320, stride=2),
    ),
    (Layer("MaxPool_1a_3x3", stride=2),),
)
INCEPTION_C = (
    (Layer("Conv2d_0a_1x1", 256),),
    (Layer("Conv2d_0a_1x1", 384), [Layer("Conv2d_0b_1x3", 256), Layer("Conv2d_0c_3x1", 256)]),
    (
        Layer("Conv2d_0a_1x1", 384),
        Layer("Conv2d_0b_3x1", 448),
        Layer("Conv2d_0c_1x3", 512),
        [Layer("Conv2d_0d_1x3", 256), Layer("Conv2d_0e_3x1", 256)],
    ),
    (Layer("AvgPool_0a_3x3"), Layer("Conv2d_0b_1x1", 256)),
)

MODULES = {
    "Mixed_3a": STEM_3A,
    "Mixed_4a": STEM_4A,
    "Mixed_5a": STEM_5A,
    **{f"Mixed_5{letter}": INCEPTION_A for letter in "bcde"},
    "Mixed_6a": REDUCTION_A,
    **{f"Mixed_6{letter}": INCEPTION_B for letter in "bcdefgh"},
    "Mixed_7a": REDUCTION_B,
    **{f"Mixed_7{letter}": INCEPTION_C for letter in "bcd"},
}
END_POINTS = (*(first.scope for first in STEM), *MODULES)


def inception_v4_base(inputs, final_endpoint="Mixed_7d", scope=None):
    """The network up to `final_endpoint`, without the head: (features, end points)."""
    check_final_endpoint(final_endpoint, END_POINTS)
    stem = {first.scope: first for first in STEM}
    net, end_points = inputs, {}
    with tf.variable_scope(scope, "InceptionV4", [inputs]), same_size():
        for name in END_POINTS:
            if name in stem:
                net = layer(net, stem[name])
            else:
                with tf.variable_scope(name):
                    net = concatenated(net, MODULES[name])
            end_points[name] = net
            if name == final_endpoint:
                break
    return net, end_points


def inception_v4(
    inputs,
    num_classes=1001,
    is_training=True,
    dropout_keep_prob=0.8,
    reuse=None,
    scope="InceptionV4",
    create_aux_logits=True,
    final_endpoint=None,
):
    with (
        tf.variable_scope(scope, "InceptionV4", [inputs], reuse=reuse) as scope,
        slim.arg_scope([slim.batch_norm, slim.dropout], is_training=is_training),
    ):
        net, end_points = inception_v4_base(inputs, final_endpoint or END_POINTS[-1], scope)
        if final_endpoint is not None:
            return net, end_points
        if create_aux_logits and num_classes:
            end_points["AuxLogits"] = auxiliary_logits(
                end_points["Mixed_6h"], num_classes, "Conv2d_2a", "Aux_logits"
            )
        return head(net, end_points, num_classes, dropout_keep_prob), end_points


inception_v4.default_image_size = 299


class InceptionV4(TF1Network):
    """Inception V4: images (N, 299, 299, 3) float32 -> logits (N, 1001).

    The auxiliary classifier is part of the graph, also in inference, as its authors had it;
    `create_aux_logits=False` leaves it out. At other sizes than 299 the shape of its kernel
    `Conv2d_2a` follows the image size.
    """

    function = staticmethod(inception_v4)
    arg_scope = staticmethod(inception_v4_arg_scope)
    scope = "InceptionV4"
    default_image_size = 299
    minimum_image_size = 75
    head = ("InceptionV4/Logits/", "InceptionV4/AuxLogits/Aux_logits")
    auxiliary = ("InceptionV4/AuxLogits",)
