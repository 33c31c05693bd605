"""Which network of keras.applications, or of timm, is the twin of which registered one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from zoo import registry
from zoo.registry import ModelSpec


@dataclass(frozen=True)
class Twin:
    """A network of keras.applications with the wiring of a registered one.

    Attributes:
        application: its name in `keras.applications`.
        arguments: argument of the TF1 function -> argument of the application.
        difference: what is not the same, in words; "" if nothing is.
        has_biases: it has a bias in every convolution, where Slim leaves it to batch norm.
    """

    application: str
    arguments: Mapping[str, str] = field(default_factory=dict)
    difference: str = ""
    has_biases: bool = False


# Both follow the paper, but in a block's strided unit Slim strides at its 3x3 convolution, and
# in the last unit; Keras at the first 1x1, and in the first unit of the next block.
_STRIDES = (
    "Keras strides a unit later, which makes 11 percent more multiplications of 50 layers "
    "(5 of 101, 3 of 152), and its convolutions have biases besides batch norm"
)

# By adapter. What is not here has no twin: Inception V1 and V2, VGG-A, AlexNet and OverFeat are
# not in keras.applications, nor are ResNets of 200 layers.
TWINS: Mapping[str, Twin] = {
    "zoo.adapters.mobilenet_v1:MobileNetV1": Twin("MobileNet", {"depth_multiplier": "alpha"}),
    "zoo.adapters.resnet_v1:ResNetV1_50": Twin("ResNet50", {}, _STRIDES, has_biases=True),
    "zoo.adapters.resnet_v1:ResNetV1_101": Twin("ResNet101", {}, _STRIDES, has_biases=True),
    "zoo.adapters.resnet_v1:ResNetV1_152": Twin("ResNet152", {}, _STRIDES, has_biases=True),
    "zoo.adapters.resnet_v2:ResNetV2_50": Twin("ResNet50V2"),
    "zoo.adapters.resnet_v2:ResNetV2_101": Twin("ResNet101V2"),
    "zoo.adapters.resnet_v2:ResNetV2_152": Twin("ResNet152V2"),
    "zoo.adapters.inception:InceptionV3": Twin(
        "InceptionV3", {}, "Keras has no auxiliary head, which inference does not use"
    ),
    "zoo.adapters.vgg:VGG16": Twin(
        "VGG16", {}, "Slim's fully connected layers are convolutions, of the same multiplications"
    ),
    "zoo.adapters.vgg:VGG19": Twin(
        "VGG19", {}, "Slim's fully connected layers are convolutions, of the same multiplications"
    ),
}

# Adapter -> timm's name of the network, by the arguments that make it the same; with others it is
# another network. Of those that are not to be converted (zoo/dialects/timm.py has the others), or
# that timm has in a faster form, for its own weights: MobileNets pad alike on all sides, and
# ResNets stride in the first unit of a block, Slim's in the last.
_FINE = {"finegrain_classification_mode": True}
_TIMM_TWINS: Mapping[str, Sequence[tuple[Mapping[str, object], str]]] = {
    "zoo.adapters.mobilenet_v1:MobileNetV1": [({"depth_multiplier": 1.0}, "mobilenetv1_100")],
    "zoo.adapters.mobilenet_v2:MobileNetV2": [
        ({"depth_multiplier": 0.35, **_FINE}, "mobilenetv2_035"),
        ({"depth_multiplier": 0.5, **_FINE}, "mobilenetv2_050"),
        ({"depth_multiplier": 0.75, **_FINE}, "mobilenetv2_075"),
        ({"depth_multiplier": 1.0}, "mobilenetv2_100"),
        ({"depth_multiplier": 1.4}, "mobilenetv2_140"),
    ],
    "zoo.adapters.mobilenet_v3:MobileNetV3Large": [
        ({"depth_multiplier": 1.0}, "mobilenetv3_large_100")
    ],
    "zoo.adapters.mobilenet_v3:MobileNetV3Small": [
        ({"depth_multiplier": 1.0}, "mobilenetv3_small_100")
    ],
    "zoo.adapters.resnet_v1:ResNetV1_50": [({}, "resnet50")],
    "zoo.adapters.resnet_v1:ResNetV1_101": [({}, "resnet101")],
    "zoo.adapters.resnet_v1:ResNetV1_152": [({}, "resnet152")],
    "zoo.adapters.resnet_v2:ResNetV2_50": [({}, "resnetv2_50")],
    "zoo.adapters.resnet_v2:ResNetV2_101": [({}, "resnetv2_101")],
    "zoo.adapters.resnet_v2:ResNetV2_152": [({}, "resnetv2_152")],
}


def find_twin(spec: ModelSpec) -> Twin | None:
    """The twin of a registered model; None where there is none.

    A model with an argument that the twin does not know is another network, without a twin.
    """
    twin = TWINS.get(spec.adapter) if isinstance(spec.adapter, str) else None
    if twin is None or not set(spec.arguments) <= set(twin.arguments):
        return None
    return twin


def make_twin(spec: ModelSpec, twin: Twin):
    """The twin as a `keras.Model` with random weights, of the registered input size and classes,
    that gives logits."""
    import keras

    return getattr(keras.applications, twin.application)(
        weights=None,
        input_shape=(spec.input_size, spec.input_size, 3),
        classes=spec.num_classes,
        classifier_activation=None,
        **{twin.arguments[name]: value for name, value in spec.arguments.items()},
    )


def timm_twin(spec: ModelSpec) -> dict | None:
    """`timm.create_model`'s arguments for the twin of a registered model; None without one."""
    from zoo.dialects import timm

    known = [
        (adapter, arguments, name)
        for adapter, twins in _TIMM_TWINS.items()
        for arguments, name in twins
    ]
    for peer in timm.counterparts():
        same = registry.info(peer.model)
        known.append((same.adapter, same.arguments, peer.name))
    for adapter, arguments, name in known:
        if (spec.adapter, dict(spec.arguments)) == (adapter, dict(arguments)):
            return {"model_name": name, "num_classes": spec.num_classes}
    return None
