"""Losses of a call's own values, such as activity regularizers: handed out of the call's trace.

Keras keeps the tensor that `add_loss` is given. Inside a decorated method that is a tensor of the
graph in which the method is traced, of no use outside it. So such losses are results of the trace
beside its outputs, and each call gives the ones it computed to the decorated layer.
"""

from __future__ import annotations

import contextlib
import contextvars
from collections.abc import Iterator

import keras
import tensorflow as tf
from keras.src.backend.common import global_state

_losses: contextvars.ContextVar[list[tf.Tensor] | None] = contextvars.ContextVar(
    "losses", default=None
)


@contextlib.contextmanager
def collected(owner: keras.layers.Layer | tf.Module) -> Iterator[list[tf.Tensor]]:
    """The list of losses that TF1 layers, and Keras layers within `owner`, add meanwhile.

    It is complete at the end of the block, when Keras layers have no part in them any more.
    """
    losses: list[tf.Tensor] = []
    kept = {id(loss) for layer in _keras_layers(owner) for loss in layer._losses}
    token = _losses.set(losses)
    try:
        yield losses
    finally:
        _losses.reset(token)
        for layer in _keras_layers(owner):
            losses += [loss for loss in layer._losses if id(loss) not in kept]
            layer._losses[:] = [loss for loss in layer._losses if id(loss) in kept]


def add(loss: tf.Tensor) -> None:
    """Adds to the losses of the innermost decorated method that is running."""
    _losses.get().append(loss)


def hand_over(owner: keras.layers.Layer | tf.Module, losses: list[tf.Tensor]) -> None:
    """Gives a call's losses to the decorated method around it, or to `owner.losses`.

    A `tf.Module` has no place for them; nor has Keras outside a call of the layer itself.
    """
    if _losses.get() is not None:
        _losses.get().extend(losses)
    elif isinstance(owner, keras.layers.Layer):
        if global_state.get_global_attribute("current_call_ctx") is not None:
            owner.add_loss(losses)


def _keras_layers(owner) -> list[keras.layers.Layer]:
    return owner._flatten_layers() if isinstance(owner, keras.layers.Layer) else []
