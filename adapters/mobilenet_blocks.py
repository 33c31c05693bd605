"""What MobileNet V2 and V3 share: layers as data, inverted bottlenecks, and the head.

A network is a tuple of layers, `Conv`, `Bottleneck` and `Reduce`, that `scale_depths` widens or
narrows and `mobilenet` builds. Wiring, names and defaults are those of the Slim model library's
mobilenet/mobilenet.py and mobilenet/conv_blocks.py; the inverted bottleneck is of Sandler et al.,
2018, https://arxiv.org/abs/1801.04381, squeeze-and-excite inside it and hard swish of Howard et
al., 2019, https://arxiv.org/abs/1905.02244.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import tensorflow.compat.v1 as tf
import tf_slim as slim

from zoo.errors import ArgumentError

from .heads import check_final_endpoint, check_map, global_average

OUTPUT_STRIDES = (1, 2, 4, 8, 16, 32)


@dataclasses.dataclass(frozen=True)
class Conv:
    """A convolution with batch norm, or with biases in its place.

    Without an `activation` of its own a layer has the network's; so has a `Bottleneck`.
    """

    depth: int
    kernel: int = 1
    stride: int = 1
    activation: Callable | None = None
    batch_norm: bool = True


@dataclasses.dataclass(frozen=True)
class Bottleneck:
    """A 1 x 1 expansion, a depthwise convolution, a linear 1 x 1 projection, and a shortcut.

    Attributes:
        depth: channels after the projection.
        kernel, stride: those of the depthwise convolution.
        expansion: the expansion's channels as a multiple of the input's; where that makes no
            more channels than there are, there is no expansion.
        divisible_by: the expansion's channels are a multiple of this.
        squeeze_excite: gate the channels before the projection.
        residual: add the input where stride and depth leave its shape alone.
        fused: one convolution of `kernel` and `stride` expands, and none is depthwise.
    """

    depth: int
    kernel: int = 3
    stride: int = 1
    expansion: float = 6
    divisible_by: int = 8
    activation: Callable | None = None
    squeeze_excite: bool = False
    residual: bool = True
    fused: bool = False


@dataclasses.dataclass(frozen=True)
class Reduce:
    """Average pooling of a square map to 1 x 1; of any other map over windows of `size`."""

    size: int = 7


def mobilenet_training_scope(
    is_training=True,
    weight_decay=0.00004,
    stddev=0.09,
    dropout_keep_prob=0.8,
    bn_decay=0.997,
):
    """Initial weights, batch norm's decay, dropout, and an L2 loss on kernels.

    Depthwise kernels have no such loss. A negative `stddev` stands for Xavier's initial weights.
    """
    if stddev < 0:
        initializer = slim.xavier_initializer()
    else:
        initializer = tf.truncated_normal_initializer(stddev=stddev)
    batch_norm = {"decay": bn_decay}
    dropout = {"keep_prob": dropout_keep_prob}
    if is_training is not None:
        batch_norm["is_training"] = dropout["is_training"] = is_training
    with (
        slim.arg_scope(
            [slim.conv2d, slim.fully_connected, slim.separable_conv2d],
            weights_initializer=initializer,
            normalizer_fn=slim.batch_norm,
        ),
        slim.arg_scope([slim.batch_norm], **batch_norm),
        slim.arg_scope([slim.dropout], **dropout),
        slim.arg_scope([slim.conv2d], weights_regularizer=slim.l2_regularizer(weight_decay)),
        slim.arg_scope([slim.separable_conv2d], weights_regularizer=None) as scope,
    ):
        return scope


# -- Widths ------------------------------------------------------------------------------------


def make_divisible(value: float, divisor: int, least: int | None = None) -> int:
    """The multiple of `divisor` nearest to `value`, but no less than 0.9 of it, nor `least`."""
    least = divisor if least is None else least
    rounded = max(least, int(value + divisor / 2) // divisor * divisor)
    return rounded + divisor if rounded < 0.9 * value else rounded


def scale_depths(layers, multiplier: float, divisible_by: int = 8, min_depth: int = 8) -> tuple:
    """The layers with `multiplier` times their channels, made divisible."""
    return tuple(
        layer
        if isinstance(layer, Reduce)
        else dataclasses.replace(
            layer, depth=make_divisible(layer.depth * multiplier, divisible_by, min_depth)
        )
        for layer in layers
    )


def check_layers(layers) -> tuple:
    """The layers as a tuple.

    Raises:
        ArgumentError: something among them is no layer.
    """
    for number, layer in enumerate(layers, 1):
        if not isinstance(layer, (Conv, Bottleneck, Reduce)):
            raise ArgumentError(
                f"Layer {number} of conv_defs is of no known kind.",
                received=repr(layer),
                accepted="Conv, Bottleneck or Reduce of zoo.adapters.mobilenet_blocks",
            )
    return tuple(layers)


# -- Layers ------------------------------------------------------------------------------------


def hard_swish(x: tf.Tensor) -> tf.Tensor:
    return x * tf.nn.relu6(x + 3.0) * (1 / 6)


def _hard_sigmoid(x: tf.Tensor) -> tf.Tensor:
    return tf.nn.relu6(x + 3.0) * 0.16667  # not 1 / 6: the published networks have this


def _padded(net, kernel, rate, use_explicit_padding):
    """Zeros around the map by the kernel's extent alone, whatever the size of the map."""
    total = (kernel - 1) * rate
    if not use_explicit_padding or total == 0:
        return net
    before_and_after = [total // 2, total - total // 2]
    return tf.pad(net, [[0, 0], before_and_after, before_and_after, [0, 0]])


def squeeze_excite(net: tf.Tensor, squeeze_factor: int = 4) -> tf.Tensor:
    """Channels weighted by a gate that two 1 x 1 convolutions make of their means."""
    channels = net.shape[3]
    with (
        tf.variable_scope("squeeze_excite"),
        slim.arg_scope([slim.conv2d], kernel_size=[1, 1], normalizer_fn=None),
    ):
        gate = tf.reduce_mean(net, [1, 2], keepdims=True)
        gate = slim.conv2d(
            gate,
            make_divisible(channels / squeeze_factor, 8),
            activation_fn=tf.nn.relu,
            scope="Conv",
        )
        gate = slim.conv2d(gate, channels, activation_fn=_hard_sigmoid, scope="Conv_1")
        return net * gate


def expanded_conv(net, layer: Bottleneck, stride, rate, use_explicit_padding, scope):
    """A `Bottleneck`: (its output, what is inside it by name).

    `stride` and `rate` (dilation) are those that the output stride leaves.
    """
    inputs, inside = net, {}
    inner_depth = make_divisible(net.shape[3] * layer.expansion, layer.divisible_by)
    with tf.variable_scope(scope):
        if inner_depth > net.shape[3]:
            kernel = layer.kernel if layer.fused else 1
            of_expansion = {"stride": stride, "rate": rate} if layer.fused else {}
            net = _padded(net, kernel, rate, use_explicit_padding)
            net = slim.conv2d(net, inner_depth, kernel, scope="expand", **of_expansion)
            inside["expansion_output"] = net
        if not layer.fused:
            net = slim.separable_conv2d(
                _padded(net, layer.kernel, rate, use_explicit_padding),
                None,  # without a number of outputs this is the depthwise convolution alone
                layer.kernel,
                depth_multiplier=1,
                stride=stride,
                rate=rate,
                scope="depthwise",
            )
            inside["depthwise_output"] = net
        if layer.squeeze_excite:
            net = squeeze_excite(net)
        net = slim.conv2d(net, layer.depth, [1, 1], activation_fn=None, scope="project")
        if layer.residual and stride == 1 and net.shape[3] == inputs.shape[3]:
            net += inputs
    inside["output"] = net
    return net, inside


def _reduce(net, layer: Reduce):
    height, width = net.shape[1:3]
    if height is not None and height == width:
        size = height
    else:
        size = layer.size
        check_map(
            net,
            size,
            "pooling a map that is not square",
            "Use square images, or larger ones, or stop at a layer before: final_endpoint=.",
        )
    return slim.avg_pool2d(net, [size, size], stride=1, padding="VALID")


# -- Networks ----------------------------------------------------------------------------------


def mobilenet_base(
    inputs, layers, final_endpoint=None, output_stride=None, use_explicit_padding=False
):
    """The layers up to `final_endpoint` ("layer_1" and on; None: all), without the head.

    Past `output_stride` convolutions dilate instead of striding. `use_explicit_padding` pads
    alike on both sides whatever the stride, then uses 'VALID'.

    Returns:
        (features, end points): the layers' outputs in order, then what is inside them, such as
        "layer_3/expansion_output".
    """
    check_final_endpoint(final_endpoint, [f"layer_{n}" for n in range(1, len(layers) + 1)])
    if output_stride is not None and output_stride not in OUTPUT_STRIDES:
        raise ArgumentError(
            "The network cannot reach this output stride.",
            received=f"output_stride={output_stride!r}",
            accepted=f"None or one of {', '.join(map(str, OUTPUT_STRIDES))}",
        )
    names = {Conv: _numbered("Conv"), Bottleneck: _numbered("expanded_conv")}
    net, end_points, end_points_inside = inputs, {}, {}
    stride_so_far = rate_so_far = 1
    padding = "VALID" if use_explicit_padding else "SAME"
    with slim.arg_scope([slim.conv2d, slim.separable_conv2d], padding=padding):
        for number, layer in enumerate(layers, 1):
            layer_stride = getattr(layer, "stride", 1)
            if stride_so_far == output_stride:
                stride, rate = 1, rate_so_far
                rate_so_far *= layer_stride
            else:
                stride, rate = layer_stride, 1
                stride_so_far *= layer_stride

            if isinstance(layer, Reduce):
                net, inside = _reduce(net, layer), {}
            else:
                net, inside = _layer(
                    net, layer, stride, rate, use_explicit_padding, next(names[type(layer)])
                )
            end_points[f"layer_{number}"] = net
            for name, value in inside.items():
                end_points_inside[f"layer_{number}/{name}"] = value
            if f"layer_{number}" == final_endpoint:
                break
    return net, {**end_points, **end_points_inside}


def _layer(net, layer, stride, rate, use_explicit_padding, scope):
    """(output of a Conv or Bottleneck, what is inside it by name)."""
    convolutions = [slim.conv2d, slim.separable_conv2d]
    own = {} if layer.activation is None else {"activation_fn": layer.activation}
    if isinstance(layer, Conv) and not layer.batch_norm:
        own["normalizer_fn"] = None
    with slim.arg_scope(convolutions, **own):
        if isinstance(layer, Bottleneck):
            return expanded_conv(net, layer, stride, rate, use_explicit_padding, scope)
        net = _padded(net, layer.kernel, rate, use_explicit_padding)
        return slim.conv2d(
            net, layer.depth, layer.kernel, stride=stride, rate=rate, scope=scope
        ), {}


def _numbered(name):
    """The names that Slim gives layers without one: NAME, NAME_1, NAME_2 ..."""
    yield name
    number = 1
    while True:
        yield f"{name}_{number}"
        number += 1


def mobilenet(
    inputs,
    layers,
    num_classes,
    *,
    activation_fn,
    normalizer_fn,
    is_training,
    prediction_fn,
    reuse,
    scope,
    base_only,
    final_endpoint,
    output_stride,
    use_explicit_padding,
):
    """The layers and, unless told to stop before, global pooling and the classifier.

    Returns:
        (logits (N, num_classes), end points). Features in their place: the last layer's with
        `base_only`, those of `final_endpoint` if one is named, the pooled ones (N, 1, 1, C)
        without `num_classes`.
    """
    with (
        tf.variable_scope(scope, values=[inputs], reuse=reuse),
        slim.arg_scope(
            [slim.conv2d, slim.separable_conv2d],
            activation_fn=activation_fn,
            normalizer_fn=normalizer_fn,
        ),
        slim.arg_scope([slim.batch_norm], center=True, scale=True, is_training=is_training),
    ):
        net, end_points = mobilenet_base(
            inputs, layers, final_endpoint, output_stride, use_explicit_padding
        )
        if base_only or final_endpoint is not None:
            return net, end_points

        with tf.variable_scope("Logits"):
            net = end_points["global_pool"] = global_average(net)
            if not num_classes:
                return net, end_points
            net = slim.dropout(net, is_training=is_training, scope="Dropout")
            logits = slim.conv2d(
                net,
                num_classes,
                [1, 1],
                activation_fn=None,
                normalizer_fn=None,
                scope="Conv2d_1c_1x1",
            )
            logits = end_points["Logits"] = tf.squeeze(logits, [1, 2])
        if prediction_fn:
            end_points["Predictions"] = prediction_fn(logits, scope="Predictions")
    return logits, end_points
