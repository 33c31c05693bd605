"""Which dialect a file speaks."""

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

import zoo
from zoo.dialects import DIALECTS, open_weights, recognise


def test_every_dialect_has_its_file():
    assert list(DIALECTS) == ["timm", "transformers", "keras.applications", "native"]


def test_counterparts_stand_for_registered_architectures_once():
    from zoo.identification import architecture

    for dialect in DIALECTS.values():
        own = [architecture(zoo.info(one.model)) for one in dialect.counterparts()]
        assert len(own) == len(set(own))
        for counterpart in dialect.counterparts():
            assert dialect.counterpart(zoo.info(counterpart.model)) is counterpart
    assert DIALECTS["timm"].counterpart(zoo.info("lenet")) is None


def test_the_classifier_and_the_landmark_are_names_of_the_network(recorded_shapes):
    named_by_tables = [dialect for dialect in DIALECTS.values() if dialect.name != "native"]
    for dialect in named_by_tables:
        for counterpart in dialect.counterparts():
            weights = counterpart.tensor_map(recorded_shapes(counterpart.model))
            names = {entry.peer for entry in weights.entries}
            bias = counterpart.leaves["biases"][0]
            assert f"{counterpart.classifier}{counterpart.separator}{bias}" in names
            assert counterpart.landmark in names or counterpart.tensors == len(names)


def test_tf1_names_are_no_other_dialect(small_checkpoint):
    with open_weights(small_checkpoint) as opened:
        assert recognise(opened) is None


@pytest.fixture(scope="module")
def transformers_file(small_checkpoint, tmp_path_factory):
    path = tmp_path_factory.mktemp("transformers") / "model.safetensors"
    zoo.convert(small_checkpoint, to="transformers", output=path)
    return path


@pytest.fixture(scope="module")
def keras_file(small_checkpoint, tmp_path_factory):
    path = tmp_path_factory.mktemp("keras") / "model.weights.h5"
    zoo.convert(small_checkpoint, to="keras.applications", output=path)
    return path


def test_the_width_is_told_by_the_shapes(transformers_file):
    with open_weights(transformers_file) as opened:
        found = recognise(opened)
    assert found.complete and found.classes == 1001 and found.dialect.name == "transformers"
    assert str(found.counterpart) == (
        "mobilenet_v1_0.25_224(depth_multiplier=0.25, tf_padding=True)"
    )
    assert found.models[0] == "mobilenet_v1_0.25_128" and len(found.models) == 4


def test_a_file_of_keras_is_told_by_its_shapes(keras_file):
    with open_weights(keras_file) as opened:
        found = recognise(opened)
    assert found.complete and found.classes == 1000
    assert str(found) == "keras.applications: MobileNet(alpha=0.25), 1000 classes"


def test_what_is_missing_is_counted(transformers_file, tmp_path):
    tensors = load_file(transformers_file)
    tensors["mobilenet_v1.layer.1.convolution.weight"] = np.zeros((1, 1, 1, 1), np.float32)
    del tensors["mobilenet_v1.layer.0.convolution.weight"]
    save_file(tensors, tmp_path / "part.safetensors")
    with open_weights(tmp_path / "part.safetensors") as opened:
        found = recognise(opened)
    assert not found.complete and (found.matched, found.total) == (135, 137)
    assert "135 of 137 tensors" in str(found)
