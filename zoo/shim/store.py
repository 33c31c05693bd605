"""The variables of one decorated object, under their TF1 names.

`tf.compat.v1.get_variable` asks the current variable store for a variable by its
full name. While a decorated method runs, `VariableStore` is that store: it makes
each variable once, through Keras's `add_weight` (or as a `tf.Variable` on a
`tf.Module`), and hands TF1 code the `tf.Variable` behind it.
"""

from __future__ import annotations

import contextlib
import contextvars
import inspect
from collections.abc import Callable, Iterator

import keras
import tensorflow as tf
from tensorflow.python.ops import variable_scope

from zoo.errors import ShimError
from zoo.shim.calls import Call, begun, current_call
from zoo.shim.tracking import show_weights, track_layer
from zoo.shim.variables import Regularizer, make_variable, outside_of_any_graph

v1 = tf.compat.v1

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
        try:
            with begun(Call(self, method, v1.get_default_graph(), is_first)):
                yield
        finally:
            if self.layers and not isinstance(self._owner, keras.layers.Layer):
                show_weights(self._owner, self.layers.values())

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
            track_layer(self._owner, f"_tf1_layer_{len(self.layers)}_{name}", layer)
            self.layers[name] = layer
        return self.layers[name]

    def is_in_use(self) -> bool:
        """Whether the innermost decorated method that is running is the owner's."""
        call = current_call()
        return call is not None and call.store is self

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
        call = current_call()
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
            self.variables[name].regularizer = Regularizer(regularizer)

    def _create(self, name, shape, dtype, initializer, trainable, constraint, aggregation) -> None:
        self._check_that_it_may_be_made(name)
        shape, dtype, initializer = self._resolve(name, shape, dtype, initializer)
        if _initializers_are_skipped.get():
            self._skipped[name] = initializer
            initializer = _untouched_memory
        self.variables[name], self._handed[name] = make_variable(
            self._owner,
            name,
            shape,
            dtype,
            initializer,
            trainable=trainable is not False,
            constraint=constraint,
            aggregation=aggregation,
        )

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

    def _check_that_it_may_be_made(self, name) -> None:
        if name in self.layers:
            raise ShimError(
                f"{name!r} names a layer of {self._owner_text()}, and a variable is asked for by "
                "it too.",
                next_step="give the variable another name.",
            )
        call = current_call()
        if not call.is_first:
            raise ShimError(
                f"Variable {name} is new, in a later call of {self._owner_text()}. Keras has built "
                "it by then: optimizers and files know the variables of the first call.",
                next_step="make the same variables at every call, whatever `training` and the "
                "other arguments say; leave unused what a call does not need.",
            )
        if call.is_inside_a_function():
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


def _untouched_memory(shape, dtype) -> tf.Tensor:
    return tf.raw_ops.Empty(shape=shape, dtype=dtype, init=False)


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
