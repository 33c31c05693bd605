"""`install()` and the cells of TensorFlow's model mapping guide, as the guide has them.

What the guide prints is what is expected; where Keras 3 differs (a variable's name may not hold
"/", `shape=(20)` is no shape), the TF1 names are asked of `tf1_variables`.
"""

import numpy as np
import pytest
import tensorflow as tf
import tensorflow.compat.v1 as v1

from zoo import shim
from zoo.shim import tf1_variables


@pytest.fixture
def installed():
    shim.install()
    yield
    shim.uninstall()


def test_names_resolve_and_are_put_back():
    utils, make_template = tf.compat.v1.keras.utils, tf.compat.v1.make_template
    assert not hasattr(utils, "track_tf1_style_variables")
    shim.install()
    shim.install()
    try:
        assert utils.track_tf1_style_variables is shim.track_tf1_style_variables
        assert utils.get_or_create_layer is shim.get_or_create_layer
        assert utils.DeterministicRandomTestTool is shim.DeterministicRandomTestTool
        assert tf.compat.v1.layers.conv2d is v1.layers.conv2d is shim.layers.conv2d
        assert v1.make_template is shim.make_template
    finally:
        shim.uninstall()
        shim.uninstall()
    assert not hasattr(utils, "track_tf1_style_variables")
    assert tf.compat.v1.make_template is v1.make_template is make_template
    with pytest.raises(AttributeError, match="not available with Keras 3"):
        _ = tf.compat.v1.layers.conv2d


def test_dense_layer(installed):
    class DenseLayer(tf.keras.layers.Layer):
        def __init__(self, units, *args, **kwargs):
            super().__init__(*args, **kwargs)
            self.units = units

        @tf.compat.v1.keras.utils.track_tf1_style_variables
        def call(self, inputs):
            out = inputs
            with tf.compat.v1.variable_scope("dense"):
                kernel = tf.compat.v1.get_variable(
                    shape=[out.shape[-1], self.units],
                    regularizer=tf.keras.regularizers.L2(),
                    initializer=tf.compat.v1.initializers.glorot_normal,
                    name="kernel",
                )
                bias = tf.compat.v1.get_variable(
                    shape=[self.units],
                    initializer=tf.compat.v1.initializers.zeros,
                    name="bias",
                )
                out = tf.linalg.matmul(out, kernel)
                out = tf.compat.v1.nn.bias_add(out, bias)
            return out

    layer = DenseLayer(10)
    x = tf.random.normal(shape=(8, 20))
    layer(x)
    assert sorted(tf1_variables(layer)) == ["dense/bias", "dense/kernel"]
    assert len(layer.trainable_variables) == 2 and len(layer.losses) == 1
    for var in layer.trainable_variables:
        var.assign(var * 0.0)
    np.testing.assert_array_equal(layer(x), np.zeros((8, 10)))
    np.testing.assert_array_equal(layer.losses, [0.0])

    inputs = tf.keras.Input(shape=(20,))
    model = tf.keras.Model(inputs=inputs, outputs=DenseLayer(10)(inputs))
    model(x)
    assert len(model.weights) == 2 and len(model.losses) == 1


def test_compat_v1_layers(installed):
    class CompatV1LayerModel(tf.keras.layers.Layer):
        def __init__(self, units, *args, **kwargs):
            super().__init__(*args, **kwargs)
            self.units = units

        @tf.compat.v1.keras.utils.track_tf1_style_variables
        def call(self, inputs):
            with tf.compat.v1.variable_scope("model"):
                out = tf.compat.v1.layers.conv2d(inputs, 3, 3, kernel_regularizer="l2")
                out = tf.compat.v1.layers.flatten(out)
                out = tf.compat.v1.layers.dense(out, self.units, kernel_regularizer="l2")
                return out

    layer = CompatV1LayerModel(10)
    x = tf.random.normal(shape=(8, 5, 5, 5))
    layer(x)
    assert sorted(tf1_variables(layer)) == [
        "model/conv2d/bias",
        "model/conv2d/kernel",
        "model/dense/bias",
        "model/dense/kernel",
    ]
    assert len(layer.losses) == 2
    for var in layer.trainable_variables:
        var.assign(var * 0.0)
    np.testing.assert_array_equal(layer(x), np.zeros((8, 10)))
    np.testing.assert_array_equal(layer.losses, [0.0, 0.0])


def test_batch_norm(installed):
    calls = []

    class CompatV1BatchNorm(tf.keras.layers.Layer):
        @tf.compat.v1.keras.utils.track_tf1_style_variables
        def call(self, inputs, training=None):
            calls.append(training)
            with v1.variable_scope("batch_norm_layer"):
                return v1.layers.batch_normalization(inputs, training=training)

    inputs = tf.keras.Input(shape=(5, 5, 5))
    model = tf.keras.Model(inputs=inputs, outputs=CompatV1BatchNorm()(inputs))
    x = tf.random.normal(shape=(8, 5, 5, 5), seed=1)
    model(x, training=False)
    averages = {
        name: variable.numpy()
        for name, variable in tf1_variables(model).items()
        if not variable.trainable
    }
    scope = "batch_norm_layer/batch_normalization"
    np.testing.assert_array_equal(averages[f"{scope}/moving_mean"], np.zeros(5))
    np.testing.assert_array_equal(averages[f"{scope}/moving_variance"], np.ones(5))
    model(x, training=True)
    mean, variance = tf.nn.moments(x, [0, 1, 2])
    after = tf1_variables(model)
    np.testing.assert_allclose(after[f"{scope}/moving_mean"], 0.01 * mean, rtol=1e-4, atol=1e-7)
    # Fused batch norm keeps the unbiased variance: 200 values a channel.
    np.testing.assert_allclose(
        after[f"{scope}/moving_variance"], 0.99 + 0.01 * variance * 200 / 199, rtol=1e-5
    )
    assert True in calls


def test_nested_model(installed):
    class NestedModel(tf.keras.Model):
        def __init__(self, units, *args, **kwargs):
            super().__init__(*args, **kwargs)
            self.units = units

        def build_model(self):
            inp = tf.keras.Input(shape=(5, 5))
            dense_layer = tf.keras.layers.Dense(
                10,
                name="dense",
                kernel_regularizer="l2",
                kernel_initializer=tf.compat.v1.ones_initializer(),
            )
            return tf.keras.Model(inputs=inp, outputs=dense_layer(inp))

        @tf.compat.v1.keras.utils.track_tf1_style_variables
        def call(self, inputs):
            model = tf.compat.v1.keras.utils.get_or_create_layer("dense_model", self.build_model)
            return model(inputs)

    layer = NestedModel(10)
    np.testing.assert_array_equal(layer(tf.ones((1, 5, 5))), np.full((1, 5, 10), 5.0))
    assert len(layer.weights) == 2
    assert {"/".join(x.path.split("/")[-2:]) for x in layer.variables} == {
        "dense/bias",
        "dense/kernel",
    }
    np.testing.assert_allclose(tf.add_n(layer.losses), 0.5, rtol=1e-6)


def test_wrapped_dense_layer(installed):
    class NestedLayer(tf.keras.layers.Layer):
        def __init__(self, units, *args, **kwargs):
            super().__init__(*args, **kwargs)
            self.units = units

        @tf.compat.v1.keras.utils.track_tf1_style_variables
        def __call__(self, inputs):
            out = inputs
            with tf.compat.v1.variable_scope("inner_dense"):
                kernel = tf.compat.v1.get_variable(
                    shape=[out.shape[-1], self.units],
                    regularizer=tf.keras.regularizers.L2(),
                    initializer=tf.compat.v1.initializers.glorot_normal,
                    name="kernel",
                )
                bias = tf.compat.v1.get_variable(
                    shape=[self.units], initializer=tf.compat.v1.initializers.zeros, name="bias"
                )
                out = tf.linalg.matmul(out, kernel)
                out = tf.compat.v1.nn.bias_add(out, bias)
            return out

    class WrappedDenseLayer(tf.keras.layers.Layer):
        def __init__(self, units, **kwargs):
            super().__init__(**kwargs)
            self.units = units
            self._dense_layer = NestedLayer(self.units)

        @tf.compat.v1.keras.utils.track_tf1_style_variables
        def call(self, inputs):
            with tf.compat.v1.variable_scope("outer"):
                outputs = tf.compat.v1.layers.dense(inputs, 3)
                outputs = tf.compat.v1.layers.dense(inputs, 4)
                return self._dense_layer(outputs)

    layer = WrappedDenseLayer(10)
    layer(tf.ones(shape=(5, 5)))
    assert len(layer.weights) == 6
    assert set(tf1_variables(layer)) == {
        "outer/inner_dense/bias",
        "outer/inner_dense/kernel",
        "outer/dense/bias",
        "outer/dense/kernel",
        "outer/dense_1/bias",
        "outer/dense_1/kernel",
    }
    kernel = tf1_variables(layer)["outer/inner_dense/kernel"].numpy()
    np.testing.assert_allclose(layer.losses, [0.01 * np.sum(kernel**2)], rtol=1e-5)


def test_template(installed):
    class CompatV1TemplateScaleByY(tf.keras.layers.Layer):
        def __init__(self, **kwargs):
            super().__init__(**kwargs)

            def my_op(x, scalar_name):
                var1 = tf.compat.v1.get_variable(
                    scalar_name,
                    shape=[],
                    regularizer=tf.compat.v1.keras.regularizers.L2(),
                    initializer=tf.compat.v1.constant_initializer(1.5),
                )
                return x * var1

            self.scale_by_y = tf.compat.v1.make_template("scale_by_y", my_op, scalar_name="y")

        @tf.compat.v1.keras.utils.track_tf1_style_variables
        def call(self, inputs):
            with tf.compat.v1.variable_scope("layer"):
                return self.scale_by_y(inputs)

    layer = CompatV1TemplateScaleByY()
    np.testing.assert_array_equal(layer(tf.ones(shape=(2, 3))), np.full((2, 3), 1.5))
    assert list(tf1_variables(layer)) == ["layer/scale_by_y/y"]
    np.testing.assert_allclose(layer.losses, [0.0225], rtol=1e-6)
