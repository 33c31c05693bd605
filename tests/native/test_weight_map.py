"""WeightMap: which TF1 variable each weight of a native model is, as data and as code."""

import json

import keras
import networks
import numpy as np
import pytest

import zoo
from zoo.errors import ArgumentError, CheckpointMismatchError, ConversionError
from zoo.native import WeightMap, load_weights, to_native
from zoo.shim import tf1_variables


@pytest.fixture(scope="module")
def model():
    model = zoo.load("mobilenet_v1_0.25_128", weights=None)
    networks.give_weights(model.network)
    return model


@pytest.fixture(scope="module")
def native(model):
    return to_native(model)


@pytest.fixture(scope="module")
def folded(model):
    return to_native(model, fold_batch_norm=True)


def test_every_variable_and_every_weight_once(model, native):
    names = [name for entry in native.weight_map for name in entry.tf1]
    assert sorted(names) == sorted(tf1_variables(model))
    paths = [f"{layer.name}/{weight.name}" for layer in native.layers for weight in layer.weights]
    assert sorted(entry.path for entry in native.weight_map) == sorted(paths)


def test_each_way(native):
    weights = native.weight_map
    name = "MobilenetV1/Conv2d_1_depthwise/depthwise_weights"
    assert weights.native_path(name) == ("MobilenetV1-Conv2d_1_depthwise", "kernel")
    assert weights.tf1_name("MobilenetV1-Conv2d_1_depthwise", "kernel") == name
    with pytest.raises(ArgumentError, match="Conv2d_1_depthwise"):
        weights.native_path("MobilenetV1/Conv2d_1_depthwise/weights")
    with pytest.raises(ArgumentError, match="no weight of this name"):
        weights.tf1_name("MobilenetV1-Conv2d_1_depthwise", "bias")


def test_back_to_tf1_names(model, native):
    arrays = dict(native.weight_map.tf1_arrays(native))
    for name, variable in tf1_variables(model).items():
        np.testing.assert_array_equal(arrays[name], variable.numpy())


def test_json_and_back(native, tmp_path):
    native.weight_map.save(tmp_path / "map.json")
    read = WeightMap.read(tmp_path / "map.json")
    assert list(read) == list(native.weight_map)
    assert read.model == native.weight_map.model == "mobilenet_v1_0.25_128"
    entry = json.loads((tmp_path / "map.json").read_text())["weights"][0]
    assert entry == {
        "tf1": ["MobilenetV1/Conv2d_0/weights"],
        "layer": "MobilenetV1-Conv2d_0",
        "weight": "kernel",
        "shape": [3, 3, 3, 8],
        "how": "same",
    }


@pytest.mark.parametrize("text", ["", "[]", '{"weights": [1]}', '{"weights": [], "model": 1}'])
def test_json_that_is_no_map(text):
    with pytest.raises(ArgumentError, match="no weight map"):
        WeightMap.from_json(text)


def test_straight_from_a_tf1_checkpoint(model, native, small_checkpoint, tmp_path):
    native.save(tmp_path / "native.keras")
    loaded = keras.saving.load_model(tmp_path / "native.keras")
    for weight in loaded.weights:
        weight.assign(np.zeros(weight.shape))
    with pytest.raises(ArgumentError, match="does not know its TF1 names"):
        load_weights(loaded, small_checkpoint)
    report = load_weights(loaded, small_checkpoint, native.weight_map)
    assert len(report.loaded) == 137
    # The checkpoint holds the recipe's values, as the model does.
    for got, expected in zip(loaded.weights, native.weights, strict=True):
        np.testing.assert_array_equal(got.numpy(), expected.numpy())


def test_another_networks_checkpoint(native, tmp_path):
    zoo.write_checkpoint(tmp_path / "other", {"LeNet/conv1/weights": np.zeros((5, 5, 1, 32))})
    before = native.weights[0].numpy()
    with pytest.raises(CheckpointMismatchError):
        load_weights(native, tmp_path / "other")
    np.testing.assert_array_equal(native.weights[0].numpy(), before)


def test_another_models_map(native, small_checkpoint):
    other = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2)])
    with pytest.raises(ArgumentError, match="not this model's"):
        load_weights(other, small_checkpoint, native.weight_map)


def test_a_folded_model_has_no_way_back(folded, small_checkpoint):
    kernel = folded.weight_map[0]
    assert kernel.how == "folded"
    assert kernel.tf1[:2] == (
        "MobilenetV1/Conv2d_0/weights",
        "MobilenetV1/Conv2d_0/BatchNorm/gamma",
    )
    with pytest.raises(ConversionError, match="not one TF1 variable as it was"):
        dict(folded.weight_map.tf1_arrays(folded))
    with pytest.raises(ConversionError, match="folded"):
        load_weights(folded, small_checkpoint)
