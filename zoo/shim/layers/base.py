"""What all layers share: TensorFlow's legacy `Layer`, mended, and its functional form."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable

import tensorflow as tf
from tensorflow.python.framework import ops
from tensorflow.python.keras.engine import base_layer, base_layer_v1
from tensorflow.python.keras.utils import version_utils
from tensorflow.python.layers import base

from zoo.errors import ShimError
from zoo.shim import activity
from zoo.shim.calls import current_call

v1 = tf.compat.v1

InputSpec = base.InputSpec


class Mended:
    """What every layer of this package has before TensorFlow's class of it.

    It derives from nothing: TensorFlow gives its layer classes other bases each time that a
    layer is made in a graph after one made outside, or the other way round, and that fails for
    a class that reaches the same base in two ways.
    """

    def __new__(cls, *args, **kwargs):
        layer = super().__new__(cls, *args, **kwargs)
        layer._made_by_v2_rules = version_utils.should_use_v2()
        return layer

    def __call__(self, inputs, *args, **kwargs):
        decorated = current_call() is not None
        if decorated and self._keras_style:
            raise ShimError(
                f"Layer {self.name} makes its variables by Keras 2's rules, which a decorated "
                "method cannot track.",
                next_step="make the layer outside of keras_style_scope, and without "
                "set_keras_style().",
            )
        self._follow_its_own_rules()
        was_built = self.built
        outputs = super().__call__(inputs, *args, **kwargs)
        if decorated and not was_built:
            self._track_as_keras_3_does()
        if decorated and not tf.executing_eagerly():
            self._collect_regularization_losses(was_built)
        return outputs

    def _follow_its_own_rules(self) -> None:
        # TensorFlow gives a class other bases (V1's or V2's) with each layer made in a graph or
        # outside; a layer keeps to those it was made with.
        use_v2 = self._made_by_v2_rules
        if use_v2 == isinstance(self, base_layer_v1.Layer):
            version_utils.swap_class(type(self), base_layer.Layer, base_layer_v1.Layer, use_v2)

    def _track_as_keras_3_does(self) -> None:
        """Keras 3 has a kernel in `tf.train.Checkpoint` as `_kernel`: there a Keras layer that
        takes this one's place finds it, and the other way round."""
        kernel = getattr(self, "kernel", None)
        if isinstance(kernel, tf.Variable):
            self._track_trackable(kernel, "_kernel")

    def _collect_regularization_losses(self, was_built: bool) -> None:
        """A layer is built in one trace of the decorated method, and its losses are collected
        there; each further trace is a graph that has a collection of its own."""
        seen = v1.get_collection_ref("zoo_layers_with_collected_losses")
        if any(layer is self for layer in seen):
            return
        seen.append(self)
        if was_built:
            for loss in self._callable_losses:
                _collect(loss())

    def add_loss(self, losses, inputs=None) -> None:
        """Adds losses: tensors of this call, or functions of nothing (a regularizer's)."""
        losses = tf.nest.flatten(losses)
        if current_call() is not None:
            for loss in losses:
                if not callable(loss):
                    activity.add(loss)
                    _collect(loss)
            losses = [loss for loss in losses if callable(loss)]
        super().add_loss(losses, inputs=inputs)

    @property
    def updates(self) -> list:
        """Update ops of this layer in a plain graph; elsewhere they run with the call."""
        return [] if ops.executing_eagerly_outside_functions() else super().updates

    def apply(self, inputs, *args, **kwargs):
        """The layer's call, by TF1's older name."""
        return self(inputs, *args, **kwargs)

    def add_variable(self, *args, **kwargs):
        """`add_weight`, by TF1's older name."""
        return self.add_weight(*args, **kwargs)


def _collect(loss: tf.Tensor) -> None:
    if not tf.executing_eagerly():
        v1.add_to_collection(v1.GraphKeys.REGULARIZATION_LOSSES, loss)


class _AnyLayer(type(base.Layer)):
    """Makes all layers of TF1's family instances of `Layer`, which they do not derive from."""

    def __instancecheck__(cls, instance) -> bool:
        return super().__instancecheck__(instance) or (
            cls is Layer and isinstance(instance, base.Layer)
        )

    def __subclasscheck__(cls, subclass) -> bool:
        return super().__subclasscheck__(subclass) or (
            cls is Layer and issubclass(subclass, base.Layer)
        )


class Layer(Mended, base.Layer, metaclass=_AnyLayer):
    """`tf.compat.v1.layers.Layer` of TensorFlow 1.15: the base class of all the others.

    A layer takes its name, and so the names of its variables, from the variable scope it is
    first called in. One that is an attribute of a decorated Keras layer or `tf.Module`, and is
    called in the decorated method, has its variables from there: `layer.conv.kernel` is the
    `tf.Variable` that is tracked.

    Args:
        trainable: whether the layer's variables are trainable.
        name: the layer's name, and the last part of its variable scope; None numbers
            the class's name ("conv2d", "conv2d_1", ...).
        dtype: of the variables; None takes that of the first input.
        **kwargs: `_scope` (a scope's name, at once and not at the first call), `_reuse`.
    """


def functional(layer_class: type[Layer], original: Callable) -> Callable:
    """The function that makes one layer and calls it, with the signature of `original`.

    TensorFlow still has the original functions, but each of them warns that it is deprecated
    and makes a layer of TensorFlow's class, which is not quite TF 1.15's.
    """
    signature = inspect.signature(original)
    has_variables = "reuse" in signature.parameters

    @functools.wraps(original)
    def function(*args, **kwargs):
        bound = signature.bind(*args, **kwargs)
        bound.apply_defaults()
        arguments = bound.arguments
        inputs = arguments.pop("inputs")
        call = {"training": arguments.pop("training")} if "training" in arguments else {}
        if has_variables:
            arguments.update(_reuse=arguments.pop("reuse"), _scope=arguments["name"])
        return layer_class(**arguments)(inputs, **call)

    function.__module__ = layer_class.__module__
    return function
