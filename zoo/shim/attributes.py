"""`tf.Variable`s and `tf.Module`s that a decorated Keras layer has as attributes.

Keras 3 tracks its own variables and layers alone; TF2 code on its way from TF1, as in
TensorFlow's migration guide, keeps the others as attributes too and expects them in `weights`.
"""

from __future__ import annotations

import keras
import tensorflow as tf
from tensorflow.python.keras.mixed_precision import autocast_variable

from zoo.shim.tracking import add_weight
from zoo.shim.variables import outside_of_any_graph


def track_attributes(layer: keras.layers.Layer) -> None:
    """Makes the `tf.Variable`s among the layer's attributes, and those in the `tf.Module`s
    among them, weights of the layer. They stay the variables that they are."""
    tracked = {id(variable._value) for variable in layer.variables}
    for name, attribute in list(vars(layer).items()):
        for variable in _variables_of(attribute):
            if id(variable) not in tracked:
                tracked.add(id(variable))
                _make_weight(layer, name, variable)


def _variables_of(attribute) -> tuple[tf.Variable, ...]:
    if isinstance(attribute, tf.Variable):
        return (attribute,)
    if isinstance(attribute, tf.Module) and not isinstance(attribute, keras.layers.Layer):
        # A TF1 layer under a mixed policy holds variables of the store that cast as they are read.
        return tuple(v._variable if _casts(v) else v for v in attribute.variables)
    return ()


def _casts(variable: tf.Variable) -> bool:
    return isinstance(variable, autocast_variable.AutoCastVariable)


def _make_weight(layer: keras.layers.Layer, attribute: str, variable: tf.Variable) -> None:
    name = variable.name.removesuffix(":0").replace("/", ".") or attribute
    with outside_of_any_graph():
        weight = add_weight(
            layer,
            name=name,
            shape=tuple(variable.shape),
            dtype=variable.dtype.name,
            initializer="zeros",
            trainable=variable.trainable,
        )
    weight._value = variable
