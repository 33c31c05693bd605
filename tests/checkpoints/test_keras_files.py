"""`.keras` files that nobody vouches for. The files are Keras's own, with one thing changed."""

import io
import json
import zipfile

import keras
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import zoo
from zoo.checkpoints.keras_files import check_keras_file
from zoo.errors import CheckpointFormatError, CheckpointNotFoundError, UnsafeArchiveError


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2, activation="relu")])
    model.compile("adam", "mse")
    path = tmp_path_factory.mktemp("saved") / "model.keras"
    model.save(path)
    return path


def changed(saved, path, change=None, members=()):
    """A copy whose description went through `change`, with further members."""
    with zipfile.ZipFile(saved) as old, zipfile.ZipFile(path, "w") as new:
        for name in old.namelist():
            content = old.read(name)
            if name == "config.json" and change is not None:
                config = json.loads(content)
                config = change(config) or config
                content = json.dumps(config).encode()
            new.writestr(name, content)
        for name, content in members:
            new.writestr(name, content)
    return path


def layer(module, name, config=None, registered=None):
    return {
        "module": module,
        "class_name": name,
        "config": config if config is not None else {},
        "registered_name": registered,
    }


def in_place_of_the_layer(other):
    def change(config):
        config["config"]["layers"][1] = other

    return change


def as_the_activation(other):
    def change(config):
        config["config"]["layers"][1]["config"]["activation"] = other

    return change


def test_plain_models_pass(saved, tmp_path):
    check_keras_file(saved)
    assert zoo.load_model(saved).count_params() == 10
    with zipfile.ZipFile(saved) as archive:
        archive.extractall(tmp_path)
    check_keras_file(tmp_path)


def test_lambda(tmp_path):
    model = keras.Sequential([keras.Input((4,)), keras.layers.Lambda(lambda x: x + 1)])
    model.save(tmp_path / "a.keras")
    with pytest.raises(CheckpointFormatError, match="holds code(.|\n)*Lambda"):
        zoo.load_model(tmp_path / "a.keras")


@pytest.mark.parametrize(
    "change",
    [
        in_place_of_the_layer(layer("os", "system", {"command": "false"})),
        in_place_of_the_layer(layer("subprocess", "Popen", {"args": ["false"]}, "Popen")),
        in_place_of_the_layer(layer("builtins", "eval", {"source": "1"})),
        in_place_of_the_layer(layer("zoo.cli", "main", {}, "main")),
        in_place_of_the_layer(layer("keras.utils", "get_file", {})),
        in_place_of_the_layer(layer("keras.src.saving.saving_lib", "load_model", {})),
        in_place_of_the_layer(layer("kerasx.layers", "Dense")),
        in_place_of_the_layer(layer(["keras"], "Dense")),
        in_place_of_the_layer(layer("keras.layers", ["Dense"])),
        as_the_activation(layer("os", "function", "system", "function")),
        as_the_activation(layer("keras.utils", "function", "get_file", "function")),
        as_the_activation(layer("posix", "function", "system", "system")),
        lambda config: layer("shutil", "rmtree", {"path": "/"}),
        lambda config: config.update(module="runpy", class_name="run_path"),
    ],
    ids=range(14),
)
def test_description_that_names_another_class(saved, tmp_path, change):
    path = changed(saved, tmp_path / "a.keras", change)
    with pytest.raises(CheckpointFormatError, match=r"neither Keras's nor registered(.|\n)*Next:"):
        zoo.load_model(path)


def test_torch_module(saved, tmp_path):
    other = layer("keras.layers", "TorchModuleWrapper", {"module": "gASV"})
    with pytest.raises(CheckpointFormatError, match="holds code"):
        zoo.load_model(changed(saved, tmp_path / "a.keras", in_place_of_the_layer(other)))


def test_registered_and_given_classes_pass(saved, tmp_path):
    class Mine(keras.layers.Dense):
        pass

    other = layer("my_module", "Mine", {"units": 2}, "mine>Mine")
    path = changed(saved, tmp_path / "a.keras", in_place_of_the_layer(other))
    with pytest.raises(CheckpointFormatError, match="my_module.Mine"):
        check_keras_file(path)
    check_keras_file(path, {"Mine": Mine})
    keras.saving.register_keras_serializable("mine")(Mine)
    check_keras_file(path)


@pytest.mark.parametrize("name", ["../evil", "/evil", "assets/../../evil", "evil.py", "a.pkl"])
def test_members_that_no_model_has(saved, tmp_path, name):
    path = changed(saved, tmp_path / "a.keras", members=[(name, b"")])
    with pytest.raises(CheckpointFormatError, match="which no Keras model does"):
        zoo.load_model(path)


def test_bomb(saved, tmp_path):
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("config.json", b" " * (100 << 20))
    (tmp_path / "a.keras").write_bytes(packed.getvalue())
    with pytest.raises(UnsafeArchiveError, match="expands to more than"):
        zoo.load_model(tmp_path / "a.keras")


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04", b"{}", b"[" * 100_000])
def test_files_that_are_no_model(tmp_path, content):
    (tmp_path / "a.keras").write_bytes(content)
    with pytest.raises(CheckpointFormatError):
        zoo.load_model(tmp_path / "a.keras")
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "config.json").write_bytes(content)
    if content != b"{}":
        with pytest.raises(CheckpointFormatError):
            check_keras_file(folder)


def test_no_file(tmp_path):
    with pytest.raises(CheckpointNotFoundError):
        zoo.load_model(tmp_path / "none.keras")


VALUES = st.recursive(
    st.none() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["class_name", "module", "config", "registered_name", "x"]), inner
        )
    ),
    max_leaves=10,
)


@settings(max_examples=60, deadline=None)
@given(description=VALUES)
def test_any_description_passes_or_is_refused(tmp_path_factory, description):
    folder = tmp_path_factory.mktemp("any")
    (folder / "config.json").write_text(json.dumps(description))
    try:
        check_keras_file(folder)
    except CheckpointFormatError:
        return
    text = json.dumps(description)
    assert '"module": "os"' not in text and "__lambda__" not in text
