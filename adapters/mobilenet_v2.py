"""MobileNet V2 (Sandler et al., 2018, https://arxiv.org/abs/1801.04381).

Wiring, names and defaults are those of the Slim model library's mobilenet/mobilenet_v2.py.
"""

from __future__ import annotations

import dataclasses

import tensorflow.compat.v1 as tf
import tf_slim as slim

from zoo.shim import TF1Network

from .heads import check_depth_multiplier
from .mobilenet_blocks import (
    Bottleneck,
    Conv,
    check_layers,
    mobilenet,
    mobilenet_training_scope,
    scale_depths,
)

# Table 2 of the paper.
MOBILENET_V2_CONV_DEFS = (
    Conv(32, kernel=3, stride=2),
    Bottleneck(16, expansion=1, divisible_by=1),
    Bottleneck(24, stride=2),
    Bottleneck(24),
    Bottleneck(32, stride=2),
    *[Bottleneck(32)] * 2,
    Bottleneck(64, stride=2),
    *[Bottleneck(64)] * 3,
    *[Bottleneck(96)] * 3,
    Bottleneck(160, stride=2),
    *[Bottleneck(160)] * 2,
    Bottleneck(320),
    Conv(1280),
)


def mobilenet_v2(
    inputs,
    num_classes=1001,
    depth_multiplier=1.0,
    scope="MobilenetV2",
    conv_defs=None,
    finegrain_classification_mode=False,
    min_depth=None,
    divisible_by=None,
    activation_fn=None,
    is_training=False,
    prediction_fn=slim.softmax,
    reuse=None,
    base_only=False,
    final_endpoint=None,
    output_stride=None,
    use_explicit_padding=False,
):
    """The network at `depth_multiplier` times its channels, each made divisible.

    `finegrain_classification_mode` keeps the last layer's 1280 channels where the multiplier is
    below 1, as section 6.1 of the paper does.
    """
    check_depth_multiplier(depth_multiplier)
    layers = check_layers(MOBILENET_V2_CONV_DEFS if conv_defs is None else conv_defs)
    if finegrain_classification_mode and depth_multiplier < 1:
        last = dataclasses.replace(layers[-1], depth=layers[-1].depth / depth_multiplier)
        layers = (*layers[:-1], last)
    layers = scale_depths(
        layers,
        depth_multiplier,
        8 if divisible_by is None else divisible_by,
        8 if min_depth is None else min_depth,
    )
    return mobilenet(
        inputs,
        layers,
        num_classes,
        activation_fn=activation_fn or tf.nn.relu6,
        normalizer_fn=slim.batch_norm,
        is_training=is_training,
        prediction_fn=prediction_fn,
        reuse=reuse,
        scope=scope,
        base_only=base_only,
        final_endpoint=final_endpoint,
        output_stride=output_stride,
        use_explicit_padding=use_explicit_padding,
    )


mobilenet_v2.default_image_size = 224


class MobileNetV2(TF1Network):
    """MobileNet V2: images (N, 224, 224, 3) float32 -> logits (N, 1001).

    `depth_multiplier` 1.4, 1.3, 1.0, 0.75, 0.5 and 0.35 are the published widths, those below 1
    with `finegrain_classification_mode=True`; 224, 192, 160, 128 and 96 are the published image
    sizes.
    """

    function = staticmethod(mobilenet_v2)
    arg_scope = staticmethod(mobilenet_training_scope)
    scope = "MobilenetV2"
    default_image_size = 224
    minimum_image_size = 1
    head = ("MobilenetV2/Logits/",)
