"""Transformers itself, with converted weights, against what TensorFlow 1.15.5 gave for them."""

import numpy as np
import pytest

import zoo
from zoo.dialects import DIALECTS
from zoo.dialects.files import write_safetensors

COUNTERPARTS = {one.name: one for one in DIALECTS["transformers"].counterparts()}
TOLERANCE = 1e-4  # as timm's


@pytest.mark.slow
@pytest.mark.parametrize("name", COUNTERPARTS)
def test_transformers_computes_the_same(name, recorded, torch_process, tmp_path):
    counterpart = COUNTERPARTS[name]
    network = recorded(counterpart.model)
    file = tmp_path / "converted.safetensors"
    weights = counterpart.tensor_map(network.shapes)
    write_safetensors(file, weights.to_peer(network.weights))
    job = {"library": "transformers", "name": name, "arguments": counterpart.arguments}
    answer = torch_process("run", network.images, classes=1001, file=str(file), **job)
    assert network.differs(answer["logits"]) < TOLERANCE


@pytest.mark.slow
def test_a_converted_file_is_what_from_pretrained_takes(small_checkpoint, torch_process, tmp_path):
    done = zoo.convert(small_checkpoint, to="transformers", output=tmp_path / "model.safetensors")
    assert done.classes == 1001 and not done.notes
    arguments = COUNTERPARTS["mobilenet_v1_0.25_224"].arguments
    images = np.random.RandomState(2).uniform(-1, 1, (2, 128, 128, 3)).astype(np.float32)
    answer = torch_process(
        "from_pretrained", images, classes=1001, folder=str(tmp_path), arguments=arguments
    )
    assert answer["wrong"] == []
    model = zoo.load("mobilenet_v1_0.25_128", tf1_ckpt=small_checkpoint, classifier_activation=None)
    ours = np.asarray(model(images))
    assert np.abs(ours - answer["logits"]).max() / np.abs(ours).max() < TOLERANCE


@pytest.mark.slow
@pytest.mark.parametrize("name", ["mobilenet_v1_0.25_128", "mobilenet_v2_0.35_96"])
def test_a_folder_of_transformers_is_loaded(name, torch_process, tmp_path):
    found = DIALECTS["transformers"].counterpart(zoo.info(name))
    size = zoo.info(name).input_size
    images = np.random.RandomState(2).uniform(-1, 1, (2, size, size, 3)).astype(np.float32)
    job = {"library": "transformers", "name": name, "classes": 1001, "folder": str(tmp_path)}
    theirs = torch_process("randomize", images, arguments=found.arguments, **job)["logits"]
    model = zoo.load(name, source=str(tmp_path), classifier_activation=None)
    ours = np.asarray(model(images))
    assert np.abs(ours - theirs).max() / np.abs(theirs).max() < TOLERANCE
    assert model.get_config()["label_offset"] == 1  # 0 is still background
