"""`TF1Network`: an image or video network's original TF1/Slim function as a Keras layer."""

from __future__ import annotations

import inspect
from collections.abc import Callable

import keras
import tensorflow as tf
import tf_slim as slim

from zoo.errors import ArgumentError, InputShapeError, nearest_names
from zoo.shim.decorator import tf1_variables, track_tf1_style_variables

# Given by the layer itself at each call.
_NOT_FOR_THE_USER = {"inputs", "images", "is_training", "reuse", "scope"}


class TF1Layer(keras.layers.Layer):
    """A Keras layer of TF1 code whose files hold its variables under their TF1 names."""

    def save_own_variables(self, store) -> None:
        """Saves every variable under its TF1 name."""
        for name, variable in tf1_variables(self).items():
            store[name] = variable.numpy()

    def load_own_variables(self, store) -> None:
        """Loads every variable by its TF1 name."""
        for name, variable in tf1_variables(self).items():
            variable.assign(store[name])


class TF1Network(TF1Layer):
    """Base of all adapters: images in, logits out, variables under their TF1 names.

    A subclass declares; the network itself is the function it names.

    Attributes:
        function: `(images, ..., is_training=, scope=) -> (logits, end_points)`, the network
            as its authors wrote it.
        arg_scope: returns the Slim arg scope that the network is built in.
        scope: the network's outermost variable scope; "" where its names have none.
        landmark: a scope in its names that tells them from other networks', where there is no
            outermost one.
        default_image_size: height and width that the function was written for, in pixels.
        minimum_image_size: the smallest height and width that it can take, in pixels.
        image_rank: rank of a batch: 4 of images, (batch, height, width, channels), and 5 of
            clips, (batch, frames, height, width, channels).
        head: scopes whose variables depend on the number of classes.
        auxiliary: scopes that serve training alone, such as auxiliary logits.

    Args:
        name, dtype, trainable: as in every Keras layer.
        **arguments: arguments of `function` and of `arg_scope`, by their names
            (`num_classes`, `dropout_keep_prob`, `weight_decay`, ...).

    Raises:
        ArgumentError: neither function takes an argument of that name.
    """

    function: Callable
    arg_scope: Callable
    scope: str
    landmark: str = ""
    default_image_size: int
    minimum_image_size: int = 1
    image_rank: int = 4
    head: tuple[str, ...] = ()
    auxiliary: tuple[str, ...] = ()

    def __init_subclass__(cls, **kwargs) -> None:
        super().__init_subclass__(**kwargs)
        package = cls.__module__.partition(".")[0]
        keras.saving.register_keras_serializable(package=package)(cls)

    def __init__(self, *, name=None, dtype=None, trainable=True, **arguments) -> None:
        super().__init__(name=name, dtype=dtype, trainable=trainable)
        accepted = self.accepted_arguments()
        for argument in arguments:
            if argument not in accepted:
                raise ArgumentError(
                    f"{type(self).__name__} takes no argument {argument!r}.",
                    received=f"{argument}={arguments[argument]!r}",
                    accepted=", ".join(accepted),
                    nearest=nearest_names(argument, accepted),
                )
        self.arguments = arguments

    @classmethod
    def accepted_arguments(cls) -> dict[str, object]:
        """Names of the original functions' arguments -> their defaults."""
        return {
            name: parameter.default
            for source in (cls.arg_scope, cls.function)
            for name, parameter in inspect.signature(source).parameters.items()
            if name not in _NOT_FOR_THE_USER
        }

    @track_tf1_style_variables
    def call(self, images: tf.Tensor, training: bool = False) -> tf.Tensor:
        """Logits of a batch of preprocessed images.

        Args:
            images: float tensor of shape (batch, height, width, channels), with the frames
                after the batch for a video network.
            training: batch norm by batch statistics, dropout, update of moving averages.

        Returns:
            Logits of shape (batch, num_classes) in the compute dtype; features instead
            where the arguments say so (`num_classes=0`, `final_endpoint=`).

        Raises:
            InputShapeError: images of another rank or dtype, or too small.
        """
        logits, _ = self.forward(images, training)
        return logits

    @track_tf1_style_variables
    def end_points(
        self, images: tf.Tensor, training: bool = False, names: tuple[str, ...] | None = None
    ) -> dict[str, tf.Tensor]:
        """End points of the original function by their TF1 names: those named, or all."""
        _, end_points = self.forward(images, training)
        for name in names or ():
            if name not in end_points:
                raise ArgumentError(
                    f"{type(self).__name__} has no end point {name!r}.",
                    accepted=", ".join(end_points),
                    nearest=nearest_names(name, end_points),
                )
        return {name: end_points[name] for name in names or end_points}

    def forward(self, images, training: bool = False):
        """The TF1 function itself, undecorated: (logits, end_points) in the current graph.

        In a `tf.Graph` of one's own it makes TF1 variables, to be run in a
        `tf.compat.v1.Session`; `call` and `end_points` are this, inside Keras.
        """
        self.check_images(images)
        for_scope = inspect.signature(self.arg_scope).parameters
        for_function = inspect.signature(self.function).parameters
        arguments = {k: v for k, v in self.arguments.items() if k in for_function}
        scope_arguments = {k: v for k, v in self.arguments.items() if k in for_scope}
        if "is_training" in for_scope:
            scope_arguments["is_training"] = training
        if self.scope:
            arguments["scope"] = self.scope
        with slim.arg_scope(self.arg_scope(**scope_arguments)):
            return self.function(images, is_training=training, **arguments)

    def check_images(self, images) -> None:
        """Raises InputShapeError where images are no preprocessed batch that the network takes."""
        if not tf.as_dtype(images.dtype).is_floating:
            raise InputShapeError(
                f"{type(self).__name__} takes preprocessed images of a float dtype.",
                received=f"dtype {tf.as_dtype(images.dtype).name}",
                next_step="pass images through model.preprocess() first.",
            )
        smallest = self.minimum_image_size
        shape = tf.TensorShape(images.shape)
        good = shape.rank == self.image_rank
        if not good or any(side is not None and side < smallest for side in shape[-3:-1]):
            video = self.image_rank == 5
            raise InputShapeError(
                f"{type(self).__name__} takes batches of {'clips' if video else 'images'}.",
                received=f"shape {tuple(shape) if shape.rank is not None else 'of unknown rank'}",
                accepted=f"(batch, {'frames, ' if video else ''}height, width, channels), "
                f"height and width >= {smallest}; made for {self.default_image_size}",
            )

    def get_config(self) -> dict:
        return {**super().get_config(), **self.arguments}
