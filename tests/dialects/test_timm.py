"""timm itself, with weights that zoo converted, against what TensorFlow 1.15.5 gave for them."""

import numpy as np
import pytest

import zoo
from zoo.dialects import DIALECTS, open_weights
from zoo.dialects.files import write_safetensors
from zoo.dialects.translation import translate
from zoo.images.labels import imagenet_labels

TIMM = DIALECTS["timm"]
COUNTERPARTS = {counterpart.name: counterpart for counterpart in TIMM.counterparts()}
# One VGG of three, which have half a gigabyte each; the others' names are compared.
RUN = [name for name in COUNTERPARTS if name not in ("vgg16", "vgg19")]

# PyTorch's and TensorFlow's float32 kernels sum in other orders. Seen: 3e-6, of mobilenet_v3_large
# 1.4e-5.
TOLERANCE = 1e-4


@pytest.mark.slow
@pytest.mark.parametrize("name", RUN)
def test_timm_computes_the_same(name, recorded, torch_process, tmp_path):
    counterpart = COUNTERPARTS[name]
    network = recorded(counterpart.model)
    offset = network.spec.label_offset
    file = tmp_path / "converted.safetensors"
    weights = counterpart.tensor_map(network.shapes)
    write_safetensors(file, weights.to_peer(network.weights, offset))
    job = {"library": "timm", "name": name, "classes": 1000, "file": str(file)}
    answer = torch_process("run", network.images, correct=bool(counterpart.difference), **job)
    if counterpart.difference:
        # What the table says is all that differs; should timm change, the table must.
        assert network.differs(answer["logits"]) > TOLERANCE
        assert network.differs(answer["corrected"]) < TOLERANCE
    else:
        assert network.differs(answer["logits"]) < TOLERANCE

    with translate(open_weights(file), TIMM, counterpart, network.shapes) as back:
        assert set(back.names()) == {entry.slim for entry in weights.entries}
        for entry in weights.entries:
            kept = slice(offset if entry.counts_classes else 0, None)
            np.testing.assert_array_equal(
                back.read(entry.slim), network.weights[entry.slim][..., kept]
            )
    file.unlink()


@pytest.mark.slow
def test_every_name_and_shape_is_timms(recorded_shapes, torch_process):
    for name, counterpart in COUNTERPARTS.items():
        shapes = recorded_shapes(counterpart.model)
        weights = counterpart.tensor_map(shapes)
        ours = {entry.peer: entry.peer_shape(1000) for entry in weights.entries}
        for gamma, peer in weights.scales.items():
            ours[peer] = shapes[gamma.removesuffix("gamma") + "beta"]
        theirs = torch_process("names", library="timm", name=name, classes=1000)
        assert ours | dict.fromkeys(weights.ignored, ()) == {
            name: tuple(shape) for name, shape in theirs.items()
        }


@pytest.mark.slow
def test_a_model_of_timms_is_loaded(torch_process, tmp_path, caplog):
    file, images = str(tmp_path / "model.safetensors"), _images(128)
    job = {"library": "timm", "name": "tf_mobilenetv3_small_minimal_100", "classes": 1000}
    theirs = torch_process("randomize", images, file=file, **job)["logits"]
    model = zoo.load(
        "mobilenet_v3_small_minimalistic_1.0_224",
        source=file,
        input_shape=(128, 128, 3),
        classifier_activation=None,
    )
    assert _difference(model(images), theirs) < TOLERANCE
    assert "no background class" in caplog.text
    # Index 0 is the first of ImageNet's labels, and no background.
    best = model.decode(theirs, top=1)[0][0]
    assert best.index == theirs[0].argmax() and best.name == imagenet_labels()[best.index].name


@pytest.mark.slow
def test_an_inception_that_was_trained_with_scales_is_loaded(torch_process, tmp_path, caplog):
    file, images = str(tmp_path / "model.safetensors"), _images(139)
    job = {"library": "timm", "name": "inception_v3", "classes": 1000, "file": file}
    torch_process("randomize", images, scales=True, **job)
    theirs = torch_process("run", images, correct=True, **job)["corrected"]
    model = zoo.load(
        "inception_v3", source=file, input_shape=(139, 139, 3), classifier_activation=None
    )
    assert _difference(model(images), theirs) < TOLERANCE
    assert "batch norm has scales" in caplog.text and "no auxiliary logits" in caplog.text
    assert len(model.load_report.loaded) == model.load_report.total


def _images(size):
    return np.random.RandomState(2).uniform(-1, 1, (2, size, size, 3)).astype(np.float32)


def _difference(ours, theirs):
    return np.abs(np.asarray(ours) - theirs).max() / np.abs(theirs).max()
