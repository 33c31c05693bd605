"""MobileNet V1 (Howard et al., 2017, https://arxiv.org/abs/1704.04861).

Wiring, names and defaults are those of the Slim model library's mobilenet_v1.py.
"""

from __future__ import annotations

from collections import namedtuple

import tensorflow.compat.v1 as tf
import tf_slim as slim

from zoo.errors import ArgumentError
from zoo.shim import TF1Network

from .heads import (
    check_depth_multiplier,
    check_final_endpoint,
    global_average,
    reduced_kernel,
    squeeze_spatial,
)

# A convolution, and a depthwise convolution followed by a 1 x 1 one, each with batch norm.
Conv = namedtuple("Conv", ["kernel", "stride", "depth"])
DepthSepConv = namedtuple("DepthSepConv", ["kernel", "stride", "depth"])

# Table 1 of the paper.
MOBILENET_V1_CONV_DEFS = (
    Conv([3, 3], 2, 32),
    DepthSepConv([3, 3], 1, 64),
    DepthSepConv([3, 3], 2, 128),
    DepthSepConv([3, 3], 1, 128),
    DepthSepConv([3, 3], 2, 256),
    DepthSepConv([3, 3], 1, 256),
    DepthSepConv([3, 3], 2, 512),
    *[DepthSepConv([3, 3], 1, 512)] * 5,
    DepthSepConv([3, 3], 2, 1024),
    DepthSepConv([3, 3], 1, 1024),
)

OUTPUT_STRIDES = (8, 16, 32)


def mobilenet_v1_arg_scope(
    is_training=True,
    weight_decay=0.00004,
    stddev=0.09,
    regularize_depthwise=False,
    batch_norm_decay=0.9997,
    batch_norm_epsilon=0.001,
    batch_norm_updates_collections=tf.GraphKeys.UPDATE_OPS,
    normalizer_fn=slim.batch_norm,
):
    """ReLU6 and batch norm with gamma; an L2 loss on kernels, the depthwise ones left out."""
    batch_norm = {
        "center": True,
        "scale": True,
        "decay": batch_norm_decay,
        "epsilon": batch_norm_epsilon,
        "updates_collections": batch_norm_updates_collections,
    }
    if is_training is not None:
        batch_norm["is_training"] = is_training
    regularizer = slim.l2_regularizer(float(weight_decay))
    with (
        slim.arg_scope(
            [slim.conv2d, slim.separable_conv2d],
            weights_initializer=tf.truncated_normal_initializer(stddev=stddev),
            activation_fn=tf.nn.relu6,
            normalizer_fn=normalizer_fn,
        ),
        slim.arg_scope([slim.batch_norm], **batch_norm),
        slim.arg_scope([slim.conv2d], weights_regularizer=regularizer),
        slim.arg_scope(
            [slim.separable_conv2d],
            weights_regularizer=regularizer if regularize_depthwise else None,
        ) as scope,
    ):
        return scope


def mobilenet_v1_base(
    inputs,
    final_endpoint=None,
    min_depth=8,
    depth_multiplier=1.0,
    conv_defs=None,
    output_stride=None,
    use_explicit_padding=False,
    scope=None,
):
    """The network up to `final_endpoint` (None: all of it), without the head.

    Past `output_stride` (8, 16 or 32) depthwise convolutions dilate instead of striding.
    `use_explicit_padding` pads alike on both sides whatever the stride, then uses 'VALID'.
    """
    check_depth_multiplier(depth_multiplier)
    if output_stride is not None and output_stride not in OUTPUT_STRIDES:
        raise ArgumentError(
            "The network cannot reach this output stride.",
            received=f"output_stride={output_stride!r}",
            accepted=f"None or one of {', '.join(map(str, OUTPUT_STRIDES))}",
        )
    conv_defs = MOBILENET_V1_CONV_DEFS if conv_defs is None else conv_defs
    check_final_endpoint(final_endpoint, _base_end_points(conv_defs))

    def padded(net, kernel, rate=1):
        return _fixed_padding(net, kernel, rate) if use_explicit_padding else net

    padding = "VALID" if use_explicit_padding else "SAME"
    net, end_points = inputs, {}
    stride_so_far = rate = 1
    with (
        tf.variable_scope(scope, "MobilenetV1", [inputs]),
        slim.arg_scope([slim.conv2d, slim.separable_conv2d], padding=padding),
    ):
        for number, definition in enumerate(conv_defs):
            kernel, stride, depth = definition
            depth = max(int(depth * depth_multiplier), min_depth)
            if stride_so_far == output_stride:
                layer_stride, layer_rate = 1, rate
                rate *= stride
            else:
                layer_stride, layer_rate = stride, 1
                stride_so_far *= stride

            name = f"Conv2d_{number}"
            if isinstance(definition, Conv):
                net = padded(net, kernel)
                net = slim.conv2d(net, depth, kernel, stride=stride, scope=name)
                end_points[name] = net
                if name == final_endpoint:
                    break
                continue

            # Without a number of outputs this is the depthwise convolution alone.
            net = slim.separable_conv2d(
                padded(net, kernel, layer_rate),
                None,
                kernel,
                depth_multiplier=1,
                stride=layer_stride,
                rate=layer_rate,
                scope=f"{name}_depthwise",
            )
            end_points[f"{name}_depthwise"] = net
            if f"{name}_depthwise" == final_endpoint:
                break
            net = slim.conv2d(net, depth, [1, 1], stride=1, scope=f"{name}_pointwise")
            end_points[f"{name}_pointwise"] = net
            if f"{name}_pointwise" == final_endpoint:
                break
    return net, end_points


def _base_end_points(conv_defs):
    for number, definition in enumerate(conv_defs):
        if isinstance(definition, Conv):
            yield f"Conv2d_{number}"
        elif isinstance(definition, DepthSepConv):
            yield from (f"Conv2d_{number}_depthwise", f"Conv2d_{number}_pointwise")
        else:
            raise ArgumentError(
                f"Layer {number} of conv_defs is of no known kind.",
                received=repr(definition),
                accepted="Conv(kernel, stride, depth) or DepthSepConv(kernel, stride, depth)",
            )


def _fixed_padding(net, kernel, rate):
    """Zeros around the map by the kernel's extent alone, whatever the size of the map."""
    before_and_after = []
    for size in kernel:
        total = (size - 1) * rate
        before_and_after.append([total // 2, total - total // 2])
    return tf.pad(net, [[0, 0], *before_and_after, [0, 0]])


def mobilenet_v1(
    inputs,
    num_classes=1001,
    dropout_keep_prob=0.999,
    is_training=True,
    min_depth=8,
    depth_multiplier=1.0,
    conv_defs=None,
    prediction_fn=slim.softmax,
    spatial_squeeze=True,
    reuse=None,
    scope="MobilenetV1",
    global_pool=False,
    output_stride=None,
    use_explicit_padding=False,
    final_endpoint=None,
):
    with (
        tf.variable_scope(scope, "MobilenetV1", [inputs], reuse=reuse) as scope,
        slim.arg_scope([slim.batch_norm, slim.dropout], is_training=is_training),
    ):
        net, end_points = mobilenet_v1_base(
            inputs,
            final_endpoint=final_endpoint,
            min_depth=min_depth,
            depth_multiplier=depth_multiplier,
            conv_defs=conv_defs,
            output_stride=output_stride,
            use_explicit_padding=use_explicit_padding,
            scope=scope,
        )
        if final_endpoint is not None:
            return net, end_points

        with tf.variable_scope("Logits"):
            if global_pool:
                net = end_points["global_pool"] = global_average(net)
            else:
                net = slim.avg_pool2d(
                    net, reduced_kernel(net, 7), padding="VALID", scope="AvgPool_1a"
                )
                end_points["AvgPool_1a"] = net
            if not num_classes:
                return net, end_points
            net = slim.dropout(net, keep_prob=dropout_keep_prob, scope="Dropout_1b")
            logits = slim.conv2d(
                net,
                num_classes,
                [1, 1],
                activation_fn=None,
                normalizer_fn=None,
                scope="Conv2d_1c_1x1",
            )
            if spatial_squeeze:
                logits = squeeze_spatial(logits)
        end_points["Logits"] = logits
        if prediction_fn:
            end_points["Predictions"] = prediction_fn(logits, scope="Predictions")
    return logits, end_points


mobilenet_v1.default_image_size = 224


class MobileNetV1(TF1Network):
    """MobileNet V1: images (N, 224, 224, 3) float32 -> logits (N, 1001).

    `depth_multiplier` 1.0, 0.75, 0.5 and 0.25 are the published widths; 224, 192, 160 and 128
    are the published image sizes.
    """

    function = staticmethod(mobilenet_v1)
    arg_scope = staticmethod(mobilenet_v1_arg_scope)
    scope = "MobilenetV1"
    default_image_size = 224
    minimum_image_size = 1
    head = ("MobilenetV1/Logits/",)
