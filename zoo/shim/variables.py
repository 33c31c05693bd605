"""The variables that TF1 code asks for, made by Keras, or as a `tf.Variable` on a `tf.Module`."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import NamedTuple

import keras
import tensorflow as tf
from keras.src.backend.common import global_state
from tensorflow.python.keras.mixed_precision import autocast_variable
from tensorflow.python.ops import resource_variable_ops as resource_variables

from zoo.shim.tracking import add_weight, track

v1 = tf.compat.v1


def make_variable(
    owner: keras.layers.Layer | tf.Module,
    name: str,
    shape: tuple[int, ...],
    dtype: tf.DType,
    initializer: Callable,
    *,
    trainable: bool,
    constraint: Callable | None,
    aggregation: tf.VariableAggregation,
) -> tuple[keras.Variable | tf.Variable, object]:
    """A variable of the owner, and what TF1 code holds: the `tf.Variable` behind it, which under a
    mixed policy casts as it is read."""
    stored_as = _stored_dtype(owner, dtype)
    with outside_of_any_graph(), v1.variable_creator_scope(_named(name)):
        if isinstance(owner, keras.layers.Layer):
            variable = add_weight(
                owner,
                name=name.replace("/", "."),  # Keras keeps '/' for its own paths
                shape=shape,
                initializer=lambda shape, dtype: initializer(shape, tf.as_dtype(dtype)),
                dtype=stored_as.name,
                trainable=trainable,
                constraint=None if constraint is None else _Constraint(constraint),
                **_keras_aggregation(aggregation),
            )
            held = variable._value
        else:
            variable = held = tf.Variable(
                lambda: initializer(shape, dtype),
                trainable=trainable,
                dtype=dtype,
                constraint=constraint,
                aggregation=aggregation,
            )
    track(owner, name, held)
    casts = stored_as != dtype
    return variable, autocast_variable.create_autocast_variable(held) if casts else held


@contextlib.contextmanager
def outside_of_any_graph() -> Iterator[None]:
    """Eager, and outside of the stateless scope in which Keras traces a symbolic call:
    variables made here outlive the graph that asked for them."""
    stateless_scope = global_state.get_global_attribute("stateless_scope")
    global_state.set_global_attribute("stateless_scope", None)
    try:
        with tf.init_scope():
            yield
    finally:
        global_state.set_global_attribute("stateless_scope", stateless_scope)


class Regularizer(keras.regularizers.Regularizer):
    """A TF1 regularizer, which expects a tensor: a Keras variable's dtype is a string."""

    def __init__(self, function: Callable) -> None:
        self.function = function

    def __call__(self, variable):
        return self.function(tf.convert_to_tensor(variable))


class _Constraint(keras.constraints.Constraint):
    """A TF1 constraint, a function of a tensor."""

    def __init__(self, function: Callable) -> None:
        self.function = function

    def __call__(self, variable):
        return self.function(tf.convert_to_tensor(variable))


def _stored_dtype(owner, asked: tf.DType) -> tf.DType:
    """Under a mixed policy a variable asked for in the compute dtype is stored in the
    policy's variable dtype; one asked for in any other dtype is what was asked for."""
    policy = getattr(owner, "dtype_policy", None)
    if policy is not None and asked.name == policy.compute_dtype:
        return tf.as_dtype(policy.variable_dtype)
    return asked


def _keras_aggregation(aggregation: tf.VariableAggregation) -> dict[str, str]:
    # Keras before 3.8 has no name for the default, which is "none".
    none = aggregation == tf.VariableAggregation.NONE
    return {} if none else {"aggregation": aggregation.name.lower()}


def _named(name: str):
    """A creator that gives the `tf.Variable` its TF1 name, which Keras does not allow itself.

    It is also made outside the function that is being traced, not lifted out of it
    afterwards, which would cost a second trace.
    """

    def creator(next_creator, **arguments):
        arguments.update(name=name, experimental_enable_variable_lifting=False)
        variable = next_creator(**arguments)
        for part in getattr(variable, "values", (variable,)):  # one for each replica
            if type(part) is resource_variables.ResourceVariable and tf.executing_eagerly():
                part.__class__ = _VariableWithOp
        return variable

    return creator


class _VariableOp(NamedTuple):
    """What TF1 code asks of `variable.op`.

    Attributes:
        name: the variable's, without ":0".
        type: the op's, as in a graph of resource variables.
        device: where it is.
        graph: tells variables of one name apart, in different layers:
            `tf.compat.v1.train.Optimizer` knows a variable by its op's graph and name.
    """

    name: str
    type: str
    device: str
    graph: str


class _VariableWithOp(resource_variables.ResourceVariable):
    """A variable whose `op` can be asked for, as TF1 code does for its name, though it was made
    outside of any graph."""

    @property
    def op(self) -> _VariableOp:
        name = self.name.removesuffix(":0")
        return _VariableOp(name, "VarHandleOp", self.device, self._unique_id)
