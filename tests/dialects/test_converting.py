"""`zoo.convert`: strict, complete or not at all, and saying what is not as it was."""

import logging
import os

import keras
import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

import zoo
from zoo.dialects import open_weights
from zoo.dialects.keras_models import KerasCheckpoint
from zoo.errors import ArgumentError, CheckpointNotFoundError

HEAD = "MobilenetV1/Logits/Conv2d_1c_1x1"


@pytest.fixture(scope="module")
def arrays(small_checkpoint):
    with zoo.open_checkpoint(small_checkpoint) as opened:
        return {name: opened.read(name) for name in opened.names()}


def read(path):
    with open_weights(path) as opened:
        return {name: opened.read(name) for name in opened.names()}


def assert_equal(got, expected):
    assert sorted(got) == sorted(expected)
    for name, array in expected.items():
        np.testing.assert_array_equal(got[name], array, err_msg=name)


def test_transformers_and_back_is_the_same(small_checkpoint, arrays, tmp_path):
    there = zoo.convert(small_checkpoint, to="transformers", output=tmp_path / "a.safetensors")
    assert (there.source_dialect, there.dialect, there.classes) == ("slim", "transformers", 1001)
    assert there.tensors == 137 + 27 and there.notes == ()  # 27 batch norms count batches
    back = zoo.convert(tmp_path / "a.safetensors", to="slim", output=tmp_path / "model.ckpt")
    assert (back.source_dialect, back.tensors, back.notes) == ("transformers", 137, ())
    assert_equal(read(tmp_path / "model.ckpt"), arrays)


@pytest.fixture(scope="module")
def keras_file(small_checkpoint, tmp_path_factory):
    path = tmp_path_factory.mktemp("keras") / "mobilenet.weights.h5"
    done = zoo.convert(small_checkpoint, to="keras.applications", output=path)
    assert done.classes == 1000
    assert done.notes == ("the background class, index 0, is left out: 1000 classes",)
    return path


def without_background(arrays):
    return {name: array[..., name.startswith(HEAD) :] for name, array in arrays.items()}


def test_keras_and_back_lacks_the_background(keras_file, arrays, tmp_path):
    back = zoo.convert(keras_file, to="slim", output=tmp_path / "back.npz")
    assert back.classes == 1000 and "load it with num_classes=1000" in back.notes[0]
    assert_equal(read(tmp_path / "back.npz"), without_background(arrays))


def test_keras_itself_loads_the_file(keras_file, arrays):
    # Keras's own way to give an application weights, which is strict.
    model = keras.applications.MobileNet(alpha=0.25, weights=str(keras_file))
    first = arrays["MobilenetV1/Conv2d_0/weights"]
    np.testing.assert_array_equal(model.get_layer("conv1").kernel, first)


def test_the_old_layout_of_keras_and_a_model_are_sources_too(keras_file, arrays, tmp_path):
    model = keras.applications.MobileNet(alpha=0.25, weights=str(keras_file))
    logging.getLogger("absl").setLevel(logging.ERROR)
    model.save(tmp_path / "whole.h5")
    for source in (tmp_path / "whole.h5", model):
        done = zoo.convert(source, to="slim", output=tmp_path / "back.npz")
        assert done.source_dialect == "keras.applications"
        assert_equal(read(tmp_path / "back.npz"), without_background(arrays))
        os.remove(tmp_path / "back.npz")


def test_a_checkpoint_of_keras_has_layers_names(keras_file):
    model = keras.applications.MobileNet(alpha=0.25, weights=str(keras_file))
    opened = KerasCheckpoint("m", model)
    assert len(opened) == 137 and opened.shape("conv_preds/bias") == (1000,)


def test_a_model_from_keras_is_loaded_with_1000_classes(keras_file, small_checkpoint, caplog):
    shape = {"classifier_activation": None}
    ours = zoo.load("mobilenet_v1_0.25_128", source=keras_file, **shape)
    original = zoo.load("mobilenet_v1_0.25_128", tf1_ckpt=small_checkpoint, **shape)
    images = np.random.RandomState(0).uniform(-1, 1, (2, 128, 128, 3)).astype(np.float32)
    np.testing.assert_array_equal(ours(images), np.asarray(original(images))[:, 1:])
    assert "no background class" in caplog.text
    # Index 0 is the first of ImageNet's labels in one, the background in the other.
    best, same = (model.decode(model(images), top=1)[0][0] for model in (ours, original))
    assert best.name == same.name or same.name == "background"


def test_a_model_from_keras_is_verified_against_its_tf1_graph(keras_file):
    report = zoo.verify("mobilenet_v1_0.25_128", tf1_ckpt=keras_file)
    assert report.passed and report.logits.shape == (2, 1000)


def test_a_new_head_on_weights_from_keras(keras_file, caplog):
    model = zoo.load("mobilenet_v1_0.25_128", source=keras_file, num_classes=5)
    assert model.output_shape == (None, 5) and len(model.load_report.loaded) == 135
    assert "head is left out" in caplog.text and "1000 classes" not in caplog.text


def test_a_classifier_of_ones_own_keeps_all_classes(arrays, tmp_path):
    cut = {name: a[..., :7] if name.startswith(HEAD) else a for name, a in arrays.items()}
    zoo.write_checkpoint(tmp_path / "own.npz", cut, format="npz")
    done = zoo.convert(
        tmp_path / "own.npz", to="keras.applications", output=tmp_path / "own.weights.h5"
    )
    assert done.classes == 7 and done.notes == ()


def test_an_outer_scope_is_found_and_dropped(arrays, tmp_path):
    outer = {f"tower/{name}": array for name, array in arrays.items()}
    zoo.write_checkpoint(tmp_path / "outer.npz", outer, format="npz")
    zoo.convert(tmp_path / "outer.npz", to="slim", output=tmp_path / "inner.safetensors")
    assert_equal(read(tmp_path / "inner.safetensors"), arrays)


def test_what_is_missing_or_too_much_is_an_error(small_checkpoint, arrays, tmp_path):
    output = tmp_path / "out.safetensors"
    part = {name: array for name, array in arrays.items() if "Conv2d_3_pointwise" not in name}
    zoo.write_checkpoint(tmp_path / "part.npz", part, format="npz")
    with pytest.raises(zoo.CheckpointMismatchError, match="Conv2d_3_pointwise") as raised:
        zoo.convert(tmp_path / "part.npz", to="transformers", output=output)
    assert len(raised.value.missing) == 5
    zoo.write_checkpoint(tmp_path / "more.npz", {**arrays, "extra": np.ones(3)}, format="npz")
    with pytest.raises(zoo.CheckpointMismatchError) as raised:
        zoo.convert(tmp_path / "more.npz", to="transformers", output=output)
    assert raised.value.unexpected == ["extra"]
    zoo.convert(small_checkpoint, to="transformers", output=output)
    tensors = load_file(output)
    tensors["classifier.weight2"] = tensors.pop("classifier.weight")
    save_file(tensors, output)
    with pytest.raises(zoo.CheckpointMismatchError) as raised:
        zoo.convert(output, to="slim", output=tmp_path / "back.npz")
    assert raised.value.missing == [f"{HEAD}/weights"]
    assert raised.value.unexpected == ["classifier.weight2"]
    assert not os.path.exists(tmp_path / "back.npz")


@pytest.mark.parametrize(
    ("asked", "says"),
    [
        ({"to": "tim", "output": "x.safetensors"}, "Nearest:  timm"),
        ({"to": "timm", "output": "x.safetensors"}, "transformers, keras.applications"),
        ({"to": "transformers", "output": "x.bin"}, ".safetensors or .npz"),
        ({"to": "keras.applications", "output": "x.h5"}, "weights.h5"),
        ({"to": "slim", "output": "x.h5"}, "model.ckpt"),
        ({"to": "slim", "output": "nowhere/x.npz"}, "does not exist"),
    ],
)
def test_what_cannot_be_asked_for(asked, says, small_checkpoint, tmp_path):
    with pytest.raises(ArgumentError) as raised:
        zoo.convert(
            small_checkpoint,
            to=asked["to"],
            output=tmp_path / asked["output"],
            model="mobilenet_v1_0.25_128",
        )
    assert says in str(raised.value)
    assert os.listdir(tmp_path) == []


def test_the_model_may_be_named_as_there(small_checkpoint, keras_file, tmp_path):
    output = tmp_path / "out.weights.h5"
    with pytest.raises(zoo.CheckpointMismatchError):
        zoo.convert(small_checkpoint, to="keras.applications", output=output, model="VGG16")
    with pytest.raises(zoo.CheckpointMismatchError, match="another network than vgg_16") as raised:
        zoo.convert(keras_file, to="slim", output=tmp_path / "x.npz", model="vgg_16")
    assert "mobilenet_v1_0.25" in str(raised.value)
    done = zoo.convert(
        small_checkpoint, to="keras.applications", output=output, model="MobileNet(alpha=0.25)"
    )
    assert done.name == "MobileNet(alpha=0.25)"


def test_no_checkpoint_no_file(tmp_path):
    with pytest.raises(CheckpointNotFoundError):
        zoo.convert(tmp_path / "none", to="slim", output=tmp_path / "x.npz")
    with pytest.raises(ArgumentError, match="Keras model"):
        zoo.convert(3, to="slim", output=tmp_path / "x.npz")


@pytest.mark.parametrize("suffix", [".safetensors", ".weights.h5"])
def test_a_failed_write_leaves_nothing(suffix, small_checkpoint, tmp_path, monkeypatch):
    def full(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("safetensors.numpy.save_file", full)
    monkeypatch.setattr(keras.Model, "save_weights", full)
    to = "transformers" if suffix == ".safetensors" else "keras.applications"
    with pytest.raises(OSError, match="No space"):
        zoo.convert(small_checkpoint, to=to, output=tmp_path / f"x{suffix}")
    assert os.listdir(tmp_path) == []


@pytest.mark.slow
def test_inceptions_auxiliary_logits_stay_behind(recorded_shapes, tmp_path):
    shapes = recorded_shapes("inception_v3")
    small = {name: np.broadcast_to(np.float32(1), shape) for name, shape in shapes.items()}
    zoo.write_checkpoint(tmp_path / "v3.npz", small, format="npz")
    there = zoo.convert(tmp_path / "v3.npz", to="timm", output=tmp_path / "v3.safetensors")
    said = "; ".join(there.notes)
    assert "AuxLogits, which serves training alone, is left out" in said
    assert "1000 classes" in said and "average pooling" in said
    back = zoo.convert(tmp_path / "v3.safetensors", to="slim", output=tmp_path / "back.npz")
    assert back.tensors == 378 and "has no InceptionV3/AuxLogits" in back.notes[0]
    # Scales that timm trained are variables of Slim's too, if its batch norm has them.
    tensors = load_file(tmp_path / "v3.safetensors")
    tensors["Mixed_5b.branch1x1.bn.weight"][0] = 2
    save_file(tensors, tmp_path / "scaled.safetensors")
    done = zoo.convert(tmp_path / "scaled.safetensors", to="slim", output=tmp_path / "s.npz")
    assert done.tensors == 378 + 94 and "batch_norm_scale=True" in "; ".join(done.notes)
    again = zoo.convert(tmp_path / "s.npz", to="timm", output=tmp_path / "again.safetensors")
    assert_equal(load_file(tmp_path / "again.safetensors"), tensors)
    assert again.classes == 1000
    with pytest.raises(zoo.CheckpointMismatchError, match="gamma"):
        zoo.convert(tmp_path / "s.npz", to="keras.applications", output=tmp_path / "k.weights.h5")
