"""Which variables are trained, and as what: with Slim's own names, and with a network whose
scopes are seen at a glance."""

import keras
import numpy as np
import pytest
from tiny import SIDE, coloured, tiny_model

import zoo
from zoo.errors import ArgumentError
from zoo.training.native_form import native_trainee
from zoo.training.trainees import Trainee


@pytest.fixture(scope="module")
def model():
    return tiny_model(aux=True)


@pytest.fixture(scope="module")
def native():
    """The same network in plain Keras; its auxiliary logits are no part of it."""
    return zoo.to_native(tiny_model(aux=False))


def trained(trainee, names, frozen=True):
    with trainee.training_only(names, batch_norm_frozen=frozen):
        now = {id(variable) for variable in trainee.whole.trainable_variables}
    return [name for name, variable in trainee.variables.items() if id(variable) in now]


def test_the_head_is_what_depends_on_the_classes(model, native):
    assert Trainee(model).head() == [
        "Tiny/AuxLogits/fc/weights",
        "Tiny/AuxLogits/fc/biases",
        "Tiny/Logits/weights",
        "Tiny/Logits/biases",
    ]
    assert Trainee(native).head() == ["Tiny/Logits/weights", "Tiny/Logits/biases"]


@pytest.mark.parametrize("form", ["model", "native"])
def test_scopes_choose_and_frozen_batch_norm_has_no_variable_to_train(form, request):
    trainee = Trainee(request.getfixturevalue(form))
    everything = list(trainee.variables)
    assert trained(trainee, trainee.within(["b"])) == ["Tiny/b/weights"]
    assert trained(trainee, trainee.within(["Tiny/b"]), frozen=False) == [
        "Tiny/b/weights",
        *sorted(["Tiny/b/BatchNorm/gamma", "Tiny/b/BatchNorm/beta"], key=everything.index),
    ]
    assert trained(trainee, trainee.after("b")) == [
        "Tiny/b/weights",
        "Tiny/Logits/weights",
        "Tiny/Logits/biases",
    ]
    # Moving averages never are; and all is as before afterwards.
    assert not any("moving" in name for name in trained(trainee, everything, frozen=False))
    assert len(trainee.model.trainable_variables) == (10 if form == "model" else 8)


def test_a_scope_that_is_not_there(model):
    with pytest.raises(ArgumentError, match="no variable in this scope") as caught:
        Trainee(model).within(["Logit"])
    assert caught.value.nearest[0] == "Logits"


@pytest.mark.parametrize("form", ["model", "native"])
def test_logits_are_those_whose_softmax_is_the_models(form, request):
    trainee = Trainee(request.getfixturevalue(form))
    images, _ = coloured(5)
    logits = trainee.logits_model(batch_norm_frozen=True)(images, training=False)
    shifted = np.exp(logits - np.max(logits, axis=1, keepdims=True))
    expected = shifted / shifted.sum(1, keepdims=True)
    # Sums of exponentials in float32.
    np.testing.assert_allclose(trainee.model(images), expected, atol=1e-6)


@pytest.mark.parametrize("form", ["model", "native"])
@pytest.mark.parametrize("frozen", [True, False])
def test_frozen_batch_norm_is_as_at_inference(form, frozen, request):
    trainee = Trainee(request.getfixturevalue(form))
    moving = [v for name, v in trainee.variables.items() if "moving" in name]
    before = [np.array(variable) for variable in moving]
    images, _ = coloured(9)
    with trainee.training_only(list(trainee.variables), batch_norm_frozen=frozen):
        logits = trainee.logits_model(batch_norm_frozen=frozen)
        in_training = np.asarray(logits(images, training=True))
        after = [np.array(variable) for variable in moving]
        for variable, value in zip(moving, before, strict=True):
            variable.assign(value)
        at_inference = np.asarray(logits(images, training=False))
    same = [np.array_equal(a, b) for a, b in zip(before, after, strict=True)]
    assert same == [frozen] * 4
    assert np.allclose(in_training, at_inference, atol=1e-5) == frozen


def test_auxiliary_logits_are_the_networks_end_point(model):
    images, _ = coloured(5)
    outputs = Trainee(model).logits_model(batch_norm_frozen=True, auxiliary=True)(images)
    expected = model.end_points(images)
    for name in ("Logits", "AuxLogits"):
        np.testing.assert_allclose(outputs[name], expected[name], atol=1e-6)


def test_a_native_network_has_its_auxiliary_logits_beside_it(model):
    trainee = native_trainee(model)
    assert list(trainee.variables) != list(Trainee(trainee.model).variables)
    assert sorted(trainee.variables) == sorted(model.tf1_variables)
    images, _ = coloured(5)
    outputs = trainee.logits_model(batch_norm_frozen=True, auxiliary=True)(images)
    expected = model.end_points(images)
    for name in ("Logits", "AuxLogits"):
        np.testing.assert_allclose(outputs[name], expected[name], atol=1e-6)
    np.testing.assert_allclose(trainee.model(images), model(images), atol=1e-6)
    names = ["Tiny/AuxLogits/fc/weights", "Tiny/b/weights"]
    with trainee.training_only(names, batch_norm_frozen=True):
        assert trained(trainee, names) == names
    assert len(trainee.whole.trainable_variables) == 10


def test_models_that_are_no_classifiers_of_images():
    images = keras.Input((SIDE, SIDE, 3))
    for model in (keras.Sequential(), keras.Model(images, images), "name"):
        with pytest.raises(ArgumentError, match="Fine-tuning takes"):
            Trainee(model)
