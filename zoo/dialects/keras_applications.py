"""keras.applications (https://keras.io/api/applications).

Files are Keras's own: `.weights.h5`, `.h5`. Names are layers' names and their weights':
"conv1/kernel". Layers that Keras numbers by itself count from 0 here, in the order in which the
application makes them. Background is no class: 1000 classes.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from zoo import identification
from zoo.dialects.counterpart import DENSE_WEIGHTS, Counterpart
from zoo.dialects.tensor_map import FLAT, SAME, Layout

_LEAVES: Mapping[str, tuple[str, Layout]] = {
    "weights": ("kernel", SAME),
    DENSE_WEIGHTS: ("kernel", FLAT),
    "depthwise_weights": ("kernel", SAME),
    "biases": ("bias", SAME),
    "beta": ("beta", SAME),
    "moving_mean": ("moving_mean", SAME),
    "moving_variance": ("moving_variance", SAME),
}
_LEAVES_WITH_SCALE = {**_LEAVES, "gamma": ("gamma", SAME)}
# MobileNet's classifier is a convolution in Keras too.
_MOBILENET_LEAVES = {**_LEAVES_WITH_SCALE, DENSE_WEIGHTS: ("kernel", SAME)}
_CELL_LEAVES = {
    **_LEAVES_WITH_SCALE,
    "depthwise_weights": ("depthwise_kernel", SAME),
    "pointwise_weights": ("pointwise_kernel", SAME),
}


def _in_order(model: str, named: list, without: tuple[str, ...]) -> list:
    """Scopes of a network whose convolutions are numbered, in the order that Slim makes them in.

    Args:
        model: the registered name.
        named: renames of the scopes that have names of their own in Keras.
        without: scopes that Keras does not have.
    """
    numbers: dict[str, str] = {}

    def number(match: re.Match) -> str:
        if not numbers:
            patterns = [pattern for pattern, _ in named]
            for name in identification.variable_shapes(model):
                scope = name.rpartition("/")[0].removesuffix("/BatchNorm")
                taken = scope in numbers or any(re.search(pattern, scope) for pattern in patterns)
                if not taken and not scope.startswith(without):
                    numbers[scope] = f"_{len(numbers)}" if numbers else ""
        layer = "batch_normalization" if match[2] else "conv2d"
        return layer + numbers[match[1]]

    return [*named, (r"^(Inception\w+/.+?)(/BatchNorm)?$", number)]


_INCEPTION_V3 = [(r"^InceptionV3/Logits/Conv2d_1c_1x1$", "predictions")]
_INCEPTION_RESNET_V2 = [
    (r"^InceptionResnetV2/Logits/Logits$", "predictions"),
    (r"^InceptionResnetV2/Conv2d_7b_1x1$", "conv_7b"),
    (r"^InceptionResnetV2/Conv2d_7b_1x1/BatchNorm$", "conv_7b_bn"),
    (r"^InceptionResnetV2/Repeat\w*/(block\d+_\d+)/Conv2d_1x1$", r"\1_conv"),
    # Slim counts it apart, Keras as the tenth.
    (r"^InceptionResnetV2/Block8/Conv2d_1x1$", "block8_10_conv"),
]

_MOBILENET = [
    (r"^MobilenetV1/", ""),
    (r"^Logits/Conv2d_1c_1x1$", "conv_preds"),
    (r"/BatchNorm$", "_bn"),
    (r"^Conv2d_0", "conv1"),
    (r"^Conv2d_(\d+)_depthwise", r"conv_dw_\1"),
    (r"^Conv2d_(\d+)_pointwise", r"conv_pw_\1"),
]

_MOBILENET_V2 = [
    (r"^MobilenetV2/", ""),
    (r"^Logits/Conv2d_1c_1x1$", "predictions"),
    (r"^Conv/BatchNorm$", "bn_Conv1"),
    (r"^Conv$", "Conv1"),
    (r"^Conv_1/BatchNorm$", "Conv_1_bn"),
    (r"^expanded_conv_(\d+)/", r"block_\1_"),
    (r"^expanded_conv/", "expanded_conv_"),
    (r"/BatchNorm$", "_BN"),
]

_VGG = [
    (r"^vgg_\d+/", ""),
    (r"^conv\d/conv(\d)_(\d)$", r"block\1_conv\2"),
    (r"^fc([67])$", lambda match: f"fc{int(match[1]) - 5}"),
    (r"^fc8$", "predictions"),
]


def _nasnet(cells: int) -> list:
    """Scopes of a NASNet with so many normal cells before each that reduces.

    Keras counts all cells in one row and names a layer's cell last: Slim's cell_4/1x1 is
    normal_conv_1_5 in a network of four, as the first cell that reduces is number 4, reduce_4.
    """

    def cell(match: re.Match) -> str:
        number = int(match[2])
        return {
            "cell_stem": f"reduction:stem_{number + 1}:",
            "reduction_cell": f"reduction:reduce_{(number + 1) * cells}:",
            "cell": f"normal:{number if number < cells else number + 1}:",
        }[match[1]]

    return [
        (r"^conv0_bn$", "stem_bn1"),
        (r"^conv0$", "stem_conv1"),
        (r"^final_layer/FC$", "predictions"),
        (r"^(cell_stem|reduction_cell|cell)_(\d+)/", cell),
        (r"comb_iter_(\d)/(left|right)", lambda match: f"{match[2]}{int(match[1]) + 1}"),
        (r"^reduction:(\w+):left5", r"reduction:\1:left4"),
        (r"^(\w+):(\w+):(\w+)/separable_\dx\d_(\d)$", r"separable_conv_\4_\1_\3_\2"),
        (r"^(\w+):(\w+):(\w+)/bn_sep_\dx\d_(\d)$", r"separable_conv_\4_bn_\1_\3_\2"),
        (r"^(\w+):(\w+):1x1$", r"\1_conv_1_\2"),
        (r"^(\w+):(\w+):beginning_bn$", r"\1_bn_1_\2"),
        (r"^\w+:(\w+):prev_1x1$", r"adjust_conv_projection_\1"),
        (r"^\w+:(\w+):(prev_bn|final_path_bn)$", r"adjust_bn_\1"),
        (r"^\w+:(\w+):path(\d)_conv$", r"adjust_conv_\2_\1"),
    ]


# Adapter -> application, scopes, leaves, tensors, classifier.
_MOBILENETS = {
    "zoo.adapters.mobilenet_v1:MobileNetV1": (
        *("MobileNet", _MOBILENET, _MOBILENET_LEAVES, 137, "conv_preds"),
    ),
    "zoo.adapters.mobilenet_v2:MobileNetV2": (
        *("MobileNetV2", _MOBILENET_V2, _LEAVES_WITH_SCALE, 262, "predictions"),
    ),
}


# Seen by running both on the same weights; tests/dialects/test_keras_applications.py puts it right
# in Keras, and sees equal outputs.
_ZEROS_AROUND = (
    "Keras puts zeros around the map before strided pooling, whose maximum and average count them, "
    "and Slim's do not"
)


def counterparts() -> list[Counterpart]:
    """Applications that are registered networks; names as in `keras.applications`."""

    def application(name, model, scopes, leaves, tensors, classifier="predictions", **more):
        names = {"separator": "/", "ignored": (), "leaves": leaves, "classifier": classifier}
        return Counterpart(name, model, scopes, tensors=tensors, **names, **more)

    v3, resnet = ("InceptionV3/AuxLogits",), ("InceptionResnetV2/AuxLogits",)
    v3_scopes = _in_order("inception_v3", _INCEPTION_V3, v3)
    resnet_scopes = _in_order("inception_resnet_v2", _INCEPTION_RESNET_V2, resnet)
    dense = {model: (f"{model}/fc6", f"{model}/fc7") for model in ("vgg_16", "vgg_19")}
    nasnet = {"without": ("aux_",), "difference": _ZEROS_AROUND}
    found = [
        application("InceptionV3", "inception_v3", v3_scopes, _LEAVES, 378, without=v3),
        application(
            "InceptionResNetV2", "inception_resnet_v2", resnet_scopes, _LEAVES, 898, without=resnet
        ),
        application("NASNetMobile", "nasnet_mobile", _nasnet(4), _CELL_LEAVES, 1126, **nasnet),
        application("NASNetLarge", "nasnet_large", _nasnet(6), _CELL_LEAVES, 1546, **nasnet),
        application("VGG16", "vgg_16", _VGG, _LEAVES, 32, dense=dense["vgg_16"]),
        application("VGG19", "vgg_19", _VGG, _LEAVES, 38, dense=dense["vgg_19"]),
    ]
    for *_, spec in identification.architectures():
        if spec.adapter in _MOBILENETS:
            name, *rest = _MOBILENETS[spec.adapter]
            alpha = {"alpha": spec.arguments.get("depth_multiplier", 1.0)}
            found.append(application(name, spec.name, *rest, arguments=alpha))
    return found
