"""Inception V1, V2 and V3.

V1 is GoogLeNet (Szegedy et al., 2014, https://arxiv.org/abs/1409.4842), V2 is BN-Inception
(Ioffe and Szegedy, 2015, https://arxiv.org/abs/1502.03167), V3 is Szegedy et al., 2015,
https://arxiv.org/abs/1512.00567. Wiring, names and defaults are those of the Slim model
library's inception_v1.py, inception_v2.py and inception_v3.py. The bodies of V1 and V3 are
tf_slim's own; V2's is here, for tf_slim's has no `use_separable_conv` and `data_format`.
"""

from __future__ import annotations

import tensorflow.compat.v1 as tf
import tf_slim as slim
from tf_slim.nets.inception_v1 import inception_v1_base
from tf_slim.nets.inception_v3 import inception_v3_base

from zoo.errors import ArgumentError
from zoo.shim import TF1Network

from .heads import (
    check_depth_multiplier,
    check_final_endpoint,
    check_map,
    global_average,
    reduced_kernel,
    squeeze_spatial,
)


def inception_arg_scope(
    weight_decay=0.00004,
    use_batch_norm=True,
    batch_norm_decay=0.9997,
    batch_norm_epsilon=0.001,
    activation_fn=tf.nn.relu,
    batch_norm_updates_collections=tf.GraphKeys.UPDATE_OPS,
    batch_norm_scale=False,
):
    """Batch norm without gamma and ReLU after every convolution; an L2 loss on its kernel."""
    batch_norm = {
        "decay": batch_norm_decay,
        "epsilon": batch_norm_epsilon,
        "updates_collections": batch_norm_updates_collections,
        "fused": None,
        "scale": batch_norm_scale,
    }
    with slim.arg_scope(
        [slim.conv2d, slim.fully_connected],
        weights_regularizer=slim.l2_regularizer(float(weight_decay)),
    ):
        with slim.arg_scope(
            [slim.conv2d],
            weights_initializer=slim.variance_scaling_initializer(),
            activation_fn=activation_fn,
            normalizer_fn=slim.batch_norm if use_batch_norm else None,
            normalizer_params=batch_norm if use_batch_norm else {},
        ) as scope:
            return scope


inception_v1_arg_scope = inception_v2_arg_scope = inception_v3_arg_scope = inception_arg_scope


def _truncated_normal(stddev):
    return tf.truncated_normal_initializer(0.0, stddev)


def _logits(net, num_classes, scope):
    return slim.conv2d(
        net, num_classes, [1, 1], activation_fn=None, normalizer_fn=None, scope=scope
    )


# ------------------------------------------------------------------------------ Inception V1

V1_END_POINTS = (
    "Conv2d_1a_7x7 MaxPool_2a_3x3 Conv2d_2b_1x1 Conv2d_2c_3x3 MaxPool_3a_3x3 Mixed_3b Mixed_3c "
    "MaxPool_4a_3x3 Mixed_4b Mixed_4c Mixed_4d Mixed_4e Mixed_4f MaxPool_5a_2x2 Mixed_5b Mixed_5c"
).split()


def inception_v1(
    inputs,
    num_classes=1001,
    is_training=True,
    dropout_keep_prob=0.8,
    prediction_fn=slim.softmax,
    spatial_squeeze=True,
    reuse=None,
    scope="InceptionV1",
    global_pool=False,
    final_endpoint=None,
):
    check_final_endpoint(final_endpoint, V1_END_POINTS)
    with (
        tf.variable_scope(scope, "InceptionV1", [inputs], reuse=reuse) as scope,
        slim.arg_scope([slim.batch_norm, slim.dropout], is_training=is_training),
    ):
        net, end_points = inception_v1_base(
            inputs, final_endpoint=final_endpoint or V1_END_POINTS[-1], scope=scope
        )
        if final_endpoint is not None:
            return net, end_points

        with tf.variable_scope("Logits"):
            if global_pool:
                net = end_points["global_pool"] = global_average(net)
            else:
                net = slim.avg_pool2d(net, reduced_kernel(net, 7), stride=1, scope="AvgPool_0a_7x7")
                end_points["AvgPool_0a_7x7"] = net
            if not num_classes:
                return net, end_points
            net = slim.dropout(net, dropout_keep_prob, scope="Dropout_0b")
            logits = _logits(net, num_classes, "Conv2d_0c_1x1")
            if spatial_squeeze:
                logits = squeeze_spatial(logits)
            end_points["Logits"] = logits
            if prediction_fn:
                end_points["Predictions"] = prediction_fn(logits, scope="Predictions")
    return logits, end_points


inception_v1.default_image_size = 224


class InceptionV1(TF1Network):
    """Inception V1, GoogLeNet with batch norm: images (N, 224, 224, 3) float32 -> (N, 1001)."""

    function = staticmethod(inception_v1)
    arg_scope = staticmethod(inception_v1_arg_scope)
    scope = "InceptionV1"
    default_image_size = 224
    minimum_image_size = 1
    head = ("InceptionV1/Logits/",)


# ------------------------------------------------------------------------------ Inception V2

# Table 5 of the BN-Inception paper, as the published network has it. A module that keeps the
# map's size: width of the 1x1 branch, (reduce, 3x3), (reduce, double 3x3), width after pooling.
# One that halves it has no 1x1 branch and no width after pooling.
V2_MODULES = {
    "Mixed_3b": (64, (64, 64), (64, 96), 32),
    "Mixed_3c": (64, (64, 96), (64, 96), 64),
    "Mixed_4a": (None, (128, 160), (64, 96), None),
    "Mixed_4b": (224, (64, 96), (96, 128), 128),
    "Mixed_4c": (192, (96, 128), (96, 128), 128),
    "Mixed_4d": (160, (128, 160), (128, 160), 96),
    "Mixed_4e": (96, (128, 192), (160, 192), 96),
    "Mixed_5a": (None, (128, 192), (192, 256), None),
    "Mixed_5b": (352, (192, 320), (160, 224), 128),
    "Mixed_5c": (352, (192, 320), (192, 224), 128),
}
V2_MAX_POOLING = "Mixed_5c"  # the one module whose pooling branch takes the maximum
V2_END_POINTS = (
    *("Conv2d_1a_7x7", "MaxPool_2a_3x3", "Conv2d_2b_1x1", "Conv2d_2c_3x3", "MaxPool_3a_3x3"),
    *V2_MODULES,
)


def inception_v2_base(
    inputs,
    final_endpoint="Mixed_5c",
    min_depth=16,
    depth_multiplier=1.0,
    use_separable_conv=True,
    data_format="NHWC",
    scope=None,
):
    """The network up to `final_endpoint`, without the head: (features, end points)."""
    check_depth_multiplier(depth_multiplier)
    _check_v2_data_format(data_format, use_separable_conv)
    check_final_endpoint(final_endpoint, V2_END_POINTS)

    def depth(width):
        return max(int(width * depth_multiplier), min_depth)

    def layer(name):
        if name == "Conv2d_1a_7x7":
            return _v2_first_layer(net, depth(64), use_separable_conv)
        if name.startswith("MaxPool"):
            return slim.max_pool2d(net, [3, 3], stride=2, scope=name)
        if name == "Conv2d_2b_1x1":
            initializer = _truncated_normal(0.1)
            return slim.conv2d(net, depth(64), [1, 1], weights_initializer=initializer, scope=name)
        if name == "Conv2d_2c_3x3":
            return slim.conv2d(net, depth(192), [3, 3], scope=name)
        pool = slim.max_pool2d if name == V2_MAX_POOLING else slim.avg_pool2d
        with tf.variable_scope(name):
            branches = _v2_branches(net, depth, *V2_MODULES[name], pool)
            return tf.concat(branches, axis=data_format.index("C"))

    net, end_points = inputs, {}
    with (
        tf.variable_scope(scope, "InceptionV2", [inputs]),
        slim.arg_scope([slim.separable_conv2d], stride=1, padding="SAME"),
        slim.arg_scope(
            [slim.conv2d, slim.max_pool2d, slim.avg_pool2d],
            stride=1,
            padding="SAME",
            data_format=data_format,
        ),
        slim.arg_scope([slim.batch_norm], data_format=data_format),
    ):
        for name in V2_END_POINTS:
            net = end_points[name] = layer(name)
            if name == final_endpoint:
                break
    return net, end_points


def _check_v2_data_format(data_format, use_separable_conv):
    if data_format not in ("NHWC", "NCHW"):
        raise ArgumentError(
            "The data format says where the channels are.",
            received=f"data_format={data_format!r}",
            accepted="'NHWC' or 'NCHW'",
        )
    if data_format == "NCHW" and use_separable_conv:
        raise ArgumentError(
            "The separable convolution that the network starts with needs channels last.",
            received="data_format='NCHW', use_separable_conv=True",
            accepted="data_format='NHWC', or use_separable_conv=False",
        )


def _v2_first_layer(images, depth, use_separable_conv):
    """7 x 7, stride 2: three depthwise kernels widened to `depth`, or a plain convolution."""
    arguments = {
        "stride": 2,
        "weights_initializer": _truncated_normal(1.0),
        "scope": "Conv2d_1a_7x7",
    }
    if not use_separable_conv:
        return slim.conv2d(images, depth, [7, 7], **arguments)
    # At most 8 kernels a colour, and no more channels between the two halves than after them.
    kernels = min(int(depth / 3), 8)
    return slim.separable_conv2d(images, depth, [7, 7], depth_multiplier=kernels, **arguments)


def _v2_branches(net, depth, one, three, double, projection, pool):
    """The branches of one module, to be concatenated."""
    halves = one is None
    branches = []

    def branch():
        return tf.variable_scope(f"Branch_{len(branches)}")

    def reduce(width):
        return slim.conv2d(
            net,
            depth(width),
            [1, 1],
            weights_initializer=_truncated_normal(0.09),
            scope="Conv2d_0a_1x1",
        )

    def convolve(x, width, scope, stride=1):
        return slim.conv2d(x, depth(width), [3, 3], stride=stride, scope=scope)

    if not halves:
        with branch():
            branches.append(slim.conv2d(net, depth(one), [1, 1], scope="Conv2d_0a_1x1"))
    with branch():
        x = reduce(three[0])
        if halves:
            branches.append(convolve(x, three[1], "Conv2d_1a_3x3", stride=2))
        else:
            branches.append(convolve(x, three[1], "Conv2d_0b_3x3"))
    with branch():
        x = convolve(reduce(double[0]), double[1], "Conv2d_0b_3x3")
        if halves:
            branches.append(convolve(x, double[1], "Conv2d_1a_3x3", stride=2))
        else:
            branches.append(convolve(x, double[1], "Conv2d_0c_3x3"))
    with branch():
        if halves:
            branches.append(slim.max_pool2d(net, [3, 3], stride=2, scope="MaxPool_1a_3x3"))
        else:
            kind = "MaxPool" if pool is slim.max_pool2d else "AvgPool"
            x = pool(net, [3, 3], scope=f"{kind}_0a_3x3")
            initializer = _truncated_normal(0.1)
            branches.append(
                slim.conv2d(
                    x,
                    depth(projection),
                    [1, 1],
                    weights_initializer=initializer,
                    scope="Conv2d_0b_1x1",
                )
            )
    return branches


def inception_v2(
    inputs,
    num_classes=1001,
    is_training=True,
    dropout_keep_prob=0.8,
    min_depth=16,
    depth_multiplier=1.0,
    prediction_fn=slim.softmax,
    spatial_squeeze=True,
    reuse=None,
    scope="InceptionV2",
    global_pool=False,
    use_separable_conv=True,
    data_format="NHWC",
    final_endpoint=None,
):
    with (
        tf.variable_scope(scope, "InceptionV2", [inputs], reuse=reuse) as scope,
        slim.arg_scope([slim.batch_norm, slim.dropout], is_training=is_training),
    ):
        net, end_points = inception_v2_base(
            inputs,
            final_endpoint=final_endpoint or V2_END_POINTS[-1],
            min_depth=min_depth,
            depth_multiplier=depth_multiplier,
            use_separable_conv=use_separable_conv,
            data_format=data_format,
            scope=scope,
        )
        if final_endpoint is not None:
            return net, end_points

        axes = [data_format.index("H"), data_format.index("W")]
        with (
            tf.variable_scope("Logits"),
            slim.arg_scope([slim.conv2d, slim.avg_pool2d], data_format=data_format),
        ):
            if global_pool:
                net = end_points["global_pool"] = global_average(net, axes=axes)
            else:
                kernel = reduced_kernel(net, 7, axes)
                name = "AvgPool_1a_{}x{}".format(*kernel)
                net = slim.avg_pool2d(net, kernel, padding="VALID", scope=name)
                end_points["AvgPool_1a"] = net
            if not num_classes:
                return net, end_points
            net = slim.dropout(net, keep_prob=dropout_keep_prob, scope="Dropout_1b")
            end_points["PreLogits"] = net
            logits = _logits(net, num_classes, "Conv2d_1c_1x1")
            if spatial_squeeze:
                logits = squeeze_spatial(logits, axes=axes)
        end_points["Logits"] = logits
        if prediction_fn:
            end_points["Predictions"] = prediction_fn(logits, scope="Predictions")
    return logits, end_points


inception_v2.default_image_size = 224


class InceptionV2(TF1Network):
    """Inception V2, BN-Inception: images (N, 224, 224, 3) float32 -> logits (N, 1001)."""

    function = staticmethod(inception_v2)
    arg_scope = staticmethod(inception_v2_arg_scope)
    scope = "InceptionV2"
    default_image_size = 224
    minimum_image_size = 1
    head = ("InceptionV2/Logits/",)


# ------------------------------------------------------------------------------ Inception V3

V3_END_POINTS = (
    "Conv2d_1a_3x3 Conv2d_2a_3x3 Conv2d_2b_3x3 MaxPool_3a_3x3 Conv2d_3b_1x1 Conv2d_4a_3x3 "
    "MaxPool_5a_3x3 Mixed_5b Mixed_5c Mixed_5d Mixed_6a Mixed_6b Mixed_6c Mixed_6d Mixed_6e "
    "Mixed_7a Mixed_7b Mixed_7c"
).split()


def inception_v3(
    inputs,
    num_classes=1001,
    is_training=True,
    dropout_keep_prob=0.8,
    min_depth=16,
    depth_multiplier=1.0,
    prediction_fn=slim.softmax,
    spatial_squeeze=True,
    reuse=None,
    create_aux_logits=True,
    scope="InceptionV3",
    global_pool=False,
    final_endpoint=None,
):
    check_depth_multiplier(depth_multiplier)
    check_final_endpoint(final_endpoint, V3_END_POINTS)

    def depth(width):
        return max(int(width * depth_multiplier), min_depth)

    with (
        tf.variable_scope(scope, "InceptionV3", [inputs], reuse=reuse) as scope,
        slim.arg_scope([slim.batch_norm, slim.dropout], is_training=is_training),
    ):
        net, end_points = inception_v3_base(
            inputs,
            final_endpoint=final_endpoint or V3_END_POINTS[-1],
            min_depth=min_depth,
            depth_multiplier=depth_multiplier,
            scope=scope,
        )
        if final_endpoint is not None:
            return net, end_points

        if create_aux_logits and num_classes:
            with tf.variable_scope("AuxLogits"):
                logits = _v3_auxiliary_logits(end_points["Mixed_6e"], num_classes, depth)
                if spatial_squeeze:
                    logits = squeeze_spatial(logits)
                end_points["AuxLogits"] = logits

        with tf.variable_scope("Logits"):
            if global_pool:
                net = end_points["global_pool"] = global_average(net)
            else:
                kernel = reduced_kernel(net, 8)
                name = "AvgPool_1a_{}x{}".format(*kernel)
                net = slim.avg_pool2d(net, kernel, padding="VALID", scope=name)
                end_points["AvgPool_1a"] = net
            if not num_classes:
                return net, end_points
            net = slim.dropout(net, keep_prob=dropout_keep_prob, scope="Dropout_1b")
            end_points["PreLogits"] = net
            logits = _logits(net, num_classes, "Conv2d_1c_1x1")
            if spatial_squeeze:
                logits = squeeze_spatial(logits)
        end_points["Logits"] = logits
        if prediction_fn:
            end_points["Predictions"] = prediction_fn(logits, scope="Predictions")
    return logits, end_points


def _v3_auxiliary_logits(net, num_classes, depth):
    """The classifier on Mixed_6e, whose loss helps in training."""
    check_map(net, 5, "the auxiliary logits' pooling", "create_aux_logits=False leaves them out.")
    with slim.arg_scope([slim.conv2d, slim.avg_pool2d], stride=1, padding="SAME"):
        net = slim.avg_pool2d(net, [5, 5], stride=3, padding="VALID", scope="AvgPool_1a_5x5")
        net = slim.conv2d(net, depth(128), [1, 1], scope="Conv2d_1b_1x1")
        kernel = reduced_kernel(net, 5)
        net = slim.conv2d(
            net,
            depth(768),
            kernel,
            weights_initializer=_truncated_normal(0.01),
            padding="VALID",
            scope="Conv2d_2a_{}x{}".format(*kernel),
        )
        return slim.conv2d(
            net,
            num_classes,
            [1, 1],
            activation_fn=None,
            normalizer_fn=None,
            weights_initializer=_truncated_normal(0.001),
            scope="Conv2d_2b_1x1",
        )


inception_v3.default_image_size = 299


class InceptionV3(TF1Network):
    """Inception V3: images (N, 299, 299, 3) float32 -> logits (N, 1001).

    The auxiliary classifier is part of the graph, also in inference, as its authors had it;
    `create_aux_logits=False` leaves it out. At other sizes than 299 the shape of its kernel
    `Conv2d_2a_5x5` follows the image size.
    """

    function = staticmethod(inception_v3)
    arg_scope = staticmethod(inception_v3_arg_scope)
    scope = "InceptionV3"
    default_image_size = 299
    minimum_image_size = 75
    head = ("InceptionV3/Logits/", "InceptionV3/AuxLogits/Conv2d_2b_1x1")
    auxiliary = ("InceptionV3/AuxLogits",)
