"""I3D: Inception V1 with every kernel inflated to three dimensions.

Carreira and Zisserman, 2017, "Quo Vadis, Action Recognition?", https://arxiv.org/abs/1705.07750.
Wiring, names and defaults are those of the Slim model library's i3d.py.
"""

from __future__ import annotations

import tensorflow.compat.v1 as tf
import tf_slim as slim

from zoo.shim import TF1Network

from .heads import check_final_endpoint
from .video import END_POINTS, video_arg_scope, video_base, video_head


def i3d_arg_scope(
    weight_decay=1e-7,
    batch_norm_decay=0.999,
    batch_norm_epsilon=0.001,
    use_renorm=False,
    separable_conv3d=False,
):
    return video_arg_scope(
        weight_decay, batch_norm_decay, batch_norm_epsilon, separable_conv3d, use_renorm
    )


def i3d(
    inputs,
    num_classes=400,
    dropout_keep_prob=0.8,
    is_training=True,
    prediction_fn=slim.softmax,
    spatial_squeeze=True,
    reuse=None,
    scope="InceptionV1",
    global_pool=False,
    final_endpoint=None,
):
    check_final_endpoint(final_endpoint, END_POINTS)
    with (
        tf.variable_scope(scope, "InceptionV1", [inputs, num_classes], reuse=reuse) as scope,
        slim.arg_scope([slim.batch_norm, slim.dropout], is_training=is_training),
    ):
        net, end_points = video_base(
            inputs,
            first_temporal_kernel_size=7,
            gating_startat=None,
            final_endpoint=final_endpoint or END_POINTS[-1],
            scope=scope,
        )
        if final_endpoint is not None:
            return net, end_points
        return video_head(
            net,
            end_points,
            num_classes,
            dropout_keep_prob,
            prediction_fn,
            spatial_squeeze,
            global_pool,
        )


i3d.default_image_size = 224


class I3D(TF1Network):
    """I3D: clips (N, 16, 224, 224, 3) float32 -> logits (N, 400)."""

    function = staticmethod(i3d)
    arg_scope = staticmethod(i3d_arg_scope)
    scope = "InceptionV1"
    default_image_size = 224
    image_rank = 5
    head = ("InceptionV1/Logits/",)
