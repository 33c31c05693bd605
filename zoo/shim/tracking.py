"""Where Keras, `tf.train.Checkpoint` and SavedModel find what the TF1 code of an object made."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterable, Iterator

import keras
import tensorflow as tf


def add_weight(layer: keras.layers.Layer, **arguments) -> keras.Variable:
    """`layer.add_weight`, also where the layer is built."""
    with _unlocked(layer):
        return layer.add_weight(**arguments)


def track_layer(owner: keras.layers.Layer | tf.Module, name: str, layer) -> None:
    """Makes a Keras layer an attribute of the owner."""
    with _unlocked(owner):
        setattr(owner, re.sub(r"[^0-9A-Za-z]", "_", name), layer)


@contextlib.contextmanager
def _unlocked(owner: keras.layers.Layer | tf.Module) -> Iterator[None]:
    """Keras locks the tracker of a layer that is built, which happens before its first call."""
    if not isinstance(owner, keras.layers.Layer):
        yield
        return
    was_locked, owner._tracker.locked = owner._tracker.locked, False
    try:
        yield
    finally:
        owner._tracker.locked = was_locked


class _Tracked(tf.Module):
    """Where `tf.train.Checkpoint` and SavedModel find an object's variables: by TF1 name, and at
    the path at which TensorFlow's own decorator kept them."""

    def __init__(self) -> None:
        super().__init__(name="tf1_style_var_store")
        self._vars: dict[str, tf.Variable] = {}


def track(owner, name: str, variable: tf.Variable) -> None:
    """Under the variable's TF1 name."""
    _tracked(owner)._vars[name] = variable


def _tracked(owner) -> _Tracked:
    if not hasattr(owner, "_tf1_style_var_store"):
        owner._tf1_style_var_store = _Tracked()
    return owner._tf1_style_var_store


def show_weights(module: tf.Module, layers: Iterable[keras.layers.Layer]) -> None:
    """Makes the weights of Keras layers some of `module.variables`, which looks into modules
    alone. Past __setattr__: the layers are attributes, and saved as such."""
    weights = [weight._value for layer in layers for weight in layer.weights]
    _tracked(module).__dict__["_weights_of_layers"] = weights
