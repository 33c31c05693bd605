"""`zoo.wrap`, with a network that zoo has no adapter for. Its checkpoint and the expected values
are TensorFlow 1.15.5's (tools/record_wrapped.py)."""

import importlib.util

import keras
import numpy as np
import pytest
import tensorflow as tf

import zoo
from zoo.errors import ArgumentError, CheckpointMismatchError
from zoo.shim import install, tf1_variables, uninstall


@pytest.fixture(scope="module")
def folder(goldens):
    return goldens / "wrapped"


@pytest.fixture(scope="module")
def old_network(folder):
    spec = importlib.util.spec_from_file_location("old_network", folder / "old_network.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    install()
    yield module.old_network
    uninstall()


@pytest.fixture(scope="module")
def expected(folder):
    return np.load(folder / "expected.npz")


@pytest.fixture
def model(old_network, folder):
    return zoo.wrap(old_network, (16, 16, 3), tf1_ckpt=folder, classes=5)


def test_logits_and_regularization_loss_are_tensorflow_1_15s(model, expected):
    logits = model.predict(expected["images"], verbose=0)
    np.testing.assert_allclose(
        logits, expected["logits"], atol=1e-5 * np.abs(expected["logits"]).max()
    )
    np.testing.assert_allclose(tf.add_n(model.losses), expected["penalty"], rtol=1e-5)


def test_names_are_the_checkpoints(model, folder):
    with zoo.open_checkpoint(folder) as checkpoint:
        for name, variable in tf1_variables(model).items():
            np.testing.assert_array_equal(variable, checkpoint.read(name), err_msg=name)
    assert "old_net/batch_normalization/moving_mean" in tf1_variables(model)


def test_it_trains_on(model, expected):
    model.compile(
        keras.optimizers.SGD(0.01), keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    )
    moving = tf1_variables(model)["old_net/batch_normalization/moving_mean"]
    before = moving.numpy()
    losses = model.fit(
        expected["images"], np.array([0, 1, 2, 3]), epochs=20, batch_size=4, verbose=0
    ).history["loss"]
    assert np.mean(losses[-5:]) < np.mean(losses[:5])
    assert (moving.numpy() != before).any()


def test_it_saves(model, old_network, expected, tmp_path):
    model.save(tmp_path / "m.keras")
    again = keras.saving.load_model(
        tmp_path / "m.keras", custom_objects={"old_network": old_network}
    )
    np.testing.assert_array_equal(again(expected["images"]), model(expected["images"]))


def test_another_head_is_named(old_network, folder):
    with pytest.raises(CheckpointMismatchError, match="old_net/logits/kernel"):
        zoo.wrap(old_network, (16, 16, 3), tf1_ckpt=folder, classes=7)
    head = ["old_net/logits"]
    left_out = zoo.NameMap(exclude=head)
    model = zoo.wrap(old_network, (16, 16, 3), tf1_ckpt=folder, classes=7, name_map=left_out)
    assert model.output_shape == (None, 7)
    assert np.abs(tf1_variables(model)["old_net/logits/kernel"]).max() > 0


def test_slims_pair_gives_the_logits():
    def network(images):
        with tf.compat.v1.variable_scope("net"):
            factor = tf.compat.v1.get_variable("factor", [3])
            return images * factor, {"features": images}

    model = zoo.wrap(network, (4, 3))
    assert model.output_shape == (None, 4, 3)
    assert model.name == "network"


def test_wrong_use():
    def network(images, classes=3):
        return images

    with pytest.raises(ArgumentError, match="Nearest: *classes"):
        zoo.wrap(network, (4, 3), clases=4)
    with pytest.raises(ArgumentError, match="takes a function"):
        zoo.wrap(keras.layers.Dense, (4, 3))
