"""A Keras layer that runs a given function as TF1 code, and a model of it."""

import inspect

import keras
import networks

from zoo.shim import track_tf1_style_variables


class Running(keras.layers.Layer):
    """Its call is `code`, a function of the inputs and, where it says so, of `training`."""

    def __init__(self, code, **kwargs):
        super().__init__(**kwargs)
        self.code = code

    @track_tf1_style_variables
    def call(self, inputs, training=False):
        if "training" in inspect.signature(self.code).parameters:
            return self.code(inputs, training=training)
        return self.code(inputs)


def running(code, *shape, **kwargs):
    """A Keras model of a TF1 function, with the recipe's weights."""
    inputs = keras.Input(shape)
    layer = Running(code, **kwargs)
    model = keras.Model(inputs, layer(inputs), name="model")
    networks.give_weights(layer)
    return model
