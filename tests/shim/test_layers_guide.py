"""The cells of TensorFlow's "model mapping" guide that use `tf.compat.v1.layers`.

Names and numbers of variables are those that the guide prints; outputs are checked against the
same network in TensorFlow 2's own operations.
"""

import keras
import numpy as np
import pytest
import tensorflow as tf

from zoo.shim import layers, tf1_variables, track_tf1_style_variables

v1 = tf.compat.v1


def names(layer):
    return list(tf1_variables(layer))


def l2(kernel):
    return 0.01 * tf.reduce_sum(tf.square(kernel))


class CompatV1LayerModel(tf.keras.layers.Layer):
    def __init__(self, units, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.units = units

    @track_tf1_style_variables
    def call(self, inputs):
        with v1.variable_scope("model"):
            out = layers.conv2d(inputs, 3, 3, kernel_regularizer="l2")
            out = layers.flatten(out)
            out = layers.dense(out, self.units, kernel_regularizer="l2")
            return out


def check_compat_v1_layer_model(layer, x, out):
    variables = tf1_variables(layer)
    kernels = variables["model/conv2d/kernel"], variables["model/dense/kernel"]
    expected = tf.reshape(tf.nn.conv2d(x, kernels[0].value, 1, "VALID"), [8, -1]) @ kernels[1]
    np.testing.assert_allclose(out, expected, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(layer.losses, [l2(kernel) for kernel in kernels], rtol=1e-5)


def test_a_model_built_with_layers():
    layer = CompatV1LayerModel(10)
    x = tf.random.normal(shape=(8, 5, 5, 5))
    check_compat_v1_layer_model(layer, x, layer(x))
    assert sorted(names(layer)) == [
        "model/conv2d/bias",
        "model/conv2d/kernel",
        "model/dense/bias",
        "model/dense/kernel",
    ]
    assert len(layer.trainable_variables) == 4
    for var in layer.trainable_variables:
        var.assign(var * 0.0)
    np.testing.assert_array_equal(layer(x), np.zeros((8, 10)))
    np.testing.assert_array_equal(layer.losses, [0, 0])
    assert len(layer.weights) == 4


def test_a_model_built_with_layers_in_a_functional_model():
    inputs = tf.keras.Input(shape=(5, 5, 5))
    outputs = CompatV1LayerModel(10)(inputs)
    model = tf.keras.Model(inputs=inputs, outputs=outputs)
    x = tf.random.normal(shape=(8, 5, 5, 5))
    check_compat_v1_layer_model(model.layers[-1], x, model(x))
    assert len(model.weights) == 4 and len(model.losses) == 2


def test_batch_norm_and_the_training_argument():
    calls = []

    class CompatV1BatchNorm(tf.keras.layers.Layer):
        @track_tf1_style_variables
        def call(self, inputs, training=None):
            calls.append(training)
            with v1.variable_scope("batch_norm_layer"):
                return layers.batch_normalization(inputs, training=training)

    inputs = tf.keras.Input(shape=(5, 5, 5))
    outputs = CompatV1BatchNorm()(inputs)
    model = tf.keras.Model(inputs=inputs, outputs=outputs)
    x = tf.random.normal(shape=(8, 5, 5, 5))
    np.testing.assert_allclose(model(x, training=False), x / np.sqrt(1.001), rtol=1e-5)
    mean, variance = model.non_trainable_variables
    assert names(model)[2:] == [
        "batch_norm_layer/batch_normalization/moving_mean",
        "batch_norm_layer/batch_normalization/moving_variance",
    ]
    np.testing.assert_array_equal(mean, np.zeros(5))
    np.testing.assert_array_equal(variance, np.ones(5))
    model(x, training=True)
    assert {True, False} <= set(calls)
    batch_mean, batch_variance = tf.nn.moments(x, [0, 1, 2])
    np.testing.assert_allclose(mean, 0.01 * batch_mean, rtol=1e-4, atol=1e-7)
    unbiased = batch_variance * 200 / 199  # as the fused kernel's
    np.testing.assert_allclose(variance, 0.99 + 0.01 * unbiased, rtol=1e-5)


class FunctionalStyleCompatModel(tf.keras.layers.Layer):
    @track_tf1_style_variables
    def call(self, inputs, training=None):
        with v1.variable_scope("model"):
            out = layers.conv2d(inputs, 3, 3, kernel_regularizer="l2")
            out = layers.conv2d(out, 4, 4, kernel_regularizer="l2")
            out = layers.conv2d(out, 5, 5, kernel_regularizer="l2")
            return out


class OOStyleCompatModel(tf.keras.layers.Layer):
    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.conv_1 = layers.Conv2D(3, 3, kernel_regularizer="l2")
        self.conv_2 = layers.Conv2D(4, 4, kernel_regularizer="l2")

    @track_tf1_style_variables
    def call(self, inputs, training=None):
        with v1.variable_scope("model"):
            out = self.conv_1(inputs)
            out = self.conv_2(out)
            out = layers.conv2d(out, 5, 5, kernel_regularizer="l2")
            return out


def record_scope(scope_name):
    """Record a variable_scope to make sure future ones get incremented."""
    with v1.variable_scope(scope_name):
        pass


class PartiallyNativeKerasLayersModel(tf.keras.layers.Layer):
    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.conv_1 = tf.keras.layers.Conv2D(3, 3, kernel_regularizer="l2")
        self.conv_2 = tf.keras.layers.Conv2D(4, 4, kernel_regularizer="l2")

    @track_tf1_style_variables
    def call(self, inputs, training=None):
        with v1.variable_scope("model"):
            out = self.conv_1(inputs)
            record_scope("conv2d")
            out = self.conv_2(out)
            record_scope("conv2d_1")
            out = layers.conv2d(out, 5, 5, kernel_regularizer="l2")
            return out


SIX_NAMES = [
    f"model/{name}/{part}"
    for name in ("conv2d", "conv2d_1", "conv2d_2")
    for part in ("kernel", "bias")
]


def test_functional_style():
    layer = FunctionalStyleCompatModel()
    layer(tf.ones(shape=(10, 10, 10, 10)))
    assert names(layer) == SIX_NAMES
    assert [v.value.name for v in layer.weights] == [f"{name}:0" for name in SIX_NAMES]
    assert len(layer.losses) == 3


def test_object_style():
    layer = OOStyleCompatModel()
    layer(tf.ones(shape=(10, 10, 10, 10)))
    assert names(layer) == SIX_NAMES
    weights = {v.value.name: v.value for v in layer.weights}
    assert weights["model/conv2d/kernel:0"] is layer.conv_1.kernel
    assert weights["model/conv2d_1/bias:0"] is layer.conv_2.bias
    assert len(layer.losses) == 3


@pytest.mark.parametrize("model", [OOStyleCompatModel, PartiallyNativeKerasLayersModel])
def test_each_stage_gives_what_the_functional_style_gives(model):
    before, after = FunctionalStyleCompatModel(), model()
    for shape in (2, 10, 10, 10), (3, 12, 12, 10):
        x = tf.random.normal(shape)
        before(x)
        after(x)
        assert names(after)[-2:] == SIX_NAMES[-2:] and len(after.weights) == 6
        for old, new in zip(before.weights[:4], after_in_order(after)[:4], strict=True):
            new.assign(old)
        for name in SIX_NAMES[-2:]:
            tf1_variables(after)[name].assign(tf1_variables(before)[name])
        np.testing.assert_allclose(after(x), before(x), rtol=1e-4, atol=1e-4)
        np.testing.assert_allclose(sorted(after.losses), sorted(before.losses), rtol=1e-5)


def after_in_order(layer):
    """Kernel and bias of the first two convolutions."""
    convolutions = layer.conv_1, layer.conv_2
    return [part for conv in convolutions for part in (conv.kernel, conv.bias)]


def test_nested_layers_keep_their_names():
    """The guide's WrappedDenseLayer: a decorated layer held by another, called in its scope."""

    class NestedLayer(tf.keras.layers.Layer):
        def __init__(self, units, *args, **kwargs):
            super().__init__(*args, **kwargs)
            self.units = units

        @track_tf1_style_variables
        def call(self, inputs):
            with v1.variable_scope("inner_dense"):
                kernel = v1.get_variable("kernel", [inputs.shape[-1], self.units])
                bias = v1.get_variable("bias", [self.units])
                return inputs @ kernel + bias

    class WrappedDenseLayer(tf.keras.layers.Layer):
        def __init__(self, units, **kwargs):
            super().__init__(**kwargs)
            self.units = units
            self._dense_layer = NestedLayer(self.units)

        @track_tf1_style_variables
        def call(self, inputs):
            with v1.variable_scope("outer"):
                outputs = layers.dense(inputs, 3)
                outputs = layers.dense(inputs, 4)
                return self._dense_layer(outputs)

    layer = WrappedDenseLayer(10)
    for size in (5, 6, 7):
        layer(tf.ones(shape=(size, 5)))
    assert len(layer.weights) == 6
    assert set(names(layer)) == {
        f"outer/{name}/{part}"
        for name in ("inner_dense", "dense", "dense_1")
        for part in ("kernel", "bias")
    }
    assert keras.ops.shape(layer(tf.ones((5, 5)))) == (5, 10)
