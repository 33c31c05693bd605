"""Expected values are arithmetic written out here, or what TF1's rules of names say."""

import keras
import numpy as np
import pytest
import tensorflow as tf
import tf_slim as slim

from zoo.errors import ShimError
from zoo.shim import regularization_losses, tf1_variables, track_tf1_style_variables

v1 = tf.compat.v1


class Dense(keras.layers.Layer):
    """The model mapping guide's dense layer on `get_variable`."""

    def __init__(self, units=10, **kwargs):
        super().__init__(**kwargs)
        self.units = units

    @track_tf1_style_variables
    def call(self, inputs):
        with v1.variable_scope("dense"):
            kernel = v1.get_variable(
                "kernel",
                [inputs.shape[-1], self.units],
                regularizer=keras.regularizers.L2(0.5),
                initializer=v1.initializers.glorot_normal,
            )
            bias = v1.get_variable("bias", [self.units], initializer=v1.initializers.ones)
            return v1.nn.bias_add(inputs @ kernel, bias)

    def get_config(self):
        return {**super().get_config(), "units": self.units}


class SlimNet(keras.layers.Layer):
    """A convolution with batch norm under weight decay, twice, and dropout: no name given."""

    @track_tf1_style_variables
    def call(self, images, training=False):
        with v1.variable_scope("net"):
            with slim.arg_scope(
                [slim.conv2d],
                normalizer_fn=slim.batch_norm,
                normalizer_params={"is_training": training, "decay": 0.9},
                weights_regularizer=slim.l2_regularizer(0.1),
            ):
                net = slim.conv2d(images, 4, [3, 3])
                net = slim.conv2d(net, 4, [3, 3])
            return slim.dropout(net, 0.5, is_training=training)


class ScaleModule(tf.Module):
    @track_tf1_style_variables
    def __call__(self, inputs, power=1):
        with v1.variable_scope("scale"):
            factor = v1.get_variable(
                "factor", [], initializer=v1.constant_initializer(3.0), regularizer=tf.nn.l2_loss
            )
        return inputs * factor**power


@pytest.fixture
def inputs():
    return np.random.RandomState(0).normal(size=(8, 20)).astype(np.float32)


@pytest.fixture
def images():
    return np.random.RandomState(0).normal(2.0, 3.0, size=(4, 6, 6, 3)).astype(np.float32)


def test_variables_are_made_once_and_tracked_under_their_tf1_names(inputs):
    layer = Dense()
    first = layer(inputs)
    np.testing.assert_array_equal(first, layer(inputs))
    assert list(tf1_variables(layer)) == ["dense/kernel", "dense/bias"]
    assert [v._value.name for v in layer.weights] == ["dense/kernel:0", "dense/bias:0"]
    assert len(layer.trainable_variables) == 2


def test_output_is_that_of_the_variables(inputs):
    layer = Dense()
    layer(inputs)
    kernel, bias = (variable.numpy() for variable in layer.weights)
    np.testing.assert_allclose(layer(inputs), inputs @ kernel + bias, rtol=1e-5, atol=1e-5)
    for variable in layer.trainable_variables:
        variable.assign(variable * 0.0)
    np.testing.assert_array_equal(layer(inputs), np.zeros((8, 10)))


def test_regularizers_are_losses(inputs):
    layer = Dense()
    layer(inputs)
    kernel = tf1_variables(layer)["dense/kernel"].numpy()
    assert len(layer.losses) == 1
    np.testing.assert_allclose(layer.losses[0], 0.5 * np.sum(kernel**2), rtol=1e-6)


def test_a_functional_model_is_the_layers_first_call(inputs):
    source = keras.Input((20,))
    model = keras.Model(source, Dense()(source))
    kernel, bias = (variable.numpy() for variable in model.weights)
    np.testing.assert_allclose(model(inputs), inputs @ kernel + bias, rtol=1e-5, atol=1e-5)
    assert list(tf1_variables(model)) == ["dense/kernel", "dense/bias"]
    assert len(model.losses) == 1


def test_fit_trains_the_variables_with_the_regularization_loss(inputs):
    source = keras.Input((20,))
    model = keras.Model(source, Dense(1)(source))
    kernel, bias = (variable.numpy() for variable in model.weights)
    model.compile(keras.optimizers.SGD(0.1), "mse")
    history = model.fit(inputs, np.zeros((8, 1)), batch_size=8, verbose=0)
    output = inputs @ kernel + bias
    loss = np.mean(output**2) + 0.5 * np.sum(kernel**2)
    np.testing.assert_allclose(history.history["loss"][0], loss, rtol=1e-5)
    gradient = 2 / 8 * inputs.T @ output + kernel
    np.testing.assert_allclose(model.weights[0], kernel - 0.1 * gradient, rtol=1e-4, atol=1e-5)


def test_save_and_reload_and_clone(inputs, tmp_path):
    source = keras.Input((20,))
    model = keras.Model(source, Dense()(source))
    model.save(tmp_path / "m.keras")
    again = keras.models.load_model(tmp_path / "m.keras", custom_objects={"Dense": Dense})
    np.testing.assert_array_equal(again(inputs), model(inputs))
    clone = keras.models.clone_model(model)
    assert list(tf1_variables(clone)) == list(tf1_variables(model))
    assert tf1_variables(clone)["dense/kernel"] is not tf1_variables(model)["dense/kernel"]


def test_a_subclassed_keras_model(inputs, tmp_path):
    class Classifier(keras.Model):
        @track_tf1_style_variables
        def call(self, inputs, training=False):
            with v1.variable_scope("classifier"):
                hidden = slim.fully_connected(
                    inputs,
                    7,
                    normalizer_fn=slim.batch_norm,
                    normalizer_params={"is_training": training},
                )
                return slim.fully_connected(hidden, 2, activation_fn=None)

    model = Classifier()
    model.compile(keras.optimizers.SGD(0.1), "mse")
    losses = model.fit(inputs, np.ones((8, 2)), epochs=5, verbose=0).history["loss"]
    assert losses[-1] < losses[0]
    assert len(model.trainable_variables) == 4 and len(model.non_trainable_variables) == 2
    model.save_weights(tmp_path / "m.weights.h5")
    again = Classifier()
    again(inputs)
    again.load_weights(tmp_path / "m.weights.h5")
    np.testing.assert_array_equal(
        again.predict(inputs, verbose=0), model.predict(inputs, verbose=0)
    )


def test_names_given_by_tf1_are_the_same_at_every_call(images):
    layer = SlimNet()
    expected = [
        f"net/{conv}/{name}"
        for conv in ("Conv", "Conv_1")
        for name in (
            "weights",
            "BatchNorm/beta",
            "BatchNorm/moving_mean",
            "BatchNorm/moving_variance",
        )
    ]
    for training in (False, True, False):
        layer(images, training=training)
        layer(images[:2, :5, :5], training=training)
        assert list(tf1_variables(layer)) == expected


def test_moving_averages_update_in_training_and_only_there(images):
    layer = SlimNet()
    layer(images)
    layer.predict = tf.function(lambda x: layer(x, training=False))
    layer.predict(images)
    mean = tf1_variables(layer)["net/Conv/BatchNorm/moving_mean"]
    np.testing.assert_array_equal(mean, np.zeros(4))
    kernel = tf1_variables(layer)["net/Conv/weights"]
    batch_mean = tf.reduce_mean(tf.nn.conv2d(images, kernel._value, 1, "SAME"), [0, 1, 2])
    layer(images, training=True)
    # slim.batch_norm: moving = decay * moving + (1 - decay) * batch, once.
    np.testing.assert_allclose(mean, 0.1 * batch_mean, rtol=1e-4, atol=1e-6)


def test_moving_averages_update_once_a_step_in_fit(images):
    source = keras.Input((6, 6, 3))
    layer = SlimNet()
    model = keras.Model(source, layer(source))
    kernel = tf1_variables(layer)["net/Conv/weights"].numpy()
    batch_mean = tf.reduce_mean(tf.nn.conv2d(images, kernel, 1, "SAME"), [0, 1, 2])
    model.compile(keras.optimizers.SGD(0.0), "mse")
    model.fit(images, np.zeros((4, 6, 6, 4)), batch_size=4, epochs=2, verbose=0)
    mean = tf1_variables(layer)["net/Conv/BatchNorm/moving_mean"]
    np.testing.assert_allclose(mean, (1 - 0.9**2) * batch_mean, rtol=1e-4, atol=1e-6)


def test_a_frozen_layer_has_no_trainable_variables_and_frozen_batch_norm(images):
    layer = SlimNet()
    inference = layer(images)
    assert len(layer.trainable_variables) == 4
    layer.trainable = False
    assert layer.trainable_variables == []
    assert layer.losses == []
    layer(images, training=True)
    mean = tf1_variables(layer)["net/Conv/BatchNorm/moving_mean"]
    np.testing.assert_array_equal(mean, np.zeros(4))
    layer.trainable = True
    np.testing.assert_array_equal(layer(images), inference)
    layer(images, training=True)
    assert np.abs(mean).max() > 0


def test_dropout_draws_anew_at_each_training_call(images):
    layer = SlimNet()
    one, two = layer(images, training=True).numpy(), layer(images, training=True).numpy()
    assert (one == 0).mean() != (two == 0).mean() or (one != two).any()
    assert 0.3 < (one == 0).mean() < 0.95
    np.testing.assert_array_equal(layer(images), layer(images))


def test_mixed_precision_keeps_variables_in_float32(images):
    layer = SlimNet(dtype="mixed_bfloat16")
    output = layer(images, training=True)
    assert output.dtype == tf.bfloat16
    assert {variable.dtype for variable in layer.weights} == {"float32"}
    reference = SlimNet()
    reference(images)
    for ours, theirs in zip(reference.weights, layer.weights, strict=True):
        ours.assign(theirs)
    # bfloat16 has 8 bits of mantissa: 2**-8 = 0.4 % a rounding, a handful of them in a row.
    scale = np.abs(reference(images)).max()
    difference = np.abs(tf.cast(layer(images), tf.float32) - reference(images)).max()
    assert 0 < difference < 0.04 * scale
    with tf.GradientTape() as tape:
        loss = tf.reduce_mean(tf.cast(layer(images), tf.float32) ** 2)
    gradients = tape.gradient(loss, layer.trainable_variables)
    assert all(gradient.dtype == tf.float32 for gradient in gradients)


def test_dtype_of_the_inputs_is_the_layers(inputs):
    layer = Dense(dtype="float64")
    assert layer(inputs.astype(np.float64)).dtype == tf.float64
    assert {variable.dtype for variable in layer.weights} == {"float64"}


def test_gradients_reach_variables_and_inputs(inputs):
    layer = Dense(3)
    layer(inputs)
    x = tf.constant(inputs)
    with tf.GradientTape() as tape:
        tape.watch(x)
        loss = tf.reduce_sum(layer(x))
    by_input, *by_variable = tape.gradient(loss, [x, *layer.trainable_variables])
    kernel = tf1_variables(layer)["dense/kernel"].numpy()
    np.testing.assert_allclose(by_input, np.tile(kernel.sum(1), (8, 1)), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(by_variable[0][:, 0], inputs.sum(0), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("jit_compile", [False, True])
def test_inside_a_tf_function(images, jit_compile):
    layer = SlimNet()
    expected = layer(images)
    compiled = tf.function(lambda x: layer(x, training=False), jit_compile=jit_compile)
    np.testing.assert_allclose(compiled(images), expected, rtol=1e-4, atol=1e-5)


def test_first_called_inside_a_tf_function(images):
    layer = SlimNet()
    output = tf.function(lambda x: layer(x))(images)
    np.testing.assert_allclose(output, layer(images), rtol=1e-5, atol=1e-6)
    assert len(layer.weights) == 8


def test_line_by_line_when_functions_run_eagerly(images):
    layer = SlimNet()
    expected = layer(images)
    tf.config.run_functions_eagerly(True)
    try:
        np.testing.assert_allclose(layer(images), expected, rtol=1e-4, atol=1e-5)
        fresh = SlimNet()
        fresh(images, training=True)
        fresh(images, training=True)
    finally:
        tf.config.run_functions_eagerly(False)
    assert list(tf1_variables(fresh)) == list(tf1_variables(layer))
    assert np.abs(tf1_variables(fresh)["net/Conv/BatchNorm/moving_mean"]).max() > 0
    assert not v1.get_collection(v1.GraphKeys.GLOBAL_VARIABLES)


def test_a_module_tracks_its_variables():
    module = ScaleModule()
    assert float(module(tf.constant(2.0))) == 6.0
    assert float(module(tf.constant(2.0), power=2)) == 18.0
    assert [variable.name for variable in module.trainable_variables] == ["scale/factor:0"]
    assert list(tf1_variables(module)) == ["scale/factor"]
    assert [float(loss) for loss in regularization_losses(module)] == [4.5]


def test_collections_hold_what_this_call_made(images):
    class Collecting(SlimNet):
        @track_tf1_style_variables
        def call(self, images, training=False):
            SlimNet.call(self, images, training)
            self.found = {
                "variables": [v.name[:-2] for v in v1.global_variables()],
                "trainable": [v.name[:-2] for v in v1.trainable_variables()],
                "model": [v.name[:-2] for v in slim.get_model_variables()],
            }
            return tf.add_n(v1.losses.get_regularization_losses())

    layer = Collecting()
    for training in (False, True):
        loss = layer(images, training=training)
        assert layer.found["variables"] == list(tf1_variables(layer))
        assert len(layer.found["trainable"]) == 4
        assert layer.found["model"] == list(tf1_variables(layer))
        np.testing.assert_allclose(loss, tf.add_n(layer.losses), rtol=1e-6)


def test_a_layer_inside_a_layer_goes_on_in_its_scope(inputs):
    class Outer(keras.layers.Layer):
        def __init__(self):
            super().__init__()
            self.inner = Dense(4)

        @track_tf1_style_variables
        def call(self, inputs):
            with v1.variable_scope("outer"):
                factor = v1.get_variable("factor", [20])
                return self.inner(inputs * factor)

    layer = Outer()
    layer(inputs)
    layer(inputs)
    names = {"outer/factor", "outer/dense/kernel", "outer/dense/bias"}
    assert set(tf1_variables(layer)) == names
    assert len(layer.weights) == 3
    assert len(layer.losses) == 1


def test_two_layers_never_share_by_name(inputs):
    one, two = Dense(), Dense()
    one(inputs), two(inputs)
    assert tf1_variables(one)["dense/kernel"] is not tf1_variables(two)["dense/kernel"]
    holder = keras.Sequential([one, Dense()])
    holder(inputs)
    with pytest.raises(ShimError, match="dense/kernel"):
        tf1_variables(holder)


def test_wrong_use_is_refused():
    class Plain:
        @track_tf1_style_variables
        def call(self, inputs):
            return inputs

    @track_tf1_style_variables
    def function(inputs):
        return inputs

    with pytest.raises(ShimError, match=r"called with a .*Plain"):
        Plain().call(tf.ones(1))
    for inputs in (tf.ones(1), np.ones(1), [1.0]):
        with pytest.raises(ShimError, match=r"zoo\.wrap"):
            function(inputs)
    with pytest.raises(ShimError, match="Received: <class"):
        track_tf1_style_variables(keras.layers.Dense)
    with pytest.raises(ShimError, match="takes no self"):

        @track_tf1_style_variables
        def nothing():
            pass
