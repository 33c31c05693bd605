"""MobileNet V3 (Howard et al., 2019, https://arxiv.org/abs/1905.02244) and its relatives.

Large and small are the paper's; the minimalistic ones do without squeeze-and-excite, hard swish
and 5 x 5 kernels; EdgeTPU has fused convolutions in its first half. Wiring, names and defaults
are those of the Slim model library's mobilenet/mobilenet_v3.py.
"""

from __future__ import annotations

import dataclasses
import functools

import tensorflow.compat.v1 as tf
import tf_slim as slim

from zoo.shim import TF1Network

from .heads import check_depth_multiplier
from .mobilenet_blocks import (
    Bottleneck,
    Conv,
    Reduce,
    check_layers,
    hard_swish,
    mobilenet,
    mobilenet_training_scope,
    scale_depths,
)


def _swish(depth, kernel, stride=1, expansion=6, squeeze_excite=True):
    return Bottleneck(depth, kernel, stride, expansion, 8, hard_swish, squeeze_excite)


def _excite(depth, stride=1, expansion=3):
    return Bottleneck(depth, 5, stride, expansion, squeeze_excite=True)


# Table 1 of the paper. 184 channels are meant by the expansions of 2.3.
V3_LARGE = (
    Conv(16, kernel=3, stride=2, activation=hard_swish),
    Bottleneck(16, expansion=1),
    Bottleneck(24, stride=2, expansion=4),
    Bottleneck(24, expansion=3),
    _excite(40, stride=2),
    *[_excite(40)] * 2,
    _swish(80, 3, stride=2, squeeze_excite=False),
    _swish(80, 3, expansion=2.5, squeeze_excite=False),
    *[_swish(80, 3, expansion=184 / 80, squeeze_excite=False)] * 2,
    *[_swish(112, 3)] * 2,
    _swish(160, 5, stride=2),
    *[_swish(160, 5)] * 2,
    Conv(960, activation=hard_swish),
    Reduce(),
    Conv(1280, activation=hard_swish, batch_norm=False),
)

# Table 2 of the paper.
V3_SMALL = (
    Conv(16, kernel=3, stride=2, activation=hard_swish),
    Bottleneck(16, stride=2, expansion=1, squeeze_excite=True),
    Bottleneck(24, stride=2, expansion=72 / 16),
    Bottleneck(24, expansion=88 / 24),
    _swish(40, 5, stride=2, expansion=4),
    *[_swish(40, 5)] * 2,
    *[_swish(48, 5, expansion=3)] * 2,
    _swish(96, 5, stride=2),
    *[_swish(96, 5)] * 2,
    Conv(576, activation=hard_swish),
    Reduce(),
    Conv(1024, activation=hard_swish, batch_norm=False),
)


def _minimalistic(layers):
    """ReLU everywhere, no kernel above 3 x 3, no squeeze-and-excite."""
    plain = {Conv: {"activation": None}, Reduce: {}}
    plain[Bottleneck] = {"activation": None, "squeeze_excite": False, "kernel": 3}
    return tuple(dataclasses.replace(layer, **plain[type(layer)]) for layer in layers)


def _halved(layers, first, last):
    """Half the channels in layers number `first` to `last`, counted from 1."""
    return tuple(
        dataclasses.replace(layer, depth=round(layer.depth / 2)) if first <= n <= last else layer
        for n, layer in enumerate(layers, 1)
    )


V3_LARGE_MINIMALISTIC = _minimalistic(V3_LARGE)
V3_SMALL_MINIMALISTIC = _minimalistic(V3_SMALL)
# For detection, section 6.3 of the paper: from the last stride on, half the channels.
V3_LARGE_DETECTION = _halved(V3_LARGE, 14, 17)
V3_SMALL_DETECTION = _halved(V3_SMALL, 10, 13)


def _fused(depth, stride=1, expansion=4):
    return Bottleneck(depth, 3, stride, expansion, fused=True)


# https://ai.googleblog.com/2019/11/introducing-next-generation-on-device.html
V3_EDGETPU = (
    Conv(32, kernel=3, stride=2),
    _fused(16, expansion=1),
    _fused(32, stride=2, expansion=8),
    *[_fused(32)] * 3,
    _fused(48, stride=2, expansion=8),
    *[_fused(48)] * 3,
    Bottleneck(96, stride=2, expansion=8),
    *[Bottleneck(96, expansion=4)] * 3,
    Bottleneck(96, expansion=8, residual=False),
    *[Bottleneck(96, expansion=4)] * 3,
    Bottleneck(160, kernel=5, stride=2, expansion=8),
    *[Bottleneck(160, kernel=5, expansion=4)] * 3,
    Bottleneck(192, expansion=8),
    Conv(1280),
)


def mobilenet_v3(
    inputs,
    num_classes=1001,
    depth_multiplier=1.0,
    scope="MobilenetV3",
    conv_defs=None,
    finegrain_classification_mode=False,
    use_groupnorm=False,
    is_training=False,
    prediction_fn=slim.softmax,
    reuse=None,
    base_only=False,
    final_endpoint=None,
    output_stride=None,
    use_explicit_padding=False,
    groups=8,
):
    """The network of `conv_defs` (None: large) at `depth_multiplier` times its channels.

    `finegrain_classification_mode` leaves the last layer's channels alone. `use_groupnorm` puts
    group normalization, in `groups`, in the place of batch norm.
    """
    check_depth_multiplier(depth_multiplier)
    layers = check_layers(V3_LARGE if conv_defs is None else conv_defs)
    scaled = scale_depths(layers, depth_multiplier)
    if finegrain_classification_mode:
        scaled = (*scaled[:-1], layers[-1])
    with slim.arg_scope([slim.group_norm], groups=groups):
        return mobilenet(
            inputs,
            scaled,
            num_classes,
            activation_fn=tf.nn.relu,
            normalizer_fn=slim.group_norm if use_groupnorm else slim.batch_norm,
            is_training=is_training,
            prediction_fn=prediction_fn,
            reuse=reuse,
            scope=scope,
            base_only=base_only,
            final_endpoint=final_endpoint,
            output_stride=output_stride,
            use_explicit_padding=use_explicit_padding,
        )


mobilenet_v3.default_image_size = 224


def _network_of(layers):
    """`mobilenet_v3` with other layers unless `conv_defs` are given."""

    @functools.wraps(mobilenet_v3)
    def network(inputs, *args, conv_defs=None, **arguments):
        conv_defs = layers if conv_defs is None else conv_defs
        return mobilenet_v3(inputs, *args, conv_defs=conv_defs, **arguments)

    return network


class _MobileNetV3(TF1Network):
    """What the variants share; each declares its function."""

    arg_scope = staticmethod(mobilenet_training_scope)
    scope = "MobilenetV3"
    default_image_size = 224
    minimum_image_size = 1
    head = ("MobilenetV3/Logits/",)


class MobileNetV3Large(_MobileNetV3):
    """MobileNet V3 large: images (N, 224, 224, 3) float32 -> logits (N, 1001).

    `depth_multiplier` 1.0 and 0.75 are the published widths, the latter with
    `finegrain_classification_mode=True`.
    """

    function = staticmethod(mobilenet_v3)


class MobileNetV3Small(_MobileNetV3):
    """MobileNet V3 small; see `MobileNetV3Large`."""

    function = staticmethod(_network_of(V3_SMALL))


class MobileNetV3LargeMinimalistic(_MobileNetV3):
    """MobileNet V3 large minimalistic: images (N, 224, 224, 3) float32 -> logits (N, 1001)."""

    function = staticmethod(_network_of(V3_LARGE_MINIMALISTIC))


class MobileNetV3SmallMinimalistic(_MobileNetV3):
    """MobileNet V3 small minimalistic: images (N, 224, 224, 3) float32 -> logits (N, 1001)."""

    function = staticmethod(_network_of(V3_SMALL_MINIMALISTIC))


class MobileNetEdgeTPU(_MobileNetV3):
    """MobileNetEdgeTPU: images (N, 224, 224, 3) float32 -> logits (N, 1001).

    `depth_multiplier` 1.0 and 0.75 are the published widths, the latter with
    `finegrain_classification_mode=True`.
    """

    function = staticmethod(_network_of(V3_EDGETPU))
    scope = "MobilenetEdgeTPU"
    head = ("MobilenetEdgeTPU/Logits/",)
