"""Slim's training preprocessing: the distribution that TensorFlow 1.15.5 draws from, recorded by
tools/record_augmentation.py from Slim's own code."""

import importlib.util
import json
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf

from zoo.images import preprocess
from zoo.training import augmentation

RECORDER = Path(__file__).parents[2] / "tools" / "record_augmentation.py"
DRAWS = 1000


@pytest.fixture(scope="module")
def recorder():
    spec = importlib.util.spec_from_file_location("record_augmentation", RECORDER)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def drawn(kind, image, count, size=(32, 32)):
    image = tf.constant(image)
    seeds = tf.data.Dataset.range(count).map(
        lambda place: augmentation.KINDS[kind](image, size, tf.stack([place, 7])),
        num_parallel_calls=tf.data.AUTOTUNE,
    )
    return seeds.as_numpy_iterator()


@pytest.mark.parametrize("kind", ["inception", "vgg", "cifarnet"])
def test_the_distribution_is_slims(kind, recorder, goldens):
    recorded = json.loads((goldens / "augmentation.json").read_text())
    photo = recorder.photo() if kind != "cifarnet" else recorder.photo()[14:46, 24:56]
    rows = np.array([recorder.numbers(image) for image in drawn(kind, photo, DRAWS)])
    mean, std = (np.array(recorded[kind][name]) for name in ("mean", "std"))
    # Two means of so many independent draws differ by sqrt(1/m + 1/n) standard deviations, and
    # their standard deviations by about as much; more than 5 times that is no chance.
    apart = 5 * np.sqrt(1 / recorded["draws"] + 1 / DRAWS)
    # Of what does not vary, a standardized image's contrast, rounding is left.
    assert (np.abs(rows.mean(0) - mean) < apart * std + 1e-5).all(), (rows.mean(0) - mean) / std
    assert (np.abs(rows.std(0) - std) < apart * std + 1e-5).all(), rows.std(0) / std


@pytest.mark.parametrize("kind", augmentation.KINDS)
def test_a_draw_depends_on_its_seed_alone(kind, recorder):
    image = recorder.photo()[:40, :40]
    one, other, *_ = drawn(kind, image, 3)
    again = next(drawn(kind, image, 1))
    np.testing.assert_array_equal(one, again)
    assert kind == "lenet" or np.abs(one - other).max() > 0.01


def test_lenet_is_as_in_evaluation(recorder):
    image = recorder.photo()
    (one,) = drawn("lenet", image, 1, (28, 28))
    np.testing.assert_array_equal(one, preprocess(tf.constant(image), "lenet", 28))


def test_kerass_layers_keep_shape_and_range():
    images = np.random.RandomState(0).uniform(-1, 1, (4, 16, 16, 3)).astype(np.float32)
    augmented = np.asarray(augmentation.keras_layers()(images, training=True))
    assert augmented.shape == images.shape
    assert np.abs(augmented).max() <= 1
    assert np.abs(augmented - images).max() > 0.1


def test_kerass_layers_draw_by_the_seed_alone():
    layers = augmentation.keras_layers()
    image = np.random.RandomState(0).uniform(-1, 1, (16, 16, 3)).astype(np.float32)
    layers(image[np.newaxis])

    def drawn(seeds):
        dataset = tf.data.Dataset.from_tensor_slices(tf.constant(seeds, tf.int64))
        augmented = dataset.map(
            lambda seed: augmentation.by_keras(layers, tf.constant(image), seed),
            num_parallel_calls=2,
        )
        return np.stack(list(augmented.as_numpy_iterator()))

    seeds = [[0, 0], [0, 1], [1, 0]]
    first = drawn(seeds)
    assert first.shape == (3, 16, 16, 3)
    np.testing.assert_array_equal(drawn(seeds), first)
    np.testing.assert_array_equal(drawn(seeds[::-1]), first[::-1])
    for one, other in ((0, 1), (0, 2), (1, 2)):
        assert np.abs(first[one] - first[other]).max() > 0.1


def test_every_layer_draws_for_itself():
    """Two layers of the same kind undo each other's mirroring only by chance."""
    flips = [keras.layers.RandomFlip("horizontal", seed=7) for _ in range(2)]
    both = keras.Sequential(flips)
    image = np.arange(12, dtype=np.float32).reshape(2, 2, 3)
    both(image[np.newaxis])
    outcomes = [
        np.array_equal(augmentation.by_keras(both, tf.constant(image), [0, seed]), image)
        for seed in range(12)
    ]
    assert len(set(outcomes)) == 2
