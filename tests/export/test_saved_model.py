"""SavedModels, loaded and run by TensorFlow alone, in the way TensorFlow Serving calls them."""

from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

import zoo
from zoo.errors import ArgumentError
from zoo.export import to_saved_model

PHOTOS = sorted((Path(__file__).parents[2] / "examples").glob("*.jpg"))


@pytest.fixture(scope="module")
def loaded(small, tmp_path_factory):
    return tf.saved_model.load(to_saved_model(small, tmp_path_factory.mktemp("sm") / "new" / "it"))


def test_it_takes_files_bytes(loaded, small):
    octets = tf.constant([photo.read_bytes() for photo in PHOTOS])
    served = loaded.signatures["serving_default"](image_bytes=octets)
    assert list(served) == ["probabilities"]
    expected = small.predict(small.preprocess(list(PHOTOS)), verbose=0)
    assert np.abs(expected[0] - expected[1]).max() > 0.05 * expected.max()
    np.testing.assert_allclose(served["probabilities"], expected, atol=1e-5 * expected.max())


def test_it_takes_preprocessed_images(loaded, small, noise):
    images = noise(3, 128, 128, 3)
    served = loaded.signatures["preprocessed"](images=tf.constant(images))["probabilities"]
    expected = small.predict(images, verbose=0)
    np.testing.assert_allclose(served, expected, atol=1e-5 * expected.max())


def test_what_is_no_image_is_an_error(loaded):
    with pytest.raises(tf.errors.InvalidArgumentError):
        loaded.signatures["serving_default"](image_bytes=tf.constant([b"no image"]))


def test_a_wrapped_function_takes_its_own_inputs(tmp_path):
    def double(inputs):
        with tf.compat.v1.variable_scope("double"):
            return inputs * tf.compat.v1.get_variable("by", initializer=tf.constant(2.0))

    folder = to_saved_model(zoo.wrap(double, (3,)), tmp_path / "double")
    signatures = tf.saved_model.load(folder).signatures
    for name in ("serving_default", "preprocessed"):
        doubled = signatures[name](images=tf.constant([[1.0, 2, 3]]))["output"]
        np.testing.assert_array_equal(doubled, [[2, 4, 6]])


def test_a_folder_in_use_is_left_alone(small, tmp_path):
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(ArgumentError, match="folder of its own"):
        to_saved_model(small, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


def test_a_failure_leaves_nothing(small, tmp_path, monkeypatch):
    def full(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(tf.saved_model, "save", full)
    with pytest.raises(OSError, match="No space left"):
        to_saved_model(small, tmp_path / "it")
    assert list(tmp_path.iterdir()) == []
