"""`zoo.load`. Checkpoints are written by TensorFlow's own Saver; expected outputs are TensorFlow
1.15.5's, recorded in goldens/outputs for the recipe's weights."""

import logging

import keras
import numpy as np
import pytest
import recipe
import tensorflow as tf
import tf_slim as slim
from conftest import SMALL, save_as_tf1_does
from tensorflow.python.ops import init_ops

import zoo
from zoo import registry
from zoo.adapters.inception import InceptionV3
from zoo.adapters.lenet import LeNet
from zoo.adapters.mobilenet_v1 import MobileNetV1
from zoo.errors import (
    ArgumentError,
    CheckpointFormatError,
    CheckpointMismatchError,
    CheckpointNotFoundError,
    DownloadError,
    InputShapeError,
    UnknownModelError,
)
from zoo.shim import TF1Network


def load(checkpoint, **arguments):
    return zoo.load(SMALL, tf1_ckpt=checkpoint, **arguments)


def test_every_variable_has_the_checkpoints_value(small_checkpoint):
    model = load(small_checkpoint)
    assert len(model.tf1_variables) == 137
    for name, variable in model.tf1_variables.items():
        np.testing.assert_array_equal(variable, recipe.weights(name, tuple(variable.shape)))
    assert str(model.load_report).startswith("137 of 137 variables")


def test_logits_are_tensorflow_1_15s(small_checkpoint, goldens):
    recorded = np.load(goldens / "outputs" / "mobilenet_v1_025.npz")
    model = load(small_checkpoint, input_shape=(224, 224, 3), classifier_activation=None)
    logits = model.predict(recipe.images((2, 224, 224, 3)), verbose=0)
    # 224 is where the golden was recorded. The two TensorFlows agree to 4e-6 of the scale.
    assert np.abs(logits - recorded["logits"]).max() < 1e-5 * np.abs(recorded["logits"]).max()


def test_outputs_are_probabilities_unless_logits_are_asked_for(small_checkpoint):
    images = recipe.images((2, 128, 128, 3))
    probabilities = load(small_checkpoint)(images)
    logits = load(small_checkpoint, classifier_activation=None)(images)
    np.testing.assert_allclose(probabilities, tf.nn.softmax(logits), rtol=1e-5)
    np.testing.assert_allclose(tf.reduce_sum(probabilities, 1), [1, 1], rtol=1e-5)


def test_it_is_an_ordinary_keras_model(small_checkpoint):
    keras.utils.set_random_seed(0)
    model = load(small_checkpoint, num_classes=4)
    images, labels = recipe.images((8, 128, 128, 3)), np.arange(8) % 4
    model.compile(keras.optimizers.Adam(0.003), "sparse_categorical_crossentropy")
    moving = "MobilenetV1/Conv2d_0/BatchNorm/moving_mean"
    before = model.tf1_variables[moving].numpy()
    losses = model.fit(images, labels, epochs=12, batch_size=8, verbose=0).history["loss"]
    assert losses[-1] < 0.7 * losses[0]
    assert (model.tf1_variables[moving].numpy() != before).all()
    assert len(model.losses) == 15  # weight decay of 13 pointwise kernels, the first and the head


def test_a_new_head_starts_from_random_values_and_that_is_said(small_checkpoint, caplog):
    with caplog.at_level(logging.WARNING, "zoo"):
        model = load(small_checkpoint, num_classes=7)
    assert "MobilenetV1/Logits/Conv2d_1c_1x1/weights" in caplog.text
    kernel = model.tf1_variables["MobilenetV1/Logits/Conv2d_1c_1x1/weights"].numpy()
    # Slim's truncated normal of stddev 0.09, cut at two of them: std 0.88 * 0.09.
    assert kernel.shape == (1, 1, 256, 7)
    assert 0.07 < kernel.std() < 0.09 and np.abs(kernel).max() <= 0.18
    first = model.tf1_variables["MobilenetV1/Conv2d_0/weights"]
    np.testing.assert_array_equal(
        first, recipe.weights("MobilenetV1/Conv2d_0/weights", tuple(first.shape))
    )


def test_a_head_of_the_same_size_is_loaded(tmp_path):
    network = MobileNetV1(num_classes=7, depth_multiplier=0.25)
    path = save_as_tf1_does(network, (128, 128, 3), tmp_path / "mine.ckpt")
    model = load(path, num_classes=7)
    name = "MobilenetV1/Logits/Conv2d_1c_1x1/weights"
    np.testing.assert_array_equal(model.tf1_variables[name], recipe.weights(name, (1, 1, 256, 7)))


def test_a_head_of_another_size_says_what_to_pass(tmp_path):
    network = MobileNetV1(num_classes=7, depth_multiplier=0.25)
    path = save_as_tf1_does(network, (128, 128, 3), tmp_path / "mine.ckpt")
    with pytest.raises(CheckpointMismatchError, match="num_classes=7") as raised:
        load(path)
    assert {name for name, *_ in raised.value.wrong_shape} == {
        "MobilenetV1/Logits/Conv2d_1c_1x1/weights",
        "MobilenetV1/Logits/Conv2d_1c_1x1/biases",
    }


def test_random_values_are_drawn_as_the_network_says():
    model = zoo.load(SMALL, weights=None)
    assert model.load_report is None
    variables = model.tf1_variables
    np.testing.assert_array_equal(
        variables["MobilenetV1/Conv2d_0/BatchNorm/moving_variance"], np.ones(8)
    )
    kernel = variables["MobilenetV1/Conv2d_13_pointwise/weights"].numpy()
    assert 0.07 < kernel.std() < 0.09  # truncated normal of stddev 0.09


def test_random_values_are_not_drawn_where_a_checkpoint_has_them(small_checkpoint, monkeypatch):
    drawn = []
    original = tf.random.truncated_normal
    monkeypatch.setattr(
        init_ops.random_ops,
        "truncated_normal",
        lambda *args, **kwargs: drawn.append(args) or original(*args, **kwargs),
    )
    load(small_checkpoint)
    assert drawn == []
    load(small_checkpoint, num_classes=3)
    assert len(drawn) == 1  # the new head


def test_arguments_of_the_original_function():
    model = zoo.load(
        SMALL, weights=None, final_endpoint="Conv2d_5_pointwise", classifier_activation="softmax"
    )
    assert model.output_shape == (None, 16, 16, 64)
    atrous = zoo.load(SMALL, weights=None, output_stride=8, num_classes=0, global_pool=False)
    end_points = atrous.end_points(recipe.images((1, 128, 128, 3)))
    assert end_points["Conv2d_13_pointwise"].shape == (1, 16, 16, 256)


def test_an_unknown_argument_names_the_nearest():
    with pytest.raises(ArgumentError, match="dropout_keep_prob") as raised:
        zoo.load(SMALL, weights=None, dropout_keep_probs=0.5)
    assert "global_pool" in str(raised.value)


def test_another_input_size(small_checkpoint):
    model = load(small_checkpoint, input_shape=(160, 192, 3))
    assert model(recipe.images((1, 160, 192, 3))).shape == (1, 1001)


def test_a_free_input_size(small_checkpoint):
    model = load(small_checkpoint, input_shape=(None, None, 3))
    fixed = load(small_checkpoint)
    images = recipe.images((2, 128, 128, 3))
    np.testing.assert_allclose(model(images), fixed(images), rtol=1e-4, atol=1e-7)
    assert model.predict(recipe.images((2, 200, 150, 3)), verbose=0).shape == (2, 1001)


@pytest.mark.slow
def test_another_size_of_a_network_with_auxiliary_logits(tmp_path):
    network = InceptionV3(num_classes=11)
    path = save_as_tf1_does(network, (299, 299, 3), tmp_path / "m.ckpt")
    model = zoo.load("inception_v3", tf1_ckpt=path, num_classes=11, input_shape=(None, None, 3))
    assert "auxiliary" in str(model.load_report)
    for size in (200, 331):
        assert model(recipe.images((1, size, size, 3))).shape == (1, 11)


def test_dtype_policies(small_checkpoint):
    model = load(small_checkpoint, dtype="mixed_bfloat16")
    assert {variable.dtype for variable in model.weights} == {"float32"}
    assert model.network.compute_dtype == "bfloat16"
    assert model(recipe.images((1, 128, 128, 3))).dtype == tf.float32


def test_a_misspelt_name():
    with pytest.raises(UnknownModelError, match="resnet_v1_50"):
        zoo.load("resnet_v1_51")


def test_a_path_that_is_not_there(tmp_path):
    with pytest.raises(CheckpointNotFoundError):
        load(tmp_path / "nothing.ckpt")


def test_a_damaged_data_file(small_checkpoint, tmp_path):
    for part in (".index", ".data-00000-of-00001"):
        (tmp_path / f"model.ckpt{part}").write_bytes(open(small_checkpoint + part, "rb").read())
    data = tmp_path / "model.ckpt.data-00000-of-00001"
    octets = bytearray(data.read_bytes())
    octets[len(octets) // 2] ^= 0x10
    data.write_bytes(octets)
    with pytest.raises(CheckpointFormatError, match="model.ckpt"):
        load(tmp_path / "model.ckpt")


def test_a_checkpoint_of_another_architecture_says_which(tmp_path):
    network = LeNet(num_classes=11)
    path = save_as_tf1_does(network, (28, 28, 1), tmp_path / "other.ckpt")
    with pytest.raises(CheckpointMismatchError, match="it fits lenet") as raised:
        load(path)
    assert len(raised.value.missing) == 137
    assert "11 classes" in str(raised.value)


def test_another_multiplier_says_which(tmp_path):
    network = MobileNetV1(num_classes=1001, depth_multiplier=0.5)
    path = save_as_tf1_does(network, (128, 128, 3), tmp_path / "other.ckpt")
    with pytest.raises(CheckpointMismatchError, match=r"mobilenet_v1_0\.5"):
        load(path)


def test_an_outer_scope_is_named_and_can_be_stripped(small_checkpoint, tmp_path):
    with zoo.open_checkpoint(small_checkpoint) as checkpoint:
        arrays = {f"tower/{name}": checkpoint.read(name) for name in checkpoint.names()}
    zoo.write_checkpoint(tmp_path / "outer.npz", arrays, format="npz")
    with pytest.raises(CheckpointMismatchError, match="strip_scope='tower'"):
        load(tmp_path / "outer.npz")
    model = load(tmp_path / "outer.npz", name_map=zoo.NameMap(strip_scope="tower"))
    assert len(model.load_report.loaded) == 137


def test_what_a_training_checkpoint_holds_besides_is_no_mismatch(tmp_path):
    network = MobileNetV1(num_classes=1001, depth_multiplier=0.25)
    name = "MobilenetV1/Conv2d_0/weights"
    extra = [
        ("global_step", np.int64(7)),
        (f"{name}/RMSProp", np.ones((3, 3, 3, 8), np.float32)),
        (f"{name}/ExponentialMovingAverage", np.full((3, 3, 3, 8), 5.0, np.float32)),
    ]
    path = save_as_tf1_does(network, (128, 128, 3), tmp_path / "m.ckpt-7", extra=extra)
    report = load(tmp_path).load_report
    assert "global_step" in str(report) and "1 optimizer slot" in str(report)
    averaged = load(path, name_map=zoo.NameMap(moving_average=True))
    np.testing.assert_array_equal(averaged.tf1_variables[name], np.full((3, 3, 3, 8), 5.0))


def test_no_network_says_what_failed_and_what_to_do(tmp_path, monkeypatch):
    monkeypatch.setenv("ZOO_CACHE", str(tmp_path))
    with pytest.raises(DownloadError, match="tf1_ckpt") as raised:
        zoo.load(SMALL, offline=True)
    assert SMALL in str(raised.value)


def test_a_model_without_published_checkpoint_says_so():
    with pytest.raises(ArgumentError, match="weights=None"):
        zoo.load("lenet")


@pytest.mark.parametrize("shape", [(128, 128), (128, 128, None), (0, 128, 3)])
def test_a_wrong_input_shape(shape):
    with pytest.raises(ArgumentError, match="input_shape"):
        zoo.load(SMALL, weights=None, input_shape=shape)


def test_images_that_were_not_preprocessed(small_checkpoint):
    model = load(small_checkpoint)
    with pytest.raises(InputShapeError, match="preprocess"):
        model.network(np.zeros((1, 128, 128, 3), np.uint8))
    with pytest.raises(InputShapeError, match="batches of images"):
        model.network(np.zeros((128, 128, 3), np.float32))


# -- networks of other images than photographs -------------------------------------------------


def mean_of_clip(inputs, num_classes=2, is_training=True, scope="Net"):
    """(N, 3, 8, 8, 1) -> (N, num_classes): enough of a video network to be loaded."""
    with tf.compat.v1.variable_scope(scope):
        net = tf.reduce_mean(inputs, [1, 2, 3])
        logits = slim.fully_connected(net, num_classes, activation_fn=None, scope="Logits")
    return logits, {"Logits": logits}


def no_scope():
    with slim.arg_scope([]) as scope:
        return scope


class MeanOfClip(TF1Network):
    function = staticmethod(mean_of_clip)
    arg_scope = staticmethod(no_scope)
    scope = "Net"
    default_image_size = 8
    minimum_image_size = 4
    image_rank = 5


@pytest.fixture
def clips(monkeypatch):
    """The name of a registered network of grey clips."""
    own = registry.Registry.from_file(registry.registry_path())
    monkeypatch.setattr(registry, "_default", own)
    row = {"family": "mine", "input_size": 8, "channels": 1, "frames": 3, "num_classes": 2}
    zoo.register("clips", adapter=MeanOfClip, preprocessing="inception", **row)
    return "clips"


def test_a_network_of_grey_clips(clips):
    model = zoo.load(clips, weights=None, classifier_activation=None)
    assert model.input_shape == (None, 3, 8, 8, 1)
    kernel, bias = (model.tf1_variables[f"Net/Logits/{name}"] for name in ("weights", "biases"))
    images = recipe.images((2, 3, 8, 8, 1))
    expected = images.mean((1, 2, 3)) @ kernel.numpy() + bias.numpy()
    np.testing.assert_allclose(model(images), expected, rtol=1e-5, atol=1e-7)
    assert zoo.verify(clips, weights=None).passed


def test_clips_of_another_shape(clips):
    model = zoo.load(clips, weights=None, input_shape=(None, None, None, 1))
    assert model(recipe.images((1, 5, 9, 7, 1))).shape == (1, 2)
    for shape in ((8, 8, 1), (3, 8, 8, None), (0, 8, 8, 1), (3, 3, 8, 1)):
        with pytest.raises(ArgumentError, match="frames, height, width, channels"):
            zoo.load(clips, weights=None, input_shape=shape)
    with pytest.raises(InputShapeError, match="batch, frames, height") as raised:
        model.network(np.zeros((1, 8, 8, 1), np.float32))
    assert "clips" in str(raised.value)
    with pytest.raises(InputShapeError, match=">= 4"):
        model.network(np.zeros((1, 3, 8, 3, 1), np.float32))


def test_one_image_is_no_clip_and_a_clip_no_image():
    with pytest.raises(ArgumentError, match=r"128, 128, 3") as raised:
        zoo.load(SMALL, weights=None, input_shape=(16, 128, 128, 3))
    assert "frames" not in str(raised.value).replace("input_shape", "")
