"""What `zoo.load` returns, as a Keras model. Expected end points are TensorFlow 1.15.5's."""

import subprocess
import sys

import h5py
import keras
import numpy as np
import pytest
import recipe
import tensorflow as tf
from conftest import SMALL

import zoo
from zoo.errors import ArgumentError, ImageError, InputShapeError
from zoo.shim import tf1_variables

IMAGES = recipe.images((2, 128, 128, 3))


@pytest.fixture(scope="module")
def model(small_checkpoint):
    return zoo.load(SMALL, tf1_ckpt=small_checkpoint)


@pytest.fixture(scope="module")
def outputs(model):
    return model(IMAGES).numpy()


def test_facts(model):
    assert model.spec.name == SMALL
    assert model.spec.num_classes == 1001
    assert model.input_shape == (None, 128, 128, 3)
    assert model.output_shape == (None, 1001)
    assert model.count_params() == 475801  # counted by TensorFlow 1.15.5 in the original graph


def test_summary_names_the_network(model):
    lines = []
    model.summary(print_fn=lines.append)
    assert "mobilenet_v1_0_25_128_network" in "\n".join(lines)


def test_keras_file_keeps_values_facts_and_names(model, outputs, tmp_path):
    model.save(tmp_path / "m.keras")
    again = keras.saving.load_model(tmp_path / "m.keras")
    np.testing.assert_array_equal(again(IMAGES), outputs)
    assert isinstance(again, zoo.TF1Model) and again.spec == model.spec
    assert list(again.tf1_variables) == list(model.tf1_variables)
    assert again.decode(outputs) == model.decode(outputs)


@pytest.mark.slow
def test_keras_file_loads_in_another_process(model, outputs, tmp_path):
    model.save(tmp_path / "m.keras")
    np.save(tmp_path / "images.npy", IMAGES)
    code = (
        "import zoo, numpy as np\n"
        "model = zoo.load_model('m.keras')\n"
        "np.save('outputs.npy', model.predict(np.load('images.npy'), verbose=0))\n"
    )
    subprocess.run([sys.executable, "-c", code], cwd=tmp_path, check=True)
    np.testing.assert_allclose(np.load(tmp_path / "outputs.npy"), outputs, rtol=1e-5)


def test_weights_file_holds_tf1_names(model, outputs, tmp_path):
    path = tmp_path / "m.weights.h5"
    model.save_weights(path)
    names = set()
    with h5py.File(path) as file:
        file.visit(names.add)
    name = "MobilenetV1/Conv2d_0/BatchNorm/moving_mean"
    assert any(entry.endswith(f"vars/{name}") for entry in names)
    fresh = zoo.load(SMALL, weights=None)
    fresh.load_weights(path)
    np.testing.assert_array_equal(fresh(IMAGES), outputs)


def test_clones_are_other_models_of_the_same_network(model, outputs):
    for clone in (
        keras.models.clone_model(model),
        zoo.TF1Model.from_config(model.get_config()),
    ):
        clone.set_weights(model.get_weights())
        np.testing.assert_array_equal(clone(IMAGES), outputs)
        name = "MobilenetV1/Conv2d_0/weights"
        assert tf1_variables(clone)[name] is not model.tf1_variables[name]
    assert clone.spec == model.spec


def test_functional_composition(model, outputs):
    source = keras.Input((128, 128, 3))
    composed = keras.Model(source, keras.layers.Rescaling(2.0)(model(source)))
    np.testing.assert_allclose(composed.predict(IMAGES, verbose=0), 2 * outputs, rtol=1e-5)
    assert len(tf1_variables(composed)) == 137


def test_end_points_are_tensorflow_1_15s(model, goldens):
    recorded = np.load(goldens / "outputs" / "mobilenet_v1_025.npz")
    end_points = model.end_points(recipe.images((2, 224, 224, 3)))
    assert set(recorded["ep_names"]) <= set(end_points)
    for row, name in enumerate(recorded["ep_names"]):
        ours = end_points[str(name)].numpy().ravel()
        # The recording's own choice: 64 places in C order.
        places = np.random.RandomState(1).choice(ours.size, 64)
        reference = recorded["ep_samples"][row]
        # TensorFlow 1.15.5 and 2.21 agree to 5e-5 of an end point's scale, see facts there.
        assert np.abs(ours[places] - reference).max() < 1e-4 * np.abs(reference).max(), name


def test_feature_extractor_shares_the_weights(model):
    names = ["Conv2d_5_pointwise", "Conv2d_11_pointwise"]
    extractor = model.feature_extractor(names)
    features = extractor.predict(IMAGES, verbose=0)
    every = model.end_points(IMAGES)
    assert list(features) == names
    for name in names:
        np.testing.assert_allclose(features[name], every[name], rtol=1e-4, atol=1e-5)
    shared = tf1_variables(extractor)["MobilenetV1/Conv2d_0/weights"]
    assert shared is model.tf1_variables["MobilenetV1/Conv2d_0/weights"]


def test_feature_extractor_saves(model, tmp_path):
    extractor = model.feature_extractor("Conv2d_5_pointwise")
    extractor.save(tmp_path / "f.keras")
    again = keras.saving.load_model(tmp_path / "f.keras")
    np.testing.assert_array_equal(
        again(IMAGES)["Conv2d_5_pointwise"], extractor(IMAGES)["Conv2d_5_pointwise"]
    )


def test_an_unknown_end_point_names_the_nearest(model):
    with pytest.raises(ArgumentError, match="Nearest: *Conv2d_5_pointwise"):
        model.feature_extractor("Conv2d_5_pointwize")


def test_preprocess_and_decode(model):
    image = np.full((50, 60, 3), 255, np.uint8)
    images = model.preprocess(image)
    assert images.shape == (1, 128, 128, 3)
    np.testing.assert_allclose(images, np.ones_like(images))  # Inception's: 255 becomes 1
    probabilities = np.zeros((1, 1001), np.float32)
    probabilities[0, 286] = 0.75
    best = model.decode(probabilities, top=2)[0][0]
    # Egyptian cat is 285 of ImageNet's 1000, 286 with the background before them.
    assert (best.index, best.synset, best.score) == (286, "n02124075", 0.75)
    with pytest.raises(ImageError):
        model.preprocess(__file__)


@pytest.mark.parametrize("call", ["__call__", "predict"])
def test_images_that_were_not_preprocessed(model, call):
    with pytest.raises(InputShapeError, match="preprocess") as raised:
        getattr(model, call)(np.zeros((1, 128, 128, 3), np.uint8))
    assert raised.value.received == "dtype uint8"


def test_preprocess_inside_tf_data(model):
    photos = np.random.RandomState(0).randint(0, 256, (3, 40, 50, 3)).astype(np.uint8)
    batch = next(iter(tf.data.Dataset.from_tensor_slices(photos).map(model.preprocess).batch(3)))
    np.testing.assert_allclose(batch, model.preprocess(photos), atol=1e-6)


def test_own_class_names(tmp_path):
    model = zoo.load(SMALL, weights=None, num_classes=3, class_names=["ant", "bee", "cat"])
    assert model.decode([[0.1, 0.7, 0.2]], top=1)[0][0].name == "bee"
    model.save(tmp_path / "m.keras")
    again = keras.saving.load_model(tmp_path / "m.keras")
    assert again.decode([[0.1, 0.7, 0.2]], top=1)[0][0].name == "bee"


def test_a_frozen_network_trains_only_what_is_around_it(small_checkpoint):
    model = zoo.load(SMALL, tf1_ckpt=small_checkpoint, num_classes=0)
    model.trainable = False
    before = {name: variable.numpy() for name, variable in model.tf1_variables.items()}
    source = keras.Input((128, 128, 3))
    features = keras.layers.Flatten()(model(source))
    head = keras.layers.Dense(2, activation="softmax")(features)
    classifier = keras.Model(source, head)
    assert len(classifier.trainable_variables) == 2
    classifier.compile("sgd", "sparse_categorical_crossentropy")
    classifier.fit(IMAGES, np.array([0, 1]), verbose=0)
    for name, variable in model.tf1_variables.items():
        np.testing.assert_array_equal(variable, before[name], err_msg=name)
