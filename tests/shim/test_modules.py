"""`tf.Module`s with decorated methods: tracked, trained and saved without Keras."""

import functools

import numpy as np
import pytest
import tensorflow as tf
import tf_slim as slim

from zoo.errors import ShimError
from zoo.shim import (
    get_or_create_layer,
    layers,
    regularization_losses,
    tf1_variables,
    track_tf1_style_variables,
)

v1 = tf.compat.v1

X = tf.constant(np.random.RandomState(0).normal(size=(4, 3)).astype(np.float32))


class Autoencoder(tf.Module):
    """Two methods on the same variables, and one on another of its own."""

    @track_tf1_style_variables
    def encode(self, inputs):
        with v1.variable_scope("code"):
            return inputs @ v1.get_variable("w", [3, 2], regularizer=tf.nn.l2_loss)

    @track_tf1_style_variables
    def decode(self, codes):
        with v1.variable_scope("code"):
            return tf.matmul(codes, v1.get_variable("w", [3, 2]), transpose_b=True)

    @track_tf1_style_variables
    def score(self, inputs):
        with v1.variable_scope("score"):
            w = v1.get_variable("w", [3], regularizer=lambda w: 2.0 * tf.reduce_sum(w))
        return tf.reduce_sum(self.decode(self.encode(inputs)) * w)


class Pair(tf.Module):
    """Holds decorated modules, is itself not decorated."""

    def __init__(self, name=None):
        super().__init__(name=name)
        self.first = Autoencoder()
        self.others = [Autoencoder()]

    @tf.function(input_signature=[tf.TensorSpec([None, 3])])
    def __call__(self, inputs):
        return self.first.encode(inputs) + self.others[0].encode(inputs)


class Normalized(tf.Module):
    """tf-slim, a TF1 layer as an attribute and a Keras layer, in one scope."""

    def __init__(self):
        super().__init__()
        self.dense = layers.Dense(4, kernel_regularizer="l2")

    @track_tf1_style_variables
    def __call__(self, inputs, training=False):
        with v1.variable_scope("net"):
            net = slim.batch_norm(self.dense(inputs), decay=0.5, is_training=training)
            return get_or_create_layer("head", self.make_head)(net)

    def make_head(self):
        return tf.keras.layers.Dense(2, kernel_regularizer="l2")


def test_methods_share_variables():
    module = Autoencoder()
    code = module.encode(X)
    w = tf1_variables(module)["code/w"]
    np.testing.assert_allclose(code, X @ w, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(module.decode(code), code @ tf.transpose(w), rtol=1e-5, atol=1e-6)
    assert [variable.name for variable in module.trainable_variables] == ["code/w:0"]


def test_a_method_that_calls_others_makes_what_is_missing():
    module = Autoencoder()
    module.encode(X)
    score = module.score(X)
    assert list(tf1_variables(module)) == ["code/w", "score/w"]
    w, scores = tf1_variables(module).values()
    np.testing.assert_allclose(score, tf.reduce_sum(X @ w @ tf.transpose(w) * scores), rtol=1e-4)


def test_a_methods_default_names_are_those_of_a_call_alone():
    class Towers(tf.Module):
        @track_tf1_style_variables
        def one(self, inputs):
            return slim.fully_connected(inputs, 3, biases_initializer=None)

        @track_tf1_style_variables
        def two(self, inputs):
            return self.one(slim.fully_connected(self.one(inputs), 3, biases_initializer=None))

    module = Towers()
    module.two(X)
    assert list(tf1_variables(module)) == ["fully_connected/weights"]
    module.one(X)
    assert len(module.variables) == 1


def test_a_method_of_the_base_class_goes_on_in_the_same_call():
    class Derived(Autoencoder):
        @track_tf1_style_variables
        def encode(self, inputs):
            with v1.variable_scope("code"):
                inputs = inputs * v1.get_variable("w", [3, 2])[0, 0]
            return super().encode(inputs)

    with pytest.raises(ShimError, match="code/w already exists"):
        Derived().encode(X)


def test_variables_of_methods_that_call_others_are_collected_once():
    found = []

    class Counting(Autoencoder):
        @track_tf1_style_variables
        def count(self, inputs):
            self.score(inputs)
            found.extend(variable.op.name for variable in v1.global_variables())
            return tf.add_n(v1.losses.get_regularization_losses())

    module = Counting()
    total = module.count(X)
    assert found == ["score/w", "code/w"]
    np.testing.assert_allclose(total, tf.add_n(regularization_losses(module)), rtol=1e-6)


def test_regularization_losses_follow_the_variables():
    module = Autoencoder()
    assert regularization_losses(module) == []
    module.score(X)
    scores, w = tf1_variables(module).values()
    for _ in range(2):
        losses = sorted(float(loss) for loss in regularization_losses(module))
        expected = sorted([float(tf.reduce_sum(w**2)) / 2, 2 * float(tf.reduce_sum(scores))])
        np.testing.assert_allclose(losses, expected, rtol=1e-5)
        scores.assign([1.0, 2.0, 3.0])


def test_a_training_step_with_the_regularization_loss():
    module = Autoencoder()
    module.encode(X)
    (w,) = module.trainable_variables
    before = w.numpy()

    @tf.function
    def step():
        with tf.GradientTape() as tape:
            loss = tf.reduce_sum(module.encode(X)) + tf.add_n(regularization_losses(module))
        w.assign_sub(0.1 * tape.gradient(loss, w))

    step()
    gradient = np.sum(X, axis=0)[:, None] + before
    np.testing.assert_allclose(w, before - 0.1 * gradient, rtol=1e-4, atol=1e-6)


def test_modules_inside_a_module():
    pair = Pair()
    output = pair(X)
    first, second = (tf1_variables(module)["code/w"] for module in (pair.first, pair.others[0]))
    assert first is not second
    np.testing.assert_allclose(output, X @ first + X @ second, rtol=1e-4, atol=1e-6)
    assert len(pair.variables) == 2 and len(regularization_losses(pair)) == 2
    assert {pair.first, pair.others[0]} <= set(pair.submodules)
    with pytest.raises(ShimError, match="have a variable named code/w"):
        tf1_variables(pair)


def test_layers_of_all_kinds_are_tracked_once():
    module = Normalized()
    module(X)
    module(X[:2], training=True)
    assert len(module.variables) == 7 and len(module.trainable_variables) == 5
    assert list(tf1_variables(module)) == [
        "net/dense/kernel",
        "net/dense/bias",
        "net/BatchNorm/beta",
        "net/BatchNorm/moving_mean",
        "net/BatchNorm/moving_variance",
    ]
    assert module.dense.kernel is tf1_variables(module)["net/dense/kernel"]
    head = next(v for v in module.variables if v.shape == (4, 2))
    losses = regularization_losses(module)
    expected = [0.01 * np.sum(kernel.numpy() ** 2) for kernel in (module.dense.kernel, head)]
    np.testing.assert_allclose(losses, expected, rtol=1e-5)


@pytest.mark.parametrize("make", [Pair, Normalized])
def test_a_checkpoint_of_objects(make, tmp_path):
    module = make()
    module(X)
    for variable in module.variables:
        variable.assign(variable + 0.5)
    path = tf.train.Checkpoint(module=module).save(tmp_path / "checkpoint")
    again = make()
    again(X)
    status = tf.train.Checkpoint(module=again).restore(path)
    status.assert_existing_objects_matched()
    np.testing.assert_array_equal(again(X), module(X))


def test_a_checkpoint_restored_before_the_first_call(tmp_path):
    module = Pair()
    module(X)
    path = tf.train.Checkpoint(module=module).save(tmp_path / "checkpoint")
    again = Pair()
    status = tf.train.Checkpoint(module=again).restore(path)
    np.testing.assert_array_equal(again(X), module(X))
    status.assert_consumed()


def test_a_saved_model(tmp_path):
    module = Normalized()
    module(X)
    for name, training in (("serve", False), ("train", True)):
        function = functools.partial(module, training=training)
        setattr(module, name, tf.function(function, input_signature=[tf.TensorSpec([None, 3])]))
    tf.saved_model.save(module, tmp_path / "saved")
    loaded = tf.saved_model.load(tmp_path / "saved")
    untrained = loaded.serve(X)
    np.testing.assert_allclose(untrained, module.serve(X), rtol=1e-5, atol=1e-6)
    # Batch norm moves its averages in the loaded model too.
    np.testing.assert_allclose(loaded.train(X), module.train(X), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(loaded.serve(X), module.serve(X), rtol=1e-5, atol=1e-6)
    assert np.abs(loaded.serve(X) - untrained).max() > 0.01


def test_a_module_without_a_name_that_tensorflow_would_take():
    class _Hidden(tf.Module):
        @track_tf1_style_variables
        def __call__(self, inputs):
            return inputs * v1.get_variable("w", [3])

    module = _Hidden(name="shown")
    module(X)
    assert list(tf1_variables(module)) == ["w"]
