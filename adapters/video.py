"""Inception V1 inflated to clips: what I3D and S3D-G are both made of.

Carreira and Zisserman, 2017, https://arxiv.org/abs/1705.07750; Xie et al., 2017,
https://arxiv.org/abs/1712.04851. Wiring, names and defaults are those of the Slim model library's
i3d.py, s3dg.py and i3d_utils.py. Names are Inception V1's, so that its checkpoints can be inflated.
"""

from __future__ import annotations

import numpy as np
import tensorflow.compat.v1 as tf
import tf_slim as slim

from zoo.errors import ArgumentError

from .heads import (
    check_depth_multiplier,
    check_final_endpoint,
    global_average,
    reduced_kernel,
    squeeze_spatial,
)

# Table 1 of the GoogLeNet paper: width of the 1x1 branch, (reduce, 3x3) twice (the second stands
# where the paper has 5x5), width after pooling.
MODULES = {
    "Mixed_3b": (64, (96, 128), (16, 32), 32),
    "Mixed_3c": (128, (128, 192), (32, 96), 64),
    "Mixed_4b": (192, (96, 208), (16, 48), 64),
    "Mixed_4c": (160, (112, 224), (24, 64), 64),
    "Mixed_4d": (128, (128, 256), (24, 64), 64),
    "Mixed_4e": (112, (144, 288), (32, 64), 64),
    "Mixed_4f": (256, (160, 320), (32, 128), 128),
    "Mixed_5b": (256, (160, 320), (32, 128), 128),
    "Mixed_5c": (384, (192, 384), (48, 128), 128),
}
# (frames, height, width) of the window, and the same of its stride.
POOLS = {
    "MaxPool_2a_3x3": ([1, 3, 3], [1, 2, 2]),
    "MaxPool_3a_3x3": ([1, 3, 3], [1, 2, 2]),
    "MaxPool_4a_3x3": ([3, 3, 3], [2, 2, 2]),
    "MaxPool_5a_2x2": ([2, 2, 2], [2, 2, 2]),
}
END_POINTS = (
    "Conv2d_1a_7x7 MaxPool_2a_3x3 Conv2d_2b_1x1 Conv2d_2c_3x3 MaxPool_3a_3x3 Mixed_3b Mixed_3c "
    "MaxPool_4a_3x3 Mixed_4b Mixed_4c Mixed_4d Mixed_4e Mixed_4f MaxPool_5a_2x2 Mixed_5b Mixed_5c"
).split()
# The layers that convolve over time, and that gates can follow.
STARTS = ("Conv2d_2c_3x3", *MODULES)


def video_arg_scope(weight_decay, batch_norm_decay, batch_norm_epsilon, separable, renorm=False):
    """Batch norm without gamma, not fused, and ReLU after every convolution; an L2 loss."""
    batch_norm = {
        "decay": batch_norm_decay,
        "epsilon": batch_norm_epsilon,
        "fused": False,
        "renorm": renorm,
        "variables_collections": {
            "moving_mean": ["moving_vars"],
            "moving_variance": ["moving_vars"],
        },
    }
    with slim.arg_scope(
        [slim.conv3d],
        weights_regularizer=slim.l2_regularizer(float(weight_decay)),
        activation_fn=tf.nn.relu,
        normalizer_fn=slim.batch_norm,
        normalizer_params=batch_norm,
    ):
        with slim.arg_scope([convolve], separable=separable) as scope:
            return scope


def identity_in_time(shape, dtype=tf.float32, partition_info=None):
    """Initial kernel of a convolution over time alone: each frame stays as it is."""
    kernel = np.zeros(shape, np.float32)
    kernel[shape[0] // 2, 0, 0] = np.eye(*shape[3:])
    return tf.constant(kernel, dtype)


@slim.add_arg_scope
def convolve(net, width, kernel, stride=1, separable=False, scope=None):
    """A convolution over space and time; `separable` has one over each, one after the other.

    The second half has no batch norm, and therefore biases.
    """
    if not separable or kernel[0] == 1:
        return slim.conv3d(net, width, kernel, stride=stride, scope=scope)
    net = slim.conv3d(net, width, [1, *kernel[1:]], stride=[1, stride, stride], scope=scope)
    return slim.conv3d(
        net,
        width,
        [kernel[0], 1, 1],
        stride=[stride, 1, 1],
        normalizer_fn=None,
        weights_initializer=identity_in_time,
        scope=f"{scope}/temporal",
    )


def gate(net, data_format, scope):
    """Scales every channel by what the mean over all of the clip says of it (section 4.3).

    The original pools with a window of the clip's size, height and width interchanged; the mean
    is the same for square frames, and right for others.
    """
    axes = [data_format.index(axis) for axis in "DHW"]
    channels = net.shape[data_format.index("C")]
    gates = slim.conv3d(
        tf.reduce_mean(net, axes, keepdims=True),
        channels,
        [1, 1, 1],
        activation_fn=None,
        normalizer_fn=None,
        biases_initializer=None,
        scope=f"{scope}/self_gating/transformer_W",
    )
    return tf.nn.sigmoid(gates) * net


def video_base(
    inputs,
    first_temporal_kernel_size=3,
    temporal_conv_startat="Conv2d_2c_3x3",
    gating_startat="Conv2d_2c_3x3",
    final_endpoint="Mixed_5c",
    min_depth=16,
    depth_multiplier=1.0,
    data_format="NDHWC",
    scope="InceptionV1",
):
    """The network up to `final_endpoint`, without the head: (features, end points)."""
    check_depth_multiplier(depth_multiplier)
    check_final_endpoint(final_endpoint, END_POINTS)
    _check_choice("first_temporal_kernel_size", first_temporal_kernel_size, (1, 3, 5, 7))
    _check_choice("temporal_conv_startat", temporal_conv_startat, (*STARTS, None))
    _check_choice("gating_startat", gating_startat, (*STARTS, None))
    _check_choice("data_format", data_format, ("NDHWC", "NCDHW"))

    def depth(width):
        return max(int(width * depth_multiplier), min_depth)

    def has_begun(start, name):
        return start is not None and END_POINTS.index(name) >= END_POINTS.index(start)

    def layer(name):
        frames = 3 if has_begun(temporal_conv_startat, name) else 1
        gates = data_format if has_begun(gating_startat, name) else None
        if name == "Conv2d_1a_7x7":
            kernel = [first_temporal_kernel_size, 7, 7]
            return convolve(net, depth(64), kernel, stride=2, separable=False, scope=name)
        if name in POOLS:
            window, stride = POOLS[name]
            return slim.max_pool3d(net, window, stride=stride, scope=name)
        if name == "Conv2d_2b_1x1":
            return slim.conv3d(net, depth(64), [1, 1, 1], scope=name)
        if name == "Conv2d_2c_3x3":
            convolved = convolve(net, depth(192), [frames, 3, 3], scope=name)
            return gate(convolved, gates, name) if gates else convolved
        with tf.variable_scope(name):
            branches = _branches(net, depth, *MODULES[name], frames, gates)
            return tf.concat(branches, axis=data_format.index("C"))

    net, end_points = inputs, {}
    with (
        tf.variable_scope(scope, "InceptionV1", [inputs]),
        slim.arg_scope(
            [slim.conv3d], weights_initializer=tf.truncated_normal_initializer(0.0, 0.01)
        ),
        slim.arg_scope(
            [slim.conv3d, slim.max_pool3d], stride=1, data_format=data_format, padding="SAME"
        ),
        # Slim's batch norm knows the layouts by their two-dimensional names.
        slim.arg_scope([slim.batch_norm], data_format=data_format.replace("D", "")),
    ):
        for name in END_POINTS:
            net = end_points[name] = layer(name)
            if name == final_endpoint:
                break
    return net, end_points


def _check_choice(argument, value, accepted) -> None:
    if value not in accepted:
        raise ArgumentError(
            f"{argument} has a few values only.",
            received=f"{argument}={value!r}",
            accepted=", ".join(map(repr, accepted)),
        )


def _branches(net, depth, one, three, other_three, projection, frames, gates):
    """The branches of one module, each of them gated at its end if `gates` is a data format."""
    branches = []

    def finish(branch, name):
        branches.append(gate(branch, gates, name) if gates else branch)

    with tf.variable_scope("Branch_0"):
        branch = slim.conv3d(net, depth(one), [1, 1, 1], scope="Conv2d_0a_1x1")
        finish(branch, "Conv2d_0a_1x1")
    for index, (reduced, width) in enumerate((three, other_three), 1):
        with tf.variable_scope(f"Branch_{index}"):
            branch = slim.conv3d(net, depth(reduced), [1, 1, 1], scope="Conv2d_0a_1x1")
            branch = convolve(branch, depth(width), [frames, 3, 3], scope="Conv2d_0b_3x3")
            finish(branch, "Conv2d_0b_3x3")
    with tf.variable_scope("Branch_3"):
        branch = slim.max_pool3d(net, [3, 3, 3], scope="MaxPool_0a_3x3")
        branch = slim.conv3d(branch, depth(projection), [1, 1, 1], scope="Conv2d_0b_1x1")
        finish(branch, "Conv2d_0b_1x1")
    return branches


def video_head(
    net, end_points, num_classes, dropout_keep_prob, prediction_fn, spatial_squeeze, global_pool
):
    """Logits, the mean of those at each time, from features (N, frames, height, width, C)."""
    with tf.variable_scope("Logits"):
        if global_pool:
            net = end_points["global_pool"] = global_average(net, axes=(2, 3))
        window = [*reduced_kernel(net, 2, (1,)), *reduced_kernel(net, 7, (2, 3))]
        net = slim.avg_pool3d(net, window, stride=1, scope="AvgPool_0a_7x7")
        if not num_classes:
            return net, end_points
        net = slim.dropout(net, dropout_keep_prob, scope="Dropout_0b")
        logits = slim.conv3d(
            net,
            num_classes,
            [1, 1, 1],
            activation_fn=None,
            normalizer_fn=None,
            scope="Conv2d_0c_1x1",
        )
        logits = tf.reduce_mean(logits, axis=1)
        if spatial_squeeze:
            logits = squeeze_spatial(logits)
        end_points["Logits"] = logits
        if prediction_fn:
            end_points["Predictions"] = prediction_fn(logits, scope="Predictions")
    return logits, end_points
