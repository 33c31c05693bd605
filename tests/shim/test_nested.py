"""Keras layers and templates in decorated methods; the model mapping guide's cells are among them.

Expected values are those that the guide prints, or arithmetic.
"""

import keras
import numpy as np
import pytest
import tensorflow as tf

from zoo.errors import ShimError
from zoo.shim import (
    get_or_create_layer,
    make_template,
    tf1_variables,
    track_tf1_style_variables,
)

v1 = tf.compat.v1


class NestedModel(keras.Model):
    def build_model(self):
        inputs = keras.Input((5,))
        dense = keras.layers.Dense(
            10, name="dense", kernel_regularizer="l2", kernel_initializer=v1.ones_initializer()
        )
        return keras.Model(inputs, dense(inputs))

    @track_tf1_style_variables
    def call(self, inputs):
        return get_or_create_layer("dense_model", self.build_model)(inputs)


class Scale(keras.layers.Layer):
    """The guide's CompatV1TemplateScaleByY."""

    def __init__(self, template=None):
        super().__init__()

        def scale(x, scalar_name):
            factor = v1.get_variable(
                scalar_name,
                [],
                regularizer=keras.regularizers.L2(),
                initializer=v1.constant_initializer(1.5),
            )
            return x * factor

        self.scale_by_y = template or make_template("scale_by_y", scale, scalar_name="y")

    @track_tf1_style_variables
    def call(self, inputs, times=1):
        with v1.variable_scope("layer"):
            for _ in range(times):
                inputs = self.scale_by_y(inputs)
            return inputs


class Mixed(keras.layers.Layer):
    """A Keras layer as an attribute beside get_variable."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.conv = keras.layers.Conv2D(3, 3, kernel_regularizer="l2")
        self.dropout = keras.layers.Dropout(0.5)

    @track_tf1_style_variables
    def call(self, inputs, training=None):
        with v1.variable_scope("mixed"):
            factor = v1.get_variable("factor", [3], initializer=v1.ones_initializer())
            return self.dropout(self.conv(inputs), training=training) * factor


def test_a_nested_keras_model_is_tracked_once():
    model = NestedModel()
    for batch in (5, 3):
        np.testing.assert_array_equal(model(tf.ones((batch, 5))), np.full((batch, 10), 5.0))
    assert [weight.path for weight in model.weights] == [
        f"{model.name}/dense/kernel",
        f"{model.name}/dense/bias",
    ]
    np.testing.assert_allclose(tf.add_n(model.losses), 0.5, rtol=1e-6)  # 0.01 * 50


def test_a_nested_keras_model_in_a_functional_model_trains():
    source = keras.Input((5,))
    model = keras.Model(source, NestedModel()(source))
    model.compile(keras.optimizers.SGD(0.01), "mse")
    x = np.ones((4, 5), np.float32)
    losses = model.fit(x, np.zeros((4, 10)), epochs=3, verbose=0).history["loss"]
    np.testing.assert_allclose(losses[0], 25.5, rtol=1e-5)
    assert losses[2] < losses[0] and len(model.weights) == 2


def test_get_or_create_layer_outside_says_where():
    with pytest.raises(ShimError, match="track_tf1_style_variables"):
        get_or_create_layer("dense", lambda: keras.layers.Dense(1))


@pytest.mark.parametrize("layer_first", [True, False])
def test_one_name_for_a_layer_and_a_variable_is_refused(layer_first):
    class Layer(keras.layers.Layer):
        @track_tf1_style_variables
        def call(self, inputs):
            parts = [
                lambda: get_or_create_layer("dense", lambda: keras.layers.Dense(1)),
                lambda: v1.get_variable("dense", [1]),
            ]
            for part in parts if layer_first else reversed(parts):
                part()
            return inputs

    with pytest.raises(ShimError, match="'dense' names a"):
        Layer()(tf.ones((1, 1)))


@pytest.mark.parametrize("training", [False, True])
def test_keras_layers_as_attributes(training):
    layer = Mixed()
    x = np.ones((2, 5, 5, 5), np.float32)
    layer(x, training=training)
    layer(x[:1])
    assert {weight.path.split("/", 1)[1] for weight in layer.weights} == {
        "mixed.factor",
        f"{layer.conv.name}/kernel",
        f"{layer.conv.name}/bias",
    }
    np.testing.assert_allclose(
        tf.add_n(layer.losses), 0.01 * np.sum(layer.conv.kernel.numpy() ** 2), rtol=1e-5
    )
    np.testing.assert_allclose(layer(x), layer.conv(x), rtol=1e-5, atol=1e-6)
    assert (layer(x, training=True).numpy() == 0).any()


def test_keras_layers_as_attributes_in_a_functional_model(tmp_path):
    source = keras.Input((5, 5, 5))
    model = keras.Model(source, Mixed()(source))
    model.compile(keras.optimizers.SGD(0.01), "mse")
    x = np.ones((2, 5, 5, 5), np.float32)
    model.fit(x, np.zeros((2, 3, 3, 3)), verbose=0)
    model.save(tmp_path / "m.keras")
    again = keras.models.load_model(tmp_path / "m.keras", custom_objects={"Mixed": Mixed})
    np.testing.assert_array_equal(again(x), model(x))


def test_a_template_makes_its_variables_once():
    layer = Scale()
    np.testing.assert_array_equal(layer(tf.ones((2, 3))), np.full((2, 3), 1.5))
    np.testing.assert_array_equal(layer(tf.ones((4, 1)), times=2), np.full((4, 1), 2.25))
    assert list(tf1_variables(layer)) == ["layer/scale_by_y/y"]
    np.testing.assert_allclose(layer.losses, [0.0225], rtol=1e-6)


def test_a_template_of_two_layers_is_refused():
    one = Scale()
    one(tf.ones((2, 3)))
    with pytest.raises(ShimError, match="called by two objects"):
        Scale(one.scale_by_y)(tf.ones((2, 3)))


def test_a_template_outside_says_where():
    with pytest.raises(ShimError, match="outside of a decorated method"):
        Scale().scale_by_y(tf.ones(1))
