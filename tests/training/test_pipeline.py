import keras
import numpy as np
import pytest
import tensorflow as tf
from tiny import tiny_model

from zoo.errors import ArgumentError
from zoo.images import preprocess
from zoo.training.datasets import open_images
from zoo.training.pipeline import Pipeline
from zoo.training.trainees import Trainee

SETTINGS = {
    "batch_size": 4,
    "seed": 5,
    "preprocessing": "inception",
    "augmentation": "slim",
    "class_weights": None,
    "auxiliary_weight": 0.4,
}


@pytest.fixture(scope="module")
def trainee():
    return Trainee(tiny_model(aux=True))


@pytest.fixture(scope="module")
def photos():
    random = np.random.RandomState(0)
    images = random.randint(0, 256, (14, 20, 16, 3)).astype(np.uint8)
    return images, np.arange(14) % 3


def pipeline(trainee, photos, **settings):
    images = open_images(tf.data.Dataset.from_tensor_slices(photos))
    return Pipeline(trainee, images, images, SETTINGS | settings)


def taken(dataset, count):
    return [tf.nest.map_structure(np.asarray, batch) for batch in dataset.take(count)]


@pytest.mark.parametrize(("step", "augmentation"), [(1, "slim"), (3, "keras"), (7, "slim")])
def test_a_steps_batch_is_the_same_from_wherever_training_goes_on(
    step, augmentation, trainee, photos
):
    batches = pipeline(trainee, photos, augmentation=augmentation)
    from_the_start = taken(batches.training(1, 0), step + 2)[step:]
    tf.nest.map_structure(
        np.testing.assert_array_equal, from_the_start, taken(batches.training(1, step), 2)
    )


@pytest.mark.parametrize("augmentation", ["slim", "keras"])
def test_parts_of_a_batch_are_its_rows_whoever_makes_them(augmentation, trainee, photos):
    batches = pipeline(trainee, photos, augmentation=augmentation, class_weights="balanced")
    whole = taken(batches.training(0, 2), 2)
    # Two workers of two replicas each.
    parts = [
        taken(batches.training(0, 2, rows=range(start, start + 2), together=1), 4)
        for start in (0, 2)
    ]
    for step in range(2):
        of_step = [part for worker in parts for part in worker[2 * step : 2 * step + 2]]
        joined = tf.nest.map_structure(lambda *rows: np.concatenate(rows), *of_step)
        tf.nest.map_structure(np.testing.assert_array_equal, joined, whole[step])


def test_an_epoch_has_each_image_at_most_once_and_each_epoch_others(trainee, photos):
    batches = pipeline(trainee, photos, augmentation=None)
    assert batches.steps_per_epoch == 3
    plain = np.asarray(preprocess(tf.constant(photos[0]), "inception", 8))
    epochs = []
    for epoch in range(2):
        images = np.concatenate([x for x, _ in taken(batches.training(0, 3 * epoch), 3)])
        found = [int(np.argmin(np.abs(plain - image).sum((1, 2, 3)))) for image in images]
        np.testing.assert_array_equal(images, plain[found])
        assert len(set(found)) == 12
        epochs.append(found)
    assert epochs[0] != epochs[1]


def test_validation_has_all_images_once_as_at_inference(trainee, photos):
    validation = pipeline(trainee, photos).validation()
    assert int(validation.cardinality()) == 4
    batches = taken(validation, 9)
    np.testing.assert_array_equal(
        np.concatenate([x for x, _ in batches]),
        preprocess(tf.constant(photos[0]), "inception", 8),
    )
    for name in ("Logits", "AuxLogits"):
        targets = np.concatenate([y[name] for _, y in batches])
        np.testing.assert_array_equal(targets, np.eye(3)[photos[1]])


def test_balanced_weights_give_each_class_the_same_sum(trainee, photos):
    images, _ = photos
    labels = np.repeat([0, 1, 2], [8, 4, 2])
    batches = pipeline(trainee, (images, labels), class_weights="balanced", batch_size=14)
    ((_, targets, weights),) = taken(batches.training(0, 0), 1)
    of_class = targets["Logits"].T @ weights["Logits"]
    np.testing.assert_allclose(of_class, 14 / 3, rtol=1e-6)


def test_a_keras_layer_augments_batches(trainee, photos):
    batches = pipeline(trainee, photos, augmentation=keras.layers.Rescaling(0.0, 7.0))
    ((images, _),) = taken(batches.training(0, 0), 1)
    assert images.shape == (4, 8, 8, 3) and (images == 7).all()


def test_a_model_that_does_not_say_its_preprocessing(photos):
    images = keras.Input((8, 8, 3))
    net = keras.layers.GlobalAveragePooling2D()(images)
    trainee = Trainee(keras.Model(images, keras.layers.Dense(3)(net)))
    with pytest.raises(ArgumentError, match="does not say how images are preprocessed"):
        pipeline(trainee, photos, preprocessing="model")
    assert pipeline(trainee, photos, preprocessing="vgg").steps_per_epoch == 3


def test_the_size_of_images_must_be_known(photos):
    images = keras.Input((None, None, 3))
    net = keras.layers.GlobalAveragePooling2D()(images)
    trainee = Trainee(keras.Model(images, keras.layers.Dense(3)(net)))
    with pytest.raises(ArgumentError, match="size of the images is not known"):
        pipeline(trainee, photos)
