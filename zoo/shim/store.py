"""The variables of one decorated object, under their TF1 names.

`tf.compat.v1.get_variable` asks the current variable store for a variable by its
full name. While a decorated method runs, `VariableStore` is that store: it makes
each variable once, through Keras's `add_weight` (or as a `tf.Variable` on a
`tf.Module`), and hands TF1 code the `tf.Variable` behind it.
"""

from __future__ import annotations

import contextlib
import contextvars
import dataclasses
import inspect
import re
from collections.abc import Callable, Iterator
from typing import NamedTuple

import keras
import tensorflow as tf
from keras.src.backend.common import global_state
from tensorflow.python.framework import func_graph
from tensorflow.python.keras.mixed_precision import autocast_variable
from tensorflow.python.ops import control_flow_v2_func_graphs as control_flow
from tensorflow.python.ops import resource_variable_ops as resource_variables
from tensorflow.python.ops import variable_scope

from zoo.errors import ShimError

v1 = tf.compat.v1

_CONTROL_FLOW = (
    control_flow.CondBranchFuncGraph,
    control_flow.WhileCondFuncGraph,
    control_flow.WhileBodyFuncGraph,
)


@dataclasses.dataclass(frozen=True)
class _Call:
    """A decorated method that is running.

    Attributes:
        store: its object's.
        method: its name.
        graph: the graph that it runs in.
        is_first: whether the method has never run to its end before.
        asked: the names of the variables that it has asked for so far.
        variables: those that are in the graph's collections, by name.
    """

    store: VariableStore
    method: str
    graph: tf.Graph
    is_first: bool
    asked: set[str] = dataclasses.field(default_factory=set)
    variables: dict[str, object] = dataclasses.field(default_factory=dict)


# Innermost last. Each thread has its own, since under MirroredStrategy one thread for each replica
# runs the same method, in turn, in the same graph.
_calls: contextvars.ContextVar[tuple[_Call, ...]] = contextvars.ContextVar("calls", default=())

_initializers_are_skipped = contextvars.ContextVar("initializers_are_skipped", default=False)


@contextlib.contextmanager
def skip_initializers() -> Iterator[None]:
    """Within it, new variables hold nothing yet and remember their TF1 initializer.

    For whoever fills variables from a checkpoint anyway: values are not drawn, nor even
    memory touched, only to be overwritten. `run_skipped_initializers` fills those that
    were not; until then their values are undefined.
    """
    token = _initializers_are_skipped.set(True)
    try:
        yield
    finally:
        _initializers_are_skipped.reset(token)


class _Regularizer(keras.regularizers.Regularizer):
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


def current_call() -> _Call | None:
    """The innermost decorated method that is running."""
    calls = _calls.get()
    return calls[-1] if calls else None


class VariableStore(variable_scope._VariableStore):
    """The TF1 variable store of one Keras layer, Keras model or `tf.Module`.

    TF1's rules of reuse hold within one call of the decorated method. Between
    calls every variable is reused, as one graph that is run many times does.

    Attributes:
        variables: full TF1 name -> `keras.Variable` (`tf.Variable` on a `tf.Module`),
            in the order of creation.
        regularizers: full TF1 name -> function of the variable that gives its loss.
        layers: name -> Keras layer that `get_or_create_layer` made.
    """

    def __init__(self, owner: keras.layers.Layer | tf.Module) -> None:
        super().__init__()
        self._owner = owner
        self.variables: dict[str, keras.Variable | tf.Variable] = {}
        self.regularizers: dict[str, Callable] = {}
        self.layers: dict[str, keras.layers.Layer] = {}
        self._skipped: dict[str, Callable] = {}
        self._handed: dict[str, object] = {}  # what TF1 code holds for each name

    @contextlib.contextmanager
    def in_use(self, method: str, is_first: bool) -> Iterator[None]:
        """Makes this the store that `get_variable` asks, for one call of a method; only in the
        first call of it are variables made."""
        asked = v1.get_collection_ref(variable_scope._VARSTORE_KEY)
        if not (asked and isinstance(asked[0], _StoreOfTheCall)):
            asked[:] = [_StoreOfTheCall(asked[0] if asked else None)]
        call = _Call(self, method, v1.get_default_graph(), is_first)
        token = _calls.set((*_calls.get(), call))
        v1.get_variable_scope().set_custom_getter(_getter_that_comes_back(call))
        try:
            yield
        finally:
            _calls.reset(token)
            if self.layers and not isinstance(self._owner, keras.layers.Layer):
                _show_weights(self._owner, self.layers.values())

    @contextlib.contextmanager
    def in_use_by(self, method: str) -> Iterator[None]:
        """For a decorated method that another one of the same object calls.

        It goes on in the same graph, with the same collections. `super().call()` goes on in the
        same call; a method of another name is a call of its own, with TF1's rules of reuse and
        the numbers of default names starting anew, so that it makes what it makes when it is
        called alone.
        """
        call = _calls.get()[-1]
        if call.method == method:
            yield
            return
        scopes = variable_scope.get_variable_scope_store()
        counts, scopes.variable_scopes_count = scopes.variable_scopes_count, {}
        inner = dataclasses.replace(call, method=method, asked=set())
        token = _calls.set((*_calls.get(), inner))
        try:
            yield
        finally:
            _calls.reset(token)
            scopes.variable_scopes_count = counts

    def get_or_create_layer(
        self, name: str, create: Callable[[], keras.layers.Layer]
    ) -> keras.layers.Layer:
        """The Keras layer or model of this name, made and tracked at the first call."""
        if name not in self.layers:
            if name in self.variables:
                raise ShimError(
                    f"{name!r} names a variable of {self._owner_text()}, and a layer is asked for "
                    "by it too.",
                    next_step="give the layer another name.",
                )
            with outside_of_any_graph():
                layer = create()
            _track_layer(self._owner, f"_tf1_layer_{len(self.layers)}_{_as_attribute(name)}", layer)
            self.layers[name] = layer
        return self.layers[name]

    def is_in_use(self) -> bool:
        """Whether the innermost decorated method that is running is the owner's."""
        calls = _calls.get()
        return bool(calls) and calls[-1].store is self

    def run_initializers(self, names: list[str]) -> None:
        """Gives the named variables the initial values that were skipped."""
        for name in names:
            initializer = self._skipped.pop(name, None)
            if initializer is not None:
                variable = self.variables[name]
                dtype = tf.as_dtype(variable.dtype)
                variable.assign(initializer(tuple(variable.shape), dtype))

    # get_variable, after custom getters and with the full name, ends here.
    def _get_single_variable(
        self,
        name,
        shape=None,
        dtype=tf.float32,
        initializer=None,
        regularizer=None,
        partition_info=None,
        reuse=None,
        trainable=None,
        collections=None,
        caching_device=None,
        validate_shape=True,
        use_resource=None,
        constraint=None,
        synchronization=tf.VariableSynchronization.AUTO,
        aggregation=tf.VariableAggregation.NONE,
    ):
        # Slots, such as a moving average's, are asked for as "" in a scope of their own.
        name = name.removesuffix("/")
        call = _calls.get()[-1]
        if name in call.asked:
            self._check_reuse(name, reuse)
        if name not in self.variables:
            if reuse is True:
                raise ShimError(
                    f"Variable {name} does not exist in {self._owner_text()}, and its variable "
                    "scope has reuse=True.",
                    next_step="make it first, or use reuse=tf.compat.v1.AUTO_REUSE; two layers "
                    "never share a variable by name.",
                )
            self._create(name, shape, dtype, initializer, trainable, constraint, aggregation)
        self._check_shape(name, shape)
        call.asked.add(name)
        if name in call.variables:
            return call.variables[name]
        variable = call.variables[name] = self._handed[name]
        v1.add_to_collections(collections or [v1.GraphKeys.GLOBAL_VARIABLES], variable)
        if trainable:
            v1.add_to_collection(v1.GraphKeys.TRAINABLE_VARIABLES, variable)
        if regularizer is not None:
            self.add_regularizer(variable, regularizer)
            self._collect_regularization_loss(name, regularizer)
        return variable

    def _get_partitioned_variable(self, name, *args, **kwargs):
        raise ShimError(
            f"Variable {name} is asked for in parts (partitioner=), which Keras 3 does not have.",
            next_step="drop the partitioner, and use tf.distribute or keras.distribution to spread "
            "a variable; a checkpoint that was saved in parts still loads whole.",
        )

    def add_regularizer(self, variable, regularizer: Callable) -> None:
        """Makes `regularizer(variable)` one of the owner's losses.

        As in TF1 one that returns None, such as slim.l2_regularizer(0.0), makes no loss. Under
        this name TensorFlow's legacy layers look for it too.
        """
        if regularizer(tf.convert_to_tensor(variable)) is None:
            return
        name = next(name for name, handed in self._handed.items() if handed is variable)
        self.regularizers[name] = regularizer
        if isinstance(self._owner, keras.layers.Layer):
            self.variables[name].regularizer = _Regularizer(regularizer)

    def _create(self, name, shape, dtype, initializer, trainable, constraint, aggregation) -> None:
        self._check_that_it_may_be_made(name)
        shape, dtype, initializer = self._resolve(name, shape, dtype, initializer)
        if _initializers_are_skipped.get():
            self._skipped[name] = initializer
            initializer = _untouched_memory
        stored_as = self._stored_dtype(dtype)
        with outside_of_any_graph(), v1.variable_creator_scope(_named(name)):
            if isinstance(self._owner, keras.layers.Layer):
                variable = add_weight(
                    self._owner,
                    name=name.replace("/", "."),  # Keras keeps '/' for its own paths
                    shape=shape,
                    initializer=lambda shape, dtype: initializer(shape, tf.as_dtype(dtype)),
                    dtype=stored_as.name,
                    trainable=trainable is not False,
                    constraint=None if constraint is None else _Constraint(constraint),
                    **_keras_aggregation(aggregation),
                )
                held = variable._value
            else:
                variable = held = tf.Variable(
                    lambda: initializer(shape, dtype),
                    trainable=trainable is not False,
                    dtype=dtype,
                    constraint=constraint,
                    aggregation=aggregation,
                )
        _track(self._owner, name, held)
        self.variables[name] = variable
        casts = stored_as != dtype
        self._handed[name] = autocast_variable.create_autocast_variable(held) if casts else held

    def _resolve(self, name, shape, dtype, initializer):
        """Shape, dtype and a function (shape, dtype) -> initial value, by TF1's defaults."""
        if initializer is None:
            if shape is None:
                raise ShimError(f"Variable {name} has neither a shape nor an initializer.")
            initializer, _ = self._get_default_initializer(name, tf.TensorShape(shape), dtype)
        if inspect.isclass(initializer):
            initializer = initializer()
        if not callable(initializer) or shape is None:
            value = _static_value(name, initializer)
            return tuple(value.shape), value.dtype, lambda shape, dtype: tf.cast(value, dtype)
        shape = tf.TensorShape(shape)
        if not shape.is_fully_defined():
            raise ShimError(
                f"The shape of variable {name} is not fully known.",
                received=f"shape {shape}",
                next_step="call the layer on inputs whose last dimension is known.",
            )
        draw = initializer
        return tuple(shape), tf.as_dtype(dtype), lambda shape, dtype: draw(shape, dtype=dtype)

    def _stored_dtype(self, asked: tf.DType) -> tf.DType:
        """Under a mixed policy a variable asked for in the compute dtype is stored in the
        policy's variable dtype; one asked for in any other dtype is what was asked for."""
        policy = getattr(self._owner, "dtype_policy", None)
        if policy is not None and asked.name == policy.compute_dtype:
            return tf.as_dtype(policy.variable_dtype)
        return asked

    def _check_that_it_may_be_made(self, name) -> None:
        if name in self.layers:
            raise ShimError(
                f"{name!r} names a layer of {self._owner_text()}, and a variable is asked for by "
                "it too.",
                next_step="give the variable another name.",
            )
        call = _calls.get()[-1]
        if not call.is_first:
            raise ShimError(
                f"Variable {name} is new, in a later call of {self._owner_text()}. Keras has built "
                "it by then: optimizers and files know the variables of the first call.",
                next_step="make the same variables at every call, whatever `training` and the "
                "other arguments say; leave unused what a call does not need.",
            )
        if _is_inside_a_function(v1.get_default_graph(), call.graph):
            raise ShimError(
                f"Variable {name} is asked for inside a tf.function that {self._owner_text()} "
                "calls. There TF1's variable scopes start anew, and variables would be made again "
                "at every trace.",
                next_step="take the tf.function away: the decorated method is compiled as a whole.",
            )

    def _check_reuse(self, name, reuse) -> None:
        if reuse is False:
            raise ShimError(
                f"Variable {name} already exists: it is made twice in one call of "
                f"{self._owner_text()}.",
                next_step="give the second one another name, or set reuse=True or "
                "reuse=tf.compat.v1.AUTO_REUSE in its variable scope.",
            )

    def _check_shape(self, name, shape) -> None:
        there = tf.TensorShape(self.variables[name].shape)
        if shape is not None and not tf.TensorShape(shape).is_compatible_with(there):
            raise ShimError(
                f"Variable {name} of {self._owner_text()} has shape {there}, and is asked for "
                f"with shape {tf.TensorShape(shape)}.",
                next_step="inputs of this size need variables of another shape: make another "
                "layer for them.",
            )

    def _collect_regularization_loss(self, name, regularizer) -> None:
        with v1.name_scope(f"{name}/Regularizer/"):
            loss = regularizer(tf.convert_to_tensor(self.variables[name]))
        if loss is not None:
            v1.add_to_collection(v1.GraphKeys.REGULARIZATION_LOSSES, loss)

    def _owner_text(self) -> str:
        return f"{type(self._owner).__name__} {getattr(self._owner, 'name', '')!r}"


class _StoreOfTheCall(variable_scope._VariableStore):
    """Stands in a graph as its variable store, for whichever decorated method is running."""

    def __init__(self, fallback: variable_scope._VariableStore | None) -> None:
        super().__init__()
        self._fallback = fallback or variable_scope._VariableStore()

    def get_variable(self, *args, **kwargs):
        return self._current().get_variable(*args, **kwargs)

    def add_regularizer(self, variable, regularizer: Callable) -> None:
        store = self._current()
        if isinstance(store, VariableStore):
            store.add_regularizer(variable, regularizer)

    def _current(self) -> variable_scope._VariableStore:
        calls = _calls.get()
        return calls[-1].store if calls else self._fallback


def _getter_that_comes_back(call: _Call) -> Callable:
    """A custom getter that knows the call though it is over.

    `tf.recompute_grad` runs TF1 code once more where the gradient is computed, within the same
    variable scope but in a graph that knows nothing of the call: without this, on variables of
    its own.
    """

    def get(getter, name, *args, **kwargs):
        calls = _calls.get()
        if calls and calls[-1].store is call.store:
            return getter(name, *args, **kwargs)
        again = _Call(call.store, call.method, v1.get_default_graph(), is_first=False)
        token = _calls.set((*calls, again))
        try:
            return call.store.get_variable(name, *args, **kwargs)
        finally:
            _calls.reset(token)

    return get


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


def add_weight(layer: keras.layers.Layer, **arguments) -> keras.Variable:
    """`layer.add_weight`, also where the layer is built."""
    # Keras locks the tracker of a layer that is built, which happens before its first call.
    was_locked, layer._tracker.locked = layer._tracker.locked, False
    try:
        return layer.add_weight(**arguments)
    finally:
        layer._tracker.locked = was_locked


def _untouched_memory(shape, dtype) -> tf.Tensor:
    return tf.raw_ops.Empty(shape=shape, dtype=dtype, init=False)


def _keras_aggregation(aggregation: tf.VariableAggregation) -> dict[str, str]:
    # Keras before 3.8 has no name for the default, which is "none".
    none = aggregation == tf.VariableAggregation.NONE
    return {} if none else {"aggregation": aggregation.name.lower()}


def _track_layer(owner, attribute: str, layer: keras.layers.Layer) -> None:
    if not isinstance(owner, keras.layers.Layer):
        setattr(owner, attribute, layer)
        return
    was_locked, owner._tracker.locked = owner._tracker.locked, False
    try:
        setattr(owner, attribute, layer)
    finally:
        owner._tracker.locked = was_locked


def _as_attribute(name: str) -> str:
    return re.sub(r"[^0-9A-Za-z]", "_", name)


def _is_inside_a_function(graph: tf.Graph, call_graph: tf.Graph) -> bool:
    """Whether a tf.function, other than a branch or loop body, lies between the two graphs."""
    while graph is not call_graph and isinstance(graph, func_graph.FuncGraph):
        if not isinstance(graph, _CONTROL_FLOW):
            return True
        graph = graph.outer_graph
    return False


class _Tracked(tf.Module):
    """Where `tf.train.Checkpoint` and SavedModel find an object's variables: by TF1 name, and at
    the path at which TensorFlow's own decorator kept them."""

    def __init__(self) -> None:
        super().__init__(name="tf1_style_var_store")
        self._vars: dict[str, tf.Variable] = {}


def _track(owner, name: str, variable: tf.Variable) -> None:
    _tracked(owner)._vars[name] = variable


def _tracked(owner) -> _Tracked:
    if not hasattr(owner, "_tf1_style_var_store"):
        owner._tf1_style_var_store = _Tracked()
    return owner._tf1_style_var_store


def _show_weights(module: tf.Module, layers) -> None:
    """Makes the weights of Keras layers some of `module.variables`, which looks into modules
    alone. Past __setattr__: the layers are attributes, and saved as such."""
    weights = [weight._value for layer in layers for weight in layer.weights]
    _tracked(module).__dict__["_weights_of_layers"] = weights


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


def _static_value(name: str, initializer) -> tf.Tensor:
    """The value that is given in an initializer's place, or that a function of nothing gives."""
    with tf.init_scope():
        value = initializer() if callable(initializer) else initializer
        if tf.is_tensor(value) and not hasattr(value, "numpy"):
            static = tf.get_static_value(value)
            if static is None:
                raise ShimError(
                    f"The initial value of variable {name} is computed in the graph.",
                    next_step="pass an initializer (a function of shape and dtype) or an array.",
                )
            value = static
        return tf.convert_to_tensor(value)
