"""S3D-G: I3D with kernels that are separate in space and time, and gates after them.

Xie, Sun, Huang, Tu and Murphy, 2017, "Rethinking Spatiotemporal Feature Learning",
https://arxiv.org/abs/1712.04851. Wiring, names and defaults are those of the Slim model library's
s3dg.py.
"""

from __future__ import annotations

import tensorflow.compat.v1 as tf
import tf_slim as slim

from zoo.shim import TF1Network

from .video import video_arg_scope, video_base, video_head


def s3dg_arg_scope(weight_decay=1e-7, batch_norm_decay=0.999, batch_norm_epsilon=0.001):
    return video_arg_scope(weight_decay, batch_norm_decay, batch_norm_epsilon, separable=True)


def s3dg(
    inputs,
    num_classes=400,
    first_temporal_kernel_size=3,
    temporal_conv_startat="Conv2d_2c_3x3",
    gating_startat="Conv2d_2c_3x3",
    final_endpoint="Mixed_5c",
    min_depth=16,
    depth_multiplier=1.0,
    dropout_keep_prob=0.8,
    is_training=True,
    prediction_fn=slim.softmax,
    spatial_squeeze=True,
    reuse=None,
    data_format="NDHWC",
    scope="InceptionV1",
    global_pool=False,
):
    """The head follows `final_endpoint`, whichever it is."""
    with (
        tf.variable_scope(scope, "InceptionV1", [inputs, num_classes], reuse=reuse) as scope,
        slim.arg_scope([slim.batch_norm, slim.dropout], is_training=is_training),
    ):
        net, end_points = video_base(
            inputs,
            first_temporal_kernel_size=first_temporal_kernel_size,
            temporal_conv_startat=temporal_conv_startat,
            gating_startat=gating_startat,
            final_endpoint=final_endpoint,
            min_depth=min_depth,
            depth_multiplier=depth_multiplier,
            data_format=data_format,
            scope=scope,
        )
        if data_format == "NCDHW":
            net = tf.transpose(net, [0, 2, 3, 4, 1])
        return video_head(
            net,
            end_points,
            num_classes,
            dropout_keep_prob,
            prediction_fn,
            spatial_squeeze,
            global_pool,
        )


s3dg.default_image_size = 224


class S3DG(TF1Network):
    """S3D-G: clips (N, 16, 224, 224, 3) float32 -> logits (N, 400)."""

    function = staticmethod(s3dg)
    arg_scope = staticmethod(s3dg_arg_scope)
    scope = "InceptionV1"
    default_image_size = 224
    image_rank = 5
    head = ("InceptionV1/Logits/",)
