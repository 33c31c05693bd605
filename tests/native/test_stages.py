"""to_native(until=...): native up to a TF1 scope, TF1 code after it, equal at every stage."""

import networks
import numpy as np
import pytest
import recipe
import tensorflow as tf
from steps import GradientDescent

import zoo
from zoo.errors import ArgumentError
from zoo.native import RestOfNetwork, to_native
from zoo.shim import tf1_variables

SHAPE = (2, 64, 64, 3)


@pytest.fixture
def model(recorded_model):
    """MobileNet V1 0.25 with dropout off."""
    return recorded_model(
        "mobilenet_v1_025", SHAPE[1:], num_classes=5, dropout_keep_prob=1.0, global_pool=True
    )


@pytest.mark.parametrize(
    "until", ["MobilenetV1/Conv2d_0", "Conv2d_6_pointwise", "Logits/global_pool"]
)
def test_equal_at_every_stage(model, until):
    staged = to_native(model, until=until)
    images = recipe.images(SHAPE)
    expected = model.predict_on_batch(images)
    assert networks.relative_difference(staged.predict_on_batch(images), expected) < 1e-5
    rest = staged.layers[-1]
    assert isinstance(rest, RestOfNetwork)
    assert rest.name == f"{model.layers[-1].name}_after_{until.rpartition('/')[2]}"
    native = {name for entry in staged.weight_map for name in entry.tf1}
    assert native | set(rest.tf1_variables) == set(tf1_variables(model))
    assert not native & set(rest.tf1_variables)


def test_it_trains_as_the_whole_does(model):
    staged = to_native(model, until="Conv2d_6_pointwise")
    images, labels = recipe.images(SHAPE), np.array([3, 1])
    before = {name: variable.numpy() for name, variable in tf1_variables(model).items()}
    step = GradientDescent(model)
    losses = [step(images, labels) for _ in range(3)]
    after = {name: variable.numpy() for name, variable in tf1_variables(model).items()}
    for name, variable in tf1_variables(model).items():  # of which the rest has some
        variable.assign(before[name])
    step = GradientDescent(staged)
    # As two TensorFlows agree at this learning rate.
    np.testing.assert_allclose([step(images, labels) for _ in range(3)], losses, rtol=1e-4)
    for name, variable in staged.layers[-1].tf1_variables.items():
        assert networks.relative_difference(variable.numpy(), after[name]) < 1e-5, name
    moved = "MobilenetV1/Conv2d_12_pointwise/BatchNorm/moving_mean"
    assert np.abs(after[moved] - before[moved]).max() > 0


def test_saved_and_loaded(model, tmp_path):
    staged = to_native(model, until="Conv2d_6_pointwise")
    staged.save(tmp_path / "staged.keras")
    images = recipe.images(SHAPE)
    loaded = zoo.load_model(tmp_path / "staged.keras")
    np.testing.assert_array_equal(loaded.predict_on_batch(images), staged.predict_on_batch(images))


def test_frozen_as_the_whole_is(model):
    model.layers[-1].trainable = False
    staged = to_native(model, until="Conv2d_6_pointwise")
    assert staged.trainable_variables == []
    moved = "MobilenetV1/Conv2d_12_pointwise/BatchNorm/moving_mean"
    before = tf1_variables(model)[moved].numpy()
    staged(tf.constant(recipe.images(SHAPE)), training=True)
    np.testing.assert_array_equal(tf1_variables(model)[moved].numpy(), before)


def test_a_scope_that_is_not_there(model):
    with pytest.raises(ArgumentError, match="no scope of this name") as error:
        to_native(model, until="Conv2d_6_pointwize")
    assert "MobilenetV1/Conv2d_6_pointwise" in str(error.value)


@pytest.mark.slow
def test_a_scope_beside_which_the_network_goes_on(recorded_model):
    model = recorded_model("inception_v1", SHAPE[1:], num_classes=5, global_pool=True)
    with pytest.raises(ArgumentError, match="Not all of the network") as error:
        to_native(model, until="Mixed_3b/Branch_1")
    assert "InceptionV1/Mixed_3b, InceptionV1/Mixed_3c" in str(error.value)


def test_of_a_wrapped_function():
    def network(images, is_training=False):
        with tf.compat.v1.variable_scope("first"):
            kernel = tf.compat.v1.get_variable("kernel", [12, 4])
            hidden = tf.nn.relu(tf.reshape(images, [-1, 12]) @ kernel)
        with tf.compat.v1.variable_scope("second"):
            return hidden @ tf.compat.v1.get_variable("kernel", [4, 2])

    model = zoo.wrap(network, (2, 2, 3))
    staged = to_native(model, until="first")
    assert [type(layer).__name__ for layer in staged.layers[1:]] == [
        "Flatten",
        "Dense",
        "ReLU",
        "RestOfNetwork",
    ]
    images = np.random.RandomState(0).normal(size=(3, 2, 2, 3)).astype(np.float32)
    expected = model.predict_on_batch(images)
    assert networks.relative_difference(staged.predict_on_batch(images), expected) < 1e-6
