"""The rule for a native model's names, against `zoo.to_native` itself; and its files, both ways."""

import keras
import numpy as np
import pytest
from typer.testing import CliRunner

import zoo
from zoo.cli.app import app
from zoo.dialects import DIALECTS, open_weights, recognise
from zoo.errors import ArgumentError, CheckpointFormatError
from zoo.shim import tf1_variables

MODEL = "mobilenet_v1_0.25_128"
NATIVE = DIALECTS["native"]

# Keras's TensorFlow and TensorFlow 1.15.5 sum float32 in other orders. Seen: 5e-7.
TOLERANCE = 1e-5


def read(path):
    with open_weights(path) as opened:
        return {name: opened.read(name) for name in opened.names()}


def assert_equal(got, expected):
    assert sorted(got) == sorted(expected)
    for name, array in expected.items():
        np.testing.assert_array_equal(got[name], array, err_msg=name)


def weights_of(native):
    return {f"{layer.name}/{one.name}": one for layer in native.layers for one in layer.weights}


# -- Names -------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("lenet", {}),
        ("cifarnet", {}),
        (MODEL, {}),
        ("inception_v2", {}),
        ("resnet_v1_50", {}),
        ("nasnet_cifar", {"config": {"num_cells": 3, "num_conv_filters": 8}}),
    ],
)
def test_the_rule_gives_the_names_that_conversion_gives(name, arguments):
    model = zoo.load(name, weights=None, **arguments)
    shapes = {name: tuple(found.shape) for name, found in tf1_variables(model).items()}
    weights = NATIVE.counterpart(zoo.info(name)).tensor_map(shapes)
    entries = zoo.to_native(model, training=False).weight_map
    there = {(one.path, one.tf1, one.shape) for one in entries if one.how == "same"}
    ours = {(entry.peer, (entry.slim,), entry.peer_shape()) for entry in weights.entries}
    assert ours == there and len(ours) == len(weights.entries)


def test_every_registered_network_has_one_name_for_each_variable(recorded_shapes):
    for counterpart in NATIVE.counterparts():
        spec = zoo.info(counterpart.model)
        shapes = recorded_shapes(spec.name)
        entries = counterpart.tensor_map(shapes).entries
        auxiliary = [name for name in shapes if name.startswith(spec.load_adapter().auxiliary)]
        assert {entry.slim for entry in entries} == shapes.keys() - auxiliary
        assert all(entry.peer.count("/") == 1 for entry in entries)
        there = _Shapes({entry.peer: entry.peer_shape() for entry in entries})
        assert NATIVE.may_have(there) and counterpart.is_in(there)
        assert counterpart.classes_in(there) == spec.num_classes
        slim = _Shapes(shapes)
        assert not NATIVE.may_have(slim) and not counterpart.is_in(slim)


class _Shapes(dict):
    """What is asked of a checkpoint here: names and shapes."""

    names = dict.keys
    shape = dict.__getitem__


def test_what_is_no_weight_of_a_layer_is_named():
    with pytest.raises(zoo.CheckpointMismatchError, match="LeNet/conv1/strange"):
        NATIVE.counterpart(zoo.info("lenet")).tensor_map({"LeNet/conv1/strange": (3,)})


# -- Files -------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def file(small_checkpoint, tmp_path_factory):
    """Written by the command, from a checkpoint of the recipe's weights."""
    path = tmp_path_factory.mktemp("native") / "native.safetensors"
    done = CliRunner().invoke(
        app, ["convert", str(small_checkpoint), "--to", "native", "-o", str(path)]
    )
    assert done.exit_code == 0 and "137 tensors, 1001 classes" in done.output.replace("\n", " ")
    return path


@pytest.fixture(scope="module")
def native():
    """For images of the recording's size."""
    return zoo.to_native(
        zoo.load(MODEL, weights=None, input_shape=(224, 224, 3), classifier_activation=None),
        training=False,
    )


def test_slim_native_slim_is_the_same(small_checkpoint, file, tmp_path):
    back = zoo.convert(file, to="slim", output=tmp_path / "model.ckpt")
    assert (back.source_dialect, back.model, back.tensors) == ("native", MODEL, 137)
    assert back.notes == ()
    assert_equal(read(tmp_path / "model.ckpt"), read(small_checkpoint))
    zoo.convert(small_checkpoint, to="native", output=tmp_path / "native.npz")
    assert_equal(read(tmp_path / "native.npz"), read(file))


@pytest.mark.slow
def test_its_arrays_by_name_make_a_keras_model_compute_what_tensorflow_did(
    file, native, recorded, tmp_path
):
    weights = weights_of(native)
    for name, array in read(file).items():
        assert tuple(weights.pop(name).shape) == array.shape
        weights_of(native)[name].assign(array)
    assert not weights
    network = recorded(MODEL)
    assert network.differs(native.predict(network.images, verbose=0)) < TOLERANCE

    # What Keras saves of it is read under the same names, and as TF1's.
    for name in ("model.keras", "model.weights.h5"):
        getattr(native, "save" if name.endswith(".keras") else "save_weights")(tmp_path / name)
        assert_equal(read(tmp_path / name), read(file))
        with open_weights(tmp_path / name) as opened:
            found = recognise(opened)
        assert str(found) == f"native: {MODEL}, 1001 classes" and found.complete
    loaded = zoo.load(
        MODEL,
        source=tmp_path / "model.keras",
        input_shape=(224, 224, 3),
        classifier_activation=None,
    )
    assert len(loaded.load_report.loaded) == loaded.load_report.total == 137
    assert network.differs(loaded.predict(network.images, verbose=0)) < TOLERANCE


def test_zoo_inspect_tells_it(file):
    done = CliRunner().invoke(app, ["inspect", str(file)])
    assert done.exit_code == 0
    assert (
        f"native: {MODEL}, 1001 classes" in done.output and "mobilenet_v1_0.25_224" in done.output
    )


def test_another_network_is_told(file):
    with pytest.raises(zoo.CheckpointMismatchError, match="another network than lenet") as raised:
        zoo.load("lenet", source=file)
    assert f'zoo.load("{MODEL}"' in str(raised.value)


def test_no_tensor_may_lack_or_be_too_many(file, tmp_path):
    arrays = read(file)
    arrays["MobilenetV1-Conv2d_0/more"] = arrays.pop("MobilenetV1-Conv2d_0/kernel")
    zoo.write_checkpoint(tmp_path / "wrong.npz", arrays, format="npz")
    with pytest.raises(zoo.CheckpointMismatchError) as raised:
        zoo.convert(tmp_path / "wrong.npz", to="slim", output=tmp_path / "back.npz")
    assert raised.value.missing == ["MobilenetV1/Conv2d_0/weights"]
    assert raised.value.unexpected == ["MobilenetV1-Conv2d_0/more"]
    assert not (tmp_path / "back.npz").exists()


def test_it_goes_into_flat_files(small_checkpoint, tmp_path):
    with pytest.raises(ArgumentError, match="native"):
        zoo.convert(small_checkpoint, to="native", output=tmp_path / "native.keras")


@pytest.fixture(scope="module")
def small():
    """Native CifarNet: its local response normalization is a convolution by constants."""
    return zoo.to_native(zoo.load("cifarnet", weights=None))


def test_constants_of_the_graph_are_no_variables(small, tmp_path):
    expected = dict(small.weight_map.tf1_arrays(small))
    small.save(tmp_path / "cifarnet.keras")
    for source in (small, tmp_path / "cifarnet.keras"):
        done = zoo.convert(source, to="slim", output=tmp_path / "back.npz")
        assert (done.model, done.source_dialect) == ("cifarnet", "native")
        assert_equal(read(tmp_path / "back.npz"), expected)


@pytest.mark.slow
def test_scales_that_slim_leaves_out_by_default_come_along(recorded_shapes, tmp_path):
    from zoo.dialects import look_at
    from zoo.dialects.translation import with_scales

    scaled = with_scales(recorded_shapes("inception_v2"))
    ones = {name: np.broadcast_to(np.float32(1), shape) for name, shape in scaled.items()}
    zoo.write_checkpoint(tmp_path / "v2.npz", ones, format="npz")
    there = zoo.convert(tmp_path / "v2.npz", to="native", output=tmp_path / "v2.safetensors")
    assert there.tensors == len(scaled)
    found = look_at(tmp_path / "v2.safetensors", zoo.info("inception_v2"))
    assert found.arguments == {"batch_norm_scale": True}
    back = zoo.convert(tmp_path / "v2.safetensors", to="slim", output=tmp_path / "back.npz")
    assert back.tensors == len(scaled) and "batch_norm_scale=True" in "; ".join(back.notes)


# -- Keras's files -----------------------------------------------------------------------------


def test_a_keras_file_without_weights_says_so(small, tmp_path):
    import zipfile

    small.save(tmp_path / "whole.keras")
    with zipfile.ZipFile(tmp_path / "whole.keras") as whole:
        with zipfile.ZipFile(tmp_path / "part.keras", "w") as part:
            part.writestr("config.json", whole.read("config.json"))
    with pytest.raises(CheckpointFormatError, match="model.weights.h5"):
        open_weights(tmp_path / "part.keras")
    content = (tmp_path / "whole.keras").read_bytes()
    for kept in (0, 100, len(content) // 2):
        (tmp_path / "cut.keras").write_bytes(content[:kept])
        with pytest.raises(CheckpointFormatError):
            open_weights(tmp_path / "cut.keras")


def test_other_layers_of_keras_keep_their_paths(tmp_path):
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2, name="dense")])
    model.save(tmp_path / "other.keras")
    with open_weights(tmp_path / "other.keras") as opened:
        assert opened.names() == ["layers/dense/vars/0", "layers/dense/vars/1"]
    with pytest.raises(zoo.CheckpointMismatchError, match="file of Keras"):
        zoo.load("lenet", source=tmp_path / "other.keras")
