"""`zoo.wrap`: a plain TF1 forward function as a Keras model, with its TF1 checkpoint."""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import keras

from zoo import checkpoints, hub
from zoo.adopting import adopting
from zoo.errors import ArgumentError, nearest_names
from zoo.shim import (
    TF1Layer,
    run_skipped_initializers,
    skip_initializers,
    tf1_variables,
    track_tf1_style_variables,
)

if TYPE_CHECKING:
    from zoo.training.optimizers import TF1Optimizer

_TRAINING_ARGUMENTS = ("is_training", "training", "train")


def wrap(
    function: Callable,
    input_shape: Sequence[int | None],
    *,
    tf1_ckpt: str | os.PathLike | None = None,
    name_map: checkpoints.NameMap | None = None,
    allow_missing: Sequence[str] = (),
    allow_unexpected: Sequence[str] = (),
    resume: bool | TF1Optimizer = False,
    dtype: str | None = None,
    name: str | None = None,
    **arguments,
) -> keras.Model:
    """A Keras model of a TF1 forward function that makes its variables by `get_variable`.

    Args:
        function: takes a batch of inputs first, and `is_training` or `training` if it
            behaves differently in training; returns a tensor or a structure of tensors. Of
            Slim's (logits, end points) the model's output is the logits. Code that uses
            `tf.layers` needs `zoo.shim.install()` before it is called.
        input_shape: shape of one input, without the batch; None where it is free.
        tf1_ckpt: a checkpoint in any form that `zoo.open_checkpoint` reads; None for the
            initial values that the function's initializers draw.
        name_map, allow_missing, allow_unexpected: as in `zoo.load`.
        resume: go on training where TF1 stopped, as in `zoo.load`; the model's output is taken
            for the logits of a classifier.
        dtype: a Keras dtype policy.
        name: the model's name; the function's by default.
        **arguments: further arguments of the function, by name.

    Returns:
        A functional `keras.Model`: predict, fit, save, `zoo.shim.tf1_variables(model)`. To
        load its `.keras` file, the function must be known to Keras
        (`keras.saving.register_keras_serializable`, or `custom_objects=`).

    Raises:
        ArgumentError: the function takes no such argument.
        CheckpointMismatchError: the checkpoint is not this function's.

    Example:
        >>> model = zoo.wrap(my_old_network, (32, 32, 3), tf1_ckpt="model.ckpt-90000", classes=10)
        >>> model.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    """
    _check_arguments(function, arguments)
    inputs = keras.Input(tuple(input_shape), name="inputs")
    layer = TF1Function(function, dtype=dtype, **arguments)
    with skip_initializers():
        model = keras.Model(inputs, layer(inputs), name=name or _name(function))
    variables = tf1_variables(layer)
    if tf1_ckpt is None:
        if resume:
            raise ArgumentError(
                "There is no training to resume without a checkpoint.",
                next_step="pass the training directory as tf1_ckpt=.",
            )
        run_skipped_initializers(layer, list(variables))
        return model
    with hub.open_checkpoint(tf1_ckpt) as checkpoint:
        loaded = checkpoints.load(
            checkpoint,
            adopting(variables),
            name_map,
            allow_missing=allow_missing,
            allow_unexpected=allow_unexpected,
            verify=False,
        ).loaded
        run_skipped_initializers(layer, [name for name in variables if name not in loaded])
        if resume:
            from zoo.training.resuming import resume_training  # which stands on this module

            resume_training(model, checkpoint, loaded, resume, allow_missing=allow_missing)
    return model


@keras.saving.register_keras_serializable(package="zoo")
class TF1Function(TF1Layer):
    """A TF1 forward function as a layer; `zoo.wrap` makes a model of it."""

    def __init__(self, function: Callable, *, name=None, dtype=None, trainable=True, **arguments):
        super().__init__(name=name or f"{_name(function)}_layer", dtype=dtype, trainable=trainable)
        self.function = function
        self.arguments = arguments
        accepted = inspect.signature(function).parameters
        self._training_argument = next((a for a in _TRAINING_ARGUMENTS if a in accepted), None)

    @track_tf1_style_variables
    def call(self, inputs, training=False):
        outputs, _ = self.forward(inputs, training)
        return outputs

    def forward(self, inputs, training: bool = False):
        """The function itself, undecorated: (outputs, end points) in the current graph, as
        `TF1Network.forward`."""
        arguments = dict(self.arguments)
        if self._training_argument is not None:
            arguments[self._training_argument] = bool(training)
        outputs = self.function(inputs, **arguments)
        is_slims = isinstance(outputs, tuple) and len(outputs) == 2 and isinstance(outputs[1], dict)
        return outputs if is_slims else (outputs, {})

    def get_config(self) -> dict:
        function = keras.saving.serialize_keras_object(self.function)
        return {**super().get_config(), "function": function, **self.arguments}

    @classmethod
    def from_config(cls, config: dict) -> TF1Function:
        function = keras.saving.deserialize_keras_object(config.pop("function"))
        return cls(function, **config)


def _check_arguments(function: Callable, arguments: dict) -> None:
    if not callable(function) or inspect.isclass(function):
        raise ArgumentError(
            "zoo.wrap takes a function.",
            received=repr(function),
            next_step="decorate the call of a Keras layer with "
            "zoo.shim.track_tf1_style_variables instead.",
        )
    parameters = inspect.signature(function).parameters
    if any(parameter.kind == parameter.VAR_KEYWORD for parameter in parameters.values()):
        return
    for argument in arguments:
        if argument not in parameters:
            accepted = list(parameters)[1:]
            raise ArgumentError(
                f"{_name(function)} takes no argument {argument!r}.",
                accepted=", ".join(accepted),
                nearest=nearest_names(argument, accepted),
            )


def _name(function: Callable) -> str:
    return getattr(function, "__name__", type(function).__name__).strip("<>_")
