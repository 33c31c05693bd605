"""timm, PyTorch image models (https://github.com/huggingface/pytorch-image-models).

Its files are state dicts in safetensors. Background is no class there: 1000 classes.
"""

from __future__ import annotations

import re

from zoo.dialects.counterpart import TORCH_LEAVES, Counterpart
from zoo.dialects.tensor_map import CONV, DEPTHWISE


def _conv_and_norm(scopes: list, *bare: str) -> list:
    """A convolution and its batch norm are parts of one module, unless it is one of these."""
    names = "|".join(bare)
    return [*scopes, (r"/BatchNorm$", "/bn"), (rf"^(?!.*(/bn|\b({names}))$)(.*)$", r"\3/conv")]


# timm names a branch by its kernels and a convolution by its place, from 1; the last two of an
# expanded branch are a and b.
_INCEPTION_V3 = [
    (r"^InceptionV3/", ""),
    (r"^Logits/Conv2d_1c_1x1$", "fc"),
    (r"(Mixed_5[bcd]|Mixed_6[bcde]|Mixed_7[bc])/Branch_0/Conv2d_0a_1x1", r"\1/branch1x1"),
    (r"(Mixed_5[bcd]|Mixed_6[bcde]|Mixed_7[bc])/Branch_3/Conv2d_0b_1x1", r"\1/branch_pool"),
    (r"(Mixed_5[bcd])/Branch_1/Conv2d_0[ab]_1x1", r"\1/branch5x5_1"),
    (r"(Mixed_5[bcd])/Branch_1/Conv(2d_0b|_1_0c)_5x5", r"\1/branch5x5_2"),
    (r"(Mixed_5[bcd])/Branch_2/Conv2d_0a_1x1", r"\1/branch3x3dbl_1"),
    (r"(Mixed_5[bcd])/Branch_2/Conv2d_0b_3x3", r"\1/branch3x3dbl_2"),
    (r"(Mixed_5[bcd])/Branch_2/Conv2d_0c_3x3", r"\1/branch3x3dbl_3"),
    (r"(Mixed_6a)/Branch_0/Conv2d_1a_1x1", r"\1/branch3x3"),
    (r"(Mixed_6a)/Branch_1/Conv2d_0a_1x1", r"\1/branch3x3dbl_1"),
    (r"(Mixed_6a)/Branch_1/Conv2d_0b_3x3", r"\1/branch3x3dbl_2"),
    (r"(Mixed_6a)/Branch_1/Conv2d_1a_1x1", r"\1/branch3x3dbl_3"),
    (r"(Mixed_6[bcde])/Branch_1/Conv2d_0a_1x1", r"\1/branch7x7_1"),
    (r"(Mixed_6[bcde])/Branch_1/Conv2d_0b_1x7", r"\1/branch7x7_2"),
    (r"(Mixed_6[bcde])/Branch_1/Conv2d_0c_7x1", r"\1/branch7x7_3"),
    (r"(Mixed_6[bcde])/Branch_2/Conv2d_0a_1x1", r"\1/branch7x7dbl_1"),
    (r"(Mixed_6[bcde])/Branch_2/Conv2d_0b_7x1", r"\1/branch7x7dbl_2"),
    (r"(Mixed_6[bcde])/Branch_2/Conv2d_0c_1x7", r"\1/branch7x7dbl_3"),
    (r"(Mixed_6[bcde])/Branch_2/Conv2d_0d_7x1", r"\1/branch7x7dbl_4"),
    (r"(Mixed_6[bcde])/Branch_2/Conv2d_0e_1x7", r"\1/branch7x7dbl_5"),
    (r"(Mixed_7a)/Branch_0/Conv2d_0a_1x1", r"\1/branch3x3_1"),
    (r"(Mixed_7a)/Branch_0/Conv2d_1a_3x3", r"\1/branch3x3_2"),
    (r"(Mixed_7a)/Branch_1/Conv2d_0a_1x1", r"\1/branch7x7x3_1"),
    (r"(Mixed_7a)/Branch_1/Conv2d_0b_1x7", r"\1/branch7x7x3_2"),
    (r"(Mixed_7a)/Branch_1/Conv2d_0c_7x1", r"\1/branch7x7x3_3"),
    (r"(Mixed_7a)/Branch_1/Conv2d_1a_3x3", r"\1/branch7x7x3_4"),
    (r"(Mixed_7[bc])/Branch_1/Conv2d_0a_1x1", r"\1/branch3x3_1"),
    (r"(Mixed_7[bc])/Branch_1/Conv2d_0b_1x3", r"\1/branch3x3_2a"),
    (r"(Mixed_7[bc])/Branch_1/Conv2d_0[bc]_3x1", r"\1/branch3x3_2b"),
    (r"(Mixed_7[bc])/Branch_2/Conv2d_0a_1x1", r"\1/branch3x3dbl_1"),
    (r"(Mixed_7[bc])/Branch_2/Conv2d_0b_3x3", r"\1/branch3x3dbl_2"),
    (r"(Mixed_7[bc])/Branch_2/Conv2d_0c_1x3", r"\1/branch3x3dbl_3a"),
    (r"(Mixed_7[bc])/Branch_2/Conv2d_0d_3x1", r"\1/branch3x3dbl_3b"),
]

# In Inception V4 and Inception-ResNet V2 a branch is a sequence: Conv2d_0a is its first, 0b its
# second, and so on.
_SEQUENCES = [
    (r"Branch_(\d)/Conv2d_0a_\w+", r"branch\1/0"),
    (r"Branch_(\d)/Conv2d_0b_\w+", r"branch\1/1"),
    (r"Branch_(\d)/Conv2d_0c_\w+", r"branch\1/2"),
    (r"Branch_(\d)/Conv2d_0d_\w+", r"branch\1/3"),
    (r"Branch_(\d)/Conv2d_0e_\w+", r"branch\1/4"),
]

_V4_LAYERS = (
    *("Conv2d_1a_3x3", "Conv2d_2a_3x3", "Conv2d_2b_3x3", "Mixed_3a", "Mixed_4a", "Mixed_5a"),
    *("Mixed_5b", "Mixed_5c", "Mixed_5d", "Mixed_5e", "Mixed_6a"),
    *("Mixed_6b", "Mixed_6c", "Mixed_6d", "Mixed_6e", "Mixed_6f", "Mixed_6g", "Mixed_6h"),
    *("Mixed_7a", "Mixed_7b", "Mixed_7c", "Mixed_7d"),
)
_INCEPTION_V4 = [
    (r"^InceptionV4/", ""),
    (r"^Logits/Logits$", "last_linear"),
    (r"Mixed_3a/Branch_1/Conv2d_0a_3x3", "Mixed_3a/conv"),
    (r"Mixed_5a/Branch_0/Conv2d_1a_3x3", "Mixed_5a/conv"),
    (r"Mixed_4a/Branch_0/Conv2d_1a_3x3", "Mixed_4a/branch0/1"),
    (r"Mixed_4a/Branch_1/Conv2d_1a_3x3", "Mixed_4a/branch1/3"),
    (r"Mixed_6a/Branch_0/Conv2d_1a_3x3", "Mixed_6a/branch0"),
    (r"Mixed_6a/Branch_1/Conv2d_1a_3x3", "Mixed_6a/branch1/2"),
    (r"Mixed_7a/Branch_0/Conv2d_1a_3x3", "Mixed_7a/branch0/1"),
    (r"Mixed_7a/Branch_1/Conv2d_1a_3x3", "Mixed_7a/branch1/3"),
    (r"(Mixed_5[bcde]|Mixed_6[b-h]|Mixed_7[bcd])/Branch_0/Conv2d_0a_1x1", r"\1/branch0"),
    (r"(Mixed_7[bcd])/Branch_1/Conv2d_0a_1x1", r"\1/branch1_0"),
    (r"(Mixed_7[bcd])/Branch_1/Conv2d_0b_1x3", r"\1/branch1_1a"),
    (r"(Mixed_7[bcd])/Branch_1/Conv2d_0c_3x1", r"\1/branch1_1b"),
    (r"(Mixed_7[bcd])/Branch_2/Conv2d_0a_1x1", r"\1/branch2_0"),
    (r"(Mixed_7[bcd])/Branch_2/Conv2d_0b_3x1", r"\1/branch2_1"),
    (r"(Mixed_7[bcd])/Branch_2/Conv2d_0c_1x3", r"\1/branch2_2"),
    (r"(Mixed_7[bcd])/Branch_2/Conv2d_0d_1x3", r"\1/branch2_3a"),
    (r"(Mixed_7[bcd])/Branch_2/Conv2d_0e_3x1", r"\1/branch2_3b"),
    *_SEQUENCES,
    (r"^(Conv2d_\d\w_3x3|Mixed_\d\w)", lambda match: f"features/{_V4_LAYERS.index(match[1])}"),
]


def _from_zero(name: str):
    """What takes the place of a block that Slim counts from 1."""
    return lambda match: f"{name}/{int(match[1]) - 1}"


_INCEPTION_RESNET_V2 = [
    (r"^InceptionResnetV2/", ""),
    (r"^Logits/Logits$", "classif"),
    (r"^Conv2d_(\d\w)_\dx\d", r"conv2d_\1"),
    (r"^Repeat/block35_(\d+)", _from_zero("repeat")),
    (r"^Repeat_1/block17_(\d+)", _from_zero("repeat_1")),
    (r"^Repeat_2/block8_(\d+)", _from_zero("repeat_2")),
    (r"^Block8", "block8"),
    (r"^Mixed_", "mixed_"),
    (r"(mixed_5b|mixed_6a|repeat\w*/\d+|block8)/Branch_0/Conv2d_\w+", r"\1/branch0"),
    # A block's last convolution has a bias and no batch norm.
    (r"/Conv2d_1x1$", "/conv2d"),
    (r"mixed_6a/Branch_1/Conv2d_1a_3x3", "mixed_6a/branch1/2"),
    (r"mixed_7a/Branch_([01])/Conv2d_1a_3x3", r"mixed_7a/branch\1/1"),
    (r"mixed_7a/Branch_2/Conv2d_1a_3x3", "mixed_7a/branch2/2"),
    *_SEQUENCES,
]


_CELLS = [
    (r"^conv0_bn$", "conv0/bn"),
    (r"^conv0$", "conv0/conv"),
    (r"^final_layer/FC$", "last_linear"),
    (r"comb_iter_(\d)/(left|right)/", r"comb_iter_\1_\2/"),
    (r"/(bn_sep|separable)_\dx\d_(\d)$", r"/\1_\2"),
    (r"(comb_iter_\d_\w+)/1x1$", r"\1/conv"),
    (r"(comb_iter_\d_\w+)/bn_1$", r"\1/bn"),
    (r"/1x1$", "/conv_1x1/conv"),
    (r"/beginning_bn$", "/conv_1x1/bn"),
    (r"/prev_1x1$", "/conv_prev_1x1/conv"),
    (r"/prev_bn$", "/conv_prev_1x1/bn"),
]
_NASNET = [*_CELLS, (r"/path(\d)_conv$", r"/path_\1/conv")]
_PNASNET = [
    *_CELLS,
    (r"^conv0", "conv_0"),
    (r"/path(\d)_conv$", r"/conv_prev_1x1/path_\1/conv"),
    (r"/final_path_bn$", "/conv_prev_1x1/final_path_bn"),
]
_CELL_LEAVES = {
    **TORCH_LEAVES,
    "depthwise_weights": ("depthwise_conv2d.weight", DEPTHWISE),
    "pointwise_weights": ("pointwise_conv2d.weight", CONV),
}


def _mobilenet_v3(stages: tuple[int, ...]) -> list:
    """The scopes of a network whose stages have so many bottlenecks."""
    places = [f"{stage}/{block}" for stage, count in enumerate(stages) for block in range(count)]

    def block(match: re.Match) -> str:
        return f"blocks/{places[int(match[1] or 0)]}"

    return [
        (r"^MobilenetV3/", ""),
        (r"^Logits/Conv2d_1c_1x1$", "classifier"),
        (r"^Conv/BatchNorm$", "bn1"),
        (r"^Conv$", "conv_stem"),
        (r"^Conv_1/BatchNorm$", f"blocks/{len(stages)}/0/bn1"),
        (r"^Conv_1$", f"blocks/{len(stages)}/0/conv"),
        (r"^Conv_2$", "conv_head"),
        (r"squeeze_excite/Conv$", "se/conv_reduce"),
        (r"squeeze_excite/Conv_1$", "se/conv_expand"),
        # The first bottleneck does not expand, and is a depthwise separable convolution.
        (r"^expanded_conv/depthwise/BatchNorm$", "expanded_conv/bn1"),
        (r"^expanded_conv/project/BatchNorm$", "expanded_conv/bn2"),
        (r"^expanded_conv/project$", "expanded_conv/conv_pw"),
        (r"/expand/BatchNorm$", "/bn1"),
        (r"/depthwise/BatchNorm$", "/bn2"),
        (r"/project/BatchNorm$", "/bn3"),
        (r"/expand$", "/conv_pw"),
        (r"/depthwise$", "/conv_dw"),
        (r"/project$", "/conv_pwl"),
        (r"^expanded_conv(?:_(\d+))?(?=/)", block),
    ]


_V3_LARGE = _mobilenet_v3((1, 2, 3, 4, 2, 3))
_V3_SMALL = _mobilenet_v3((1, 2, 3, 2, 3))


def _vgg(convolutions: tuple[int, ...]) -> list:
    """The scopes of a network whose groups have so many convolutions."""

    def layer(match: re.Match) -> str:
        group, place = int(match[1]), int(match[2] or 1)
        before = sum(2 * count + 1 for count in convolutions[: group - 1])  # ReLUs and one pooling
        return f"features/{before + 2 * (place - 1)}"

    return [
        (r"^vgg_\w+?/", ""),
        (r"^conv(\d)/conv\d(?:_(\d))?$", layer),
        (r"^fc([67])$", lambda match: f"pre_logits/fc{int(match[1]) - 5}"),
        (r"^fc8$", "head/fc"),
    ]


# Seen by running both on the same weights; tests/dialects/test_timm.py puts each of these right
# in timm, and sees equal outputs.
_PADDING_COUNTS = (
    "timm's 3 x 3 average pooling counts the padding around the map, which Slim leaves out"
)
_STRIDED_PADDING_COUNTS = (
    "timm's strided average pooling counts the padding around the map, which Slim leaves out"
)
_GATE = "timm divides by 6 in squeeze-and-excite, where Slim multiplies by 0.16667"


def counterparts() -> list[Counterpart]:
    """timm's networks that are registered ones; names as `timm.create_model` takes them."""
    found = [
        Counterpart(
            "inception_v3",
            "inception_v3",
            _conv_and_norm(_INCEPTION_V3, "fc"),
            classifier="fc",
            landmark="Mixed_5b.branch5x5_1.conv.weight",
            without=("InceptionV3/AuxLogits",),
            difference=_PADDING_COUNTS,
        ),
        Counterpart(
            "inception_v4",
            "inception_v4",
            _conv_and_norm(_INCEPTION_V4, "last_linear"),
            classifier="last_linear",
            landmark="features.21.branch2_3b.conv.weight",
            without=("InceptionV4/AuxLogits",),
        ),
        Counterpart(
            "inception_resnet_v2",
            "inception_resnet_v2",
            _conv_and_norm(_INCEPTION_RESNET_V2, "classif", "conv2d"),
            classifier="classif",
            landmark="repeat_2.0.conv2d.weight",
            without=("InceptionResnetV2/AuxLogits",),
        ),
        Counterpart(
            "nasnetalarge",
            "nasnet_large",
            _NASNET,
            classifier="last_linear",
            landmark="reduction_cell_0.conv_1x1.conv.weight",
            leaves=_CELL_LEAVES,
            without=("aux_",),
            difference=_STRIDED_PADDING_COUNTS,
        ),
        Counterpart(
            "pnasnet5large",
            "pnasnet_large",
            _PNASNET,
            classifier="last_linear",
            landmark="cell_0.conv_prev_1x1.path_1.conv.weight",
            leaves=_CELL_LEAVES,
            without=("aux_",),
        ),
    ]
    for size, scopes in (("large", _V3_LARGE), ("small", _V3_SMALL)):
        for ours, theirs in (("1.0", "100"), ("0.75", "075"), ("minimalistic_1.0", "minimal_100")):
            found.append(
                Counterpart(
                    f"tf_mobilenetv3_{size}_{theirs}",
                    f"mobilenet_v3_{size}_{ours}_224",
                    scopes,
                    classifier="classifier",
                    landmark=f"blocks.{6 if size == 'large' else 5}.0.conv.weight",
                    difference="" if "minimal" in theirs else _GATE,
                )
            )
    for name, ours, convolutions in (
        ("vgg11", "vgg_a", (1, 1, 2, 2, 2)),
        ("vgg16", "vgg_16", (2, 2, 3, 3, 3)),
        ("vgg19", "vgg_19", (2, 2, 4, 4, 4)),
    ):
        scopes, landmark = _vgg(convolutions), "pre_logits.fc1.weight"
        found.append(Counterpart(name, ours, scopes, classifier="head.fc", landmark=landmark))
    return found
