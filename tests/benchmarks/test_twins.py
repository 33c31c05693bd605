"""Expected shapes and counts: TensorFlow 1.15.5's (tests/goldens/variables, registry.yaml)."""

import gzip
import importlib.util
import json
import math
import os
from collections import Counter
from dataclasses import replace
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import pytest

from zoo import registry
from zoo.benchmarks import peer_forms, twins

VARIABLES = Path(__file__).parents[1] / "goldens" / "variables"
ADAPTERS = {registry.info(name).adapter for name in registry.list_models()}

# VGG's random values take seconds each.
NETWORKS = [
    "mobilenet_v1_1.0_224",
    "mobilenet_v1_0.75_192",
    "mobilenet_v1_0.25_128",
    "resnet_v1_50",
    "resnet_v2_50",
    *(
        pytest.param(name, marks=pytest.mark.slow)
        for name in (
            "inception_v3",
            "resnet_v1_101",
            "resnet_v1_152",
            "resnet_v2_101",
            "resnet_v2_152",
            "vgg_16",
            "vgg_19",
        )
    ),
]


def recorded_shapes(name: str) -> dict[str, tuple[int, ...]]:
    with gzip.open(VARIABLES / f"{registry.info(name).golden}.json.gz") as file:
        variables = json.load(file)["variables"]
    return {variable: tuple(shape) for variable, shape, _ in variables}


def kernels(shapes) -> Counter:
    """Kernels as matrices, which a 1x1 or a full-size convolution in Slim is in Keras."""
    return Counter((math.prod(shape[:-1]), shape[-1]) for shape in shapes if len(shape) > 1)


def test_every_twin_is_of_a_registered_adapter():
    assert set(twins.TWINS) <= ADAPTERS


def test_every_twin_is_in_keras_applications():
    import keras

    for twin in twins.TWINS.values():
        assert callable(getattr(keras.applications, twin.application))


def test_models_with_and_without_a_twin():
    found = {name: twins.find_twin(registry.info(name)) for name in registry.list_models()}
    without = {registry.info(name).adapter for name, twin in found.items() if twin is None}
    assert without == ADAPTERS - set(twins.TWINS)
    assert found["inception_v1"] is None and found["inception_v4"] is None
    assert found["resnet_v1_50"].application == "ResNet50"
    assert found["mobilenet_v1_0.5_160"].application == "MobileNet"


def test_a_model_with_another_argument_has_no_twin():
    row = registry.info("mobilenet_v1_1.0_224")
    assert twins.find_twin(row) is not None
    assert twins.find_twin(replace(row, arguments={"output_stride": 8})) is None


def test_a_class_as_adapter_has_no_twin():
    assert twins.find_twin(replace(registry.info("vgg_16"), adapter=dict)) is None


@pytest.mark.parametrize("name", NETWORKS)
def test_the_twin_has_the_same_kernels(name):
    spec = registry.info(name)
    twin = twins.find_twin(spec)
    model = twins.make_twin(spec, twin)
    assert model.input_shape[1:3] == (spec.input_size, spec.input_size)
    assert model.output_shape == (None, spec.num_classes)
    recorded = {
        variable: shape
        for variable, shape in recorded_shapes(name).items()
        if "/AuxLogits/" not in variable
    }
    assert kernels(recorded.values()) == kernels(tuple(weight.shape) for weight in model.weights)
    biases = sum(
        layer.bias.shape[0]
        for layer in model.layers
        if twin.has_biases and layer.name.endswith("_conv") and layer.use_bias
    )
    count = sum(map(math.prod, recorded.values()))
    assert model.count_params() - biases == count
    if len(recorded) == len(recorded_shapes(name)):
        assert spec.parameters == count


# Names in timm's registry of models: mobilenetv1.py, mobilenetv3.py, resnet.py, inception_v3.py
# and vgg.py.
@pytest.mark.parametrize(
    ("name", "twin", "classes"),
    [
        ("mobilenet_v1", "mobilenetv1_100", 1001),
        ("mobilenet_v1_1.0_192", "mobilenetv1_100", 1001),
        ("mobilenet_v3_large", "mobilenetv3_large_100", 1001),
        ("resnet_v1_50", "resnet50", 1000),
        ("vgg_a", "vgg11", 1000),
        ("inception_v3", "inception_v3", 1001),
    ],
)
def test_twins_in_timm(name, twin, classes):
    expected = {"model_name": twin, "num_classes": classes}
    assert twins.timm_twin(registry.info(name)) == expected


def test_no_twin_in_timm():
    assert twins.timm_twin(registry.info("mobilenet_v1_0.25_128")) is None
    assert twins.timm_twin(registry.info("lenet")) is None
    row = registry.info("resnet_v1_50")
    assert twins.timm_twin(replace(row, arguments={"output_stride": 8})) is None
    assert twins.timm_twin(replace(row, adapter=dict)) is None


@pytest.mark.slow
def test_timms_twins_have_kernels_of_the_same_sizes():
    torch = pytest.importorskip("torch")
    if importlib.util.find_spec("timm") is None:
        pytest.skip("timm is not installed")
    timm = peer_forms.import_timm()
    specs = map(registry.info, registry.list_models())
    found = {spec.golden: spec for spec in specs if twins.timm_twin(spec)}
    for spec in found.values():
        with torch.device("meta"):  # No memory is taken, and no values are drawn.
            model = timm.create_model(**twins.timm_twin(spec))
        recorded = {
            variable: shape
            for variable, shape in recorded_shapes(spec.name).items()
            if "aux" not in variable.lower()
        }
        theirs = (tuple(weight.shape) for weight in model.parameters())
        assert sizes(recorded.values()) == sizes(theirs), spec.name
    assert set(twins._TIMM_TWINS) <= {spec.adapter for spec in found.values()}


def sizes(shapes) -> Counter:
    """Of kernels, however their axes are ordered."""
    return Counter(math.prod(shape) for shape in shapes if len(shape) > 1)
