"""`tf.Variable`s, `tf.Module`s and layers as attributes of a decorated Keras layer.

TensorFlow's model mapping guide asks that all of them are tracked; expected values are arithmetic.
"""

import keras
import numpy as np
import tensorflow as tf

from zoo.shim import tf1_variables, track_tf1_style_variables

v1 = tf.compat.v1

X = np.random.RandomState(0).normal(size=(4, 3)).astype(np.float32)


class Scale(tf.Module):
    """A decorated module, with a plain variable beside."""

    def __init__(self):
        super().__init__()
        self.shift = tf.Variable([1.0, 1.0, 1.0], name="shift")

    @track_tf1_style_variables
    def __call__(self, inputs):
        with v1.variable_scope("scale"):
            factor = v1.get_variable("factor", [3], initializer=v1.ones_initializer())
        return inputs * factor + self.shift


class Holder(keras.layers.Layer):
    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.offset = tf.Variable([2.0, 2.0, 2.0], name="offset")
        self.steps = tf.Variable(0, trainable=False, name="steps")
        self.scale = Scale()
        self.dense = keras.layers.Dense(2, kernel_initializer="ones")

    @track_tf1_style_variables
    def call(self, inputs):
        with v1.variable_scope("holder"):
            weight = v1.get_variable("weight", [3], initializer=v1.ones_initializer())
            self.steps.assign_add(1)
            return self.dense(self.scale(inputs) * weight + self.offset)


def test_all_of_them_are_weights_once():
    layer = Holder()
    expected = np.tile((X + 3.0).sum(1, keepdims=True), 2)
    for _ in range(2):
        np.testing.assert_allclose(layer(X), expected, rtol=1e-5)
    held = {id(weight._value) for weight in layer.weights}
    assert len(layer.weights) == len(held) == 7
    assert {id(layer.offset), id(layer.steps), id(layer.scale.shift)} <= held
    assert len(layer.non_trainable_variables) == 1 and int(layer.steps) == 2
    assert set(tf1_variables(layer)) == {"holder/weight", "holder/scale/factor"}


def test_they_train():
    source = keras.Input((3,))
    layer = Holder()
    model = keras.Model(source, layer(source))
    model.compile(keras.optimizers.SGD(0.1), "mse")
    before = layer.offset.numpy()
    outputs = np.tile((X + 3.0).sum(1, keepdims=True), 2)
    model.fit(X, np.zeros((4, 2)), batch_size=4, verbose=0)
    # d mse / d offset = mean over outputs of 2 * output, through kernels of ones: summed over 2.
    gradient = (2 * outputs / outputs.size).sum()
    np.testing.assert_allclose(layer.offset, before - 0.1 * gradient, rtol=1e-4)


def test_they_are_saved(tmp_path):
    def build():
        source = keras.Input((3,))
        return keras.Model(source, Holder(name="holder")(source))

    model = build()
    layer = model.get_layer("holder")
    layer.offset.assign([5.0, 6.0, 7.0])
    layer.scale.shift.assign([8.0, 9.0, 1.0])
    model.save_weights(tmp_path / "m.weights.h5")
    again = build()
    again.load_weights(tmp_path / "m.weights.h5")
    np.testing.assert_array_equal(again.get_layer("holder").offset, [5.0, 6.0, 7.0])
    np.testing.assert_allclose(again(X), model(X), rtol=1e-6)
