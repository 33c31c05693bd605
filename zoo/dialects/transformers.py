"""Transformers' PyTorch models (https://github.com/huggingface/transformers).

Google's own conversions of MobileNet V1 and V2, `google/mobilenet_v1_1.0_224` and the like, are
of these: safetensors, with all 1001 classes and TensorFlow's padding.
"""

from __future__ import annotations

from zoo import identification
from zoo.dialects.counterpart import Counterpart

_MOBILENET_V1 = [
    (r"^MobilenetV1/", "mobilenet_v1/"),
    (r"^mobilenet_v1/Logits/Conv2d_1c_1x1$", "classifier"),
    (r"Conv2d_0(?=/|$)", "conv_stem"),
    (r"Conv2d_(\d+)_depthwise", lambda match: f"layer/{2 * int(match[1]) - 2}"),
    (r"Conv2d_(\d+)_pointwise", lambda match: f"layer/{2 * int(match[1]) - 1}"),
    (r"^(mobilenet_v1/.*)/BatchNorm$", r"\1/normalization"),
    (r"^(mobilenet_v1/.*(?<!normalization))$", r"\1/convolution"),
]

_MOBILENET_V2 = [
    (r"^MobilenetV2/", "mobilenet_v2/"),
    (r"^mobilenet_v2/Logits/Conv2d_1c_1x1$", "classifier"),
    (r"/Conv(?=/|$)", "/conv_stem/first_conv"),
    (r"/Conv_1(?=/|$)", "/conv_1x1"),
    # The first bottleneck, which does not expand, is part of the stem.
    (r"/expanded_conv(?=/)", "/conv_stem"),
    (r"/expanded_conv_(\d+)", lambda match: f"/layer/{int(match[1]) - 1}"),
    (r"/expand(?=/|$)", "/expand_1x1"),
    (r"/depthwise(?=/|$)", "/conv_3x3"),
    (r"/project(?=/|$)", "/reduce_1x1"),
    (r"^(mobilenet_v2/.*)/BatchNorm$", r"\1/normalization"),
    (r"^(mobilenet_v2/.*(?<!normalization))$", r"\1/convolution"),
]


# Adapter -> scopes, landmark.
_FAMILIES = {
    "zoo.adapters.mobilenet_v1:MobileNetV1": (
        _MOBILENET_V1,
        "mobilenet_v1.layer.25.convolution.weight",
    ),
    "zoo.adapters.mobilenet_v2:MobileNetV2": (
        _MOBILENET_V2,
        "mobilenet_v2.layer.15.reduce_1x1.convolution.weight",
    ),
}


def counterparts() -> list[Counterpart]:
    """One for each width, as `MobileNetV1ForImageClassification` and its kin for V2 make it.

    The name is that of a registered model, and so of Google's repository if there is one; the
    arguments are the configuration's.
    """
    found = []
    for *_, spec in identification.architectures():
        if spec.adapter in _FAMILIES:
            scopes, landmark = _FAMILIES[spec.adapter]
            width = spec.arguments.get("depth_multiplier", 1.0)
            found.append(
                Counterpart(
                    spec.name,
                    spec.name,
                    scopes,
                    classifier="classifier",
                    landmark=landmark,
                    arguments={"depth_multiplier": width, "tf_padding": True},
                )
            )
    return found
