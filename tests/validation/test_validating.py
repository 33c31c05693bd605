"""`zoo.validate`: passes what is the original, and says where what is not begins to differ.

The original is TensorFlow's own Session, and what TensorFlow 1.15.5 recorded (goldens).
"""

import numpy as np
import pytest
import recipe
import tensorflow as tf
import tf_slim as slim
from conftest import save_as_tf1_does
from tiny import tiny_arg_scope, tiny_model

import zoo
from zoo.errors import ArgumentError
from zoo.model import TF1Model
from zoo.shim import TF1Network
from zoo.validation.results import ITSELF, STAGES, TENSORFLOW_1, TF1_GRAPH

IN_ORDER = [
    ("variables", TF1_GRAPH),
    ("variables", TENSORFLOW_1),
    ("initial values", TF1_GRAPH),
    ("outputs", TF1_GRAPH),
    ("outputs", TENSORFLOW_1),
    ("gradients", TF1_GRAPH),
    ("training steps", TF1_GRAPH),
    ("saved and reloaded", ITSELF),
    ("preprocessing", TENSORFLOW_1),
]


def stages_of(result):
    return {(stage.name, stage.against): stage for stage in result.stages}


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    """LeNet with the recipe's weights, as TF1 saves it."""
    network = zoo.load("lenet", weights=None).network
    return save_as_tf1_does(network, (28, 28, 1), tmp_path_factory.mktemp("lenet") / "model.ckpt")


def test_a_network_by_its_name():
    seen = []
    result = zoo.validate("lenet", progress=seen.append)
    assert result.passed and result.first_divergence is None, result
    assert [(stage.name, stage.against) for stage in result.stages] == IN_ORDER
    assert [stage.name for stage in seen] == [stage.name for stage in result.stages]
    assert {stage.status for stage in result.stages} == {"passed"}
    assert (result.model, result.golden, result.setting.weights) == ("lenet", "lenet", "rule")
    stages = stages_of(result)
    names = [row.name for row in stages["outputs", TF1_GRAPH].rows]
    assert names[:4] == ["names", "conv1", "pool1", "conv2"]
    assert names[-4:] == ["logits", "the model's output", "top 5", "regularization loss"]
    assert len(stages["gradients", TF1_GRAPH].rows) == 9  # and the norm of all
    steps = [row.name for row in stages["training steps", TF1_GRAPH].rows]
    assert steps[:3] == ["loss of step 0", "loss of step 1", "loss of step 2"]


@pytest.mark.slow
def test_moving_averages_and_another_size():
    result = zoo.validate("mobilenet_v1_0.25_128")
    assert result.passed, result
    stages = stages_of(result)
    assert "224x224x3" in stages["outputs", TENSORFLOW_1].reason
    notes = [row.note for row in stages["training steps", TF1_GRAPH].rows]
    assert any("moving averages after a step" in note for note in notes)


def test_the_recorded_values_are_looked_at(monkeypatch):
    """Weights that are not those that TensorFlow 1.15.5 was given."""
    weights = recipe.weights
    monkeypatch.setattr(
        "zoo.validation.recipe.weights",
        lambda name, shape: weights(name, shape) + 0.01 * (name == "LeNet/conv2/biases"),
    )
    result = zoo.validate("lenet")
    failed = [(stage.name, stage.against) for stage in result.stages if stage.status == "failed"]
    assert failed == [("outputs", TENSORFLOW_1)]
    assert result.first_divergence["name"] == "conv2"


def test_a_checkpoint(checkpoint):
    result = zoo.validate("lenet", tf1_ckpt=checkpoint)
    assert result.passed, result
    assert result.setting.weights == checkpoint
    stages = stages_of(result)
    assert stages["initial values", TF1_GRAPH].status == "skipped"
    assert ("outputs", TENSORFLOW_1) not in stages and ("variables", TENSORFLOW_1) not in stages


def test_a_loaded_model_stays_as_it_is(checkpoint):
    model = zoo.load("lenet", tf1_ckpt=checkpoint)  # with dropout
    model.trainable = False
    before = {name: variable.numpy() for name, variable in model.tf1_variables.items()}
    result = zoo.validate(model)
    assert result.passed, result
    assert stages_of(result)["training steps", TF1_GRAPH].status == "passed"
    for name, variable in model.tf1_variables.items():
        np.testing.assert_array_equal(variable, before[name])
    assert not model.trainable


def test_where_a_model_begins_to_differ(checkpoint):
    model = zoo.load("lenet", tf1_ckpt=checkpoint)
    variable = model.tf1_variables["LeNet/conv2/weights"]
    variable.assign(variable + 1e-3)
    result = zoo.validate(model)
    assert not result.passed
    first = result.first_divergence
    assert (first["stage"], first["name"]) == ("outputs", "conv2")
    assert first["difference"] > first["tolerance"]
    assert "conv2 (outputs, against tf1 graph)" in str(result)


def test_preprocessing_is_apart(checkpoint, monkeypatch):
    model = zoo.load("lenet", tf1_ckpt=checkpoint)
    preprocess = type(model).preprocess
    monkeypatch.setattr(
        type(model), "preprocess", lambda self, images: preprocess(self, images) + 0.01
    )
    result = zoo.validate(model)
    failed = [stage.name for stage in result.stages if stage.status == "failed"]
    assert failed == ["preprocessing"] == [result.first_divergence["stage"]]


def test_a_gradient_that_is_wrong(checkpoint, monkeypatch):
    """What a stopped gradient leaves as it is passes in inference, and not in training."""
    import tensorflow as tf

    from zoo.validation.forms import Shim

    forward = Shim.forward

    def stopped(self, images, training=False):
        logits, end_points = forward(self, images, training)
        return (0.5 * logits + tf.stop_gradient(0.5 * logits), end_points)

    monkeypatch.setattr(Shim, "forward", stopped)
    result = zoo.validate("lenet", tf1_ckpt=checkpoint)
    assert result.first_divergence["stage"] == "gradients"
    assert stages_of(result)["outputs", TF1_GRAPH].status == "passed"
    assert stages_of(result)["training steps", TF1_GRAPH].status == "failed"


def test_the_native_form():
    result = zoo.validate("lenet", form="native")
    assert result.passed, result
    ran = {stage.name for stage in result.stages if stage.status == "passed"}
    assert ran == set(STAGES)


@pytest.mark.slow
@pytest.mark.parametrize("backend", ["tensorflow", "jax", "torch"])
def test_the_native_forms_auxiliary_head(backend):
    """Its end points, gradients and regularization are the original's; on TensorFlow, where both
    take batch norm in plain arithmetic, but for the last digits."""
    pytest.importorskip(backend)
    result = zoo.validate(tiny_model(aux=True), form="native", backend=backend)
    assert result.passed, result
    assert result.versions.get(backend)
    stages = stages_of(result)
    names = [row.name for row in stages["outputs", TF1_GRAPH].rows]
    assert names[:4] == ["names", "AuxLogits", "Logits", "logits"]
    gradients = {row.name: row.difference for row in stages["gradients", TF1_GRAPH].rows}
    assert "Tiny/AuxLogits/fc/weights" in gradients
    assert backend != "tensorflow" or max(gradients.values()) < 1e-6
    assert "plain arithmetic" in stages["gradients", TF1_GRAPH].reason


@pytest.mark.slow
def test_a_native_form_trains_on_smaller_images(monkeypatch):
    from zoo.validation import validating

    monkeypatch.setattr(validating, "_TRAINED_ON", {"mobilenet_v1": (64, 64, 3)})
    result = zoo.validate("mobilenet_v1_0.25_128", form="native")
    assert result.passed, result
    assert "64x64x3" in stages_of(result)["gradients", TF1_GRAPH].reason
    assert result.setting.image_shape == (128, 128, 3)


def test_a_native_form_that_trains_otherwise(monkeypatch):
    """Its averages move at another rate: that shows in training alone."""
    import keras

    from zoo.validation import forms

    def other_momentum(model):
        native = to_native(model)
        for layer in native.layers:
            if isinstance(layer, keras.layers.BatchNormalization):
                layer.momentum = 0.8
        return native

    to_native = forms.to_native
    monkeypatch.setattr(forms, "to_native", other_momentum)
    result = zoo.validate(tiny_model(), form="native")
    failed = [stage.name for stage in result.stages if stage.status == "failed"]
    assert failed == ["training steps"]
    assert "moving_" in result.first_divergence["name"]


@pytest.mark.slow
def test_other_modes():
    assert zoo.validate("lenet", mode="eager").passed
    assert zoo.validate("lenet", mode="xla").passed
    # XLA rounds to half precision at other places than the TF1 graph does.
    half = zoo.validate("lenet", mode="xla", dtype="bfloat16")
    assert half.passed, half
    assert stages_of(half)["outputs", TF1_GRAPH].rows[-4].difference > 2**-10


@pytest.mark.parametrize(("dtype", "roundoff"), [("bfloat16", 2**-8), ("float16", 2**-11)])
def test_half_precision_is_that_of_the_tf1_graph(dtype, roundoff):
    half = zoo.validate("lenet", dtype=dtype)
    assert half.passed, half
    stages = stages_of(half)
    names = [row.name for row in stages["outputs", TF1_GRAPH].rows]
    assert names[:2] == ["names", "conv1"] and names[-4] == "logits"
    # Both sides are rounded at the same places, and differ by no rounding at all.
    assert max(row.difference for row in stages["outputs", TF1_GRAPH].rows[1:-4]) < roundoff / 10
    # It is half precision that was validated: TensorFlow 1.15.5's values are of float32.
    recorded = {row.name: row for row in stages["outputs", TENSORFLOW_1].rows}["logits"]
    assert roundoff / 4 < recorded.difference < recorded.tolerance < 4 * roundoff


def test_where_a_model_begins_to_differ_in_half_precision(checkpoint):
    model = zoo.load("lenet", tf1_ckpt=checkpoint, dtype="mixed_bfloat16")
    variable = model.tf1_variables["LeNet/conv2/weights"]
    variable.assign(variable + 2e-3)
    first = zoo.validate(model, dtype="bfloat16").first_divergence
    assert (first["stage"], first["name"]) == ("outputs", "conv2")


class Large(TF1Network):
    """A network with values that float16 does not have, before those that it has."""

    arg_scope = staticmethod(tiny_arg_scope)
    scope = "Large"
    default_image_size = 8

    @staticmethod
    def function(images, num_classes=3, is_training=True, scope="Large"):
        with tf.compat.v1.variable_scope(scope):
            small = slim.conv2d(images, 4, 3, scope="conv")
            large = small * 60000.0
            logits = slim.fully_connected(
                slim.flatten(large), num_classes, activation_fn=None, scope="Logits"
            )
        return logits, {"small": small, "large": large, "Logits": logits}


def model_of(network, image_shape):
    return TF1Model(
        network,
        image_shape,
        model_name="lenet",
        preprocessing="inception",
        image_size=8,
        label_offset=0,
        class_names=["blue", "green", "red"],
    )


def test_what_overflows_in_the_original_too():
    model = model_of(Large(name="large", dtype="mixed_float16"), (8, 8, 3))
    result = zoo.validate(model, dtype="float16")
    assert result.passed, result
    stage = stages_of(result)["outputs", TF1_GRAPH]
    assert [row.name for row in stage.rows] == ["names", "small", "regularization loss"]
    assert "overflows from large on (2 in all)" in stage.reason


class TwicePooled(TF1Network):
    """A network of clips whose pools overlap, and are pooled again."""

    arg_scope = staticmethod(tiny_arg_scope)
    scope = "Pools"
    image_rank = 5
    default_image_size = 8

    @staticmethod
    def function(clips, num_classes=3, is_training=True, scope="Pools"):
        with tf.compat.v1.variable_scope(scope):
            net = slim.conv3d(clips, 4, 1, scope="conv")
            net = slim.max_pool3d(net, 3, 2, padding="SAME")
            net = slim.max_pool3d(net, 3, 1, padding="SAME")
            logits = slim.fully_connected(
                slim.flatten(net), num_classes, activation_fn=None, scope="Logits"
            )
        return logits, {"Logits": logits}


@pytest.mark.parametrize("mode", ["function", "eager"])
def test_pools_of_clips_that_are_pooled_again(mode):
    """The gradient is another in eager code (docs/migrating.md), and the reference's with it."""
    result = zoo.validate(model_of(TwicePooled(name="pools"), (4, 8, 8, 3)), mode=mode)
    assert result.passed, result


def test_what_is_no_model_of_zoos(checkpoint):
    import keras

    with pytest.raises(ArgumentError, match=r"zoo\.load"):
        zoo.validate(keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)]))
    model = zoo.load("lenet", tf1_ckpt=checkpoint)
    with pytest.raises(ArgumentError, match="has its checkpoint already"):
        zoo.validate(model, tf1_ckpt=checkpoint)
    with pytest.raises(ArgumentError, match="computes in float32"):
        zoo.validate(model, dtype="bfloat16")


def test_a_device_that_is_not_there(monkeypatch):
    monkeypatch.setattr("tensorflow.config.list_physical_devices", lambda kind=None: [])
    with pytest.raises(ArgumentError, match="(?s)sees no GPU.*Next:"):
        zoo.validate("lenet", device="gpu")
