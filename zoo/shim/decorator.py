"""`track_tf1_style_variables`: TF1-style code as a method of a Keras layer or `tf.Module`."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterator

import keras
import tensorflow as tf

from zoo.errors import ShimError
from zoo.shim import activity, freezing
from zoo.shim.attributes import track_attributes
from zoo.shim.calls import continued
from zoo.shim.store import VariableStore
from zoo.shim.tracing import TracedMethod

_STATE = "_tf1_state"


class _State:
    """What the shim keeps on a decorated object: its variables and its traced methods."""

    def __init__(self, owner) -> None:
        self.store = VariableStore(owner)
        self.methods: dict[Callable, TracedMethod] = {}


def track_tf1_style_variables(method: Callable) -> Callable:
    """Lets TF1-style code run in a method of a Keras 3 layer, model or `tf.Module`.

    Variables that `tf.compat.v1.get_variable` makes inside (so also those of tf-slim
    and `tf.compat.v1.layers`) are made at the first call and reused at every other,
    under TF1's rules of variable scopes, and are tracked under the object's standard
    properties: `weights`, `trainable_variables`, `losses` (the regularizers given to
    `get_variable`, and what layers add in the call). `tf1_variables(obj)` maps their TF1
    names to them.

    The method runs where TF1 code expects to run, in a graph: it is traced once for
    each input signature and value of its Python arguments (`training` among them) and
    then called as a compiled function, from eager code, from a `tf.function` and from
    a Keras functional model alike. With `tf.config.run_functions_eagerly(True)` it
    runs line by line instead. Batch-norm updates need no UPDATE_OPS: they run with
    the call.

    Args:
        method: a method of a `keras.layers.Layer` or `keras.Model` (`call`, as a rule)
            or of a `tf.Module`. Its arguments and results are tensors, numbers, None, or
            nested structures of those.

    Returns:
        The method, decorated.

    Raises:
        ShimError: what is decorated is no method, or, at the call, the object is neither a
            layer nor a module, or the code breaks TF1's rules for variables.

    Example:
        >>> class Dense(keras.layers.Layer):
        ...     @track_tf1_style_variables
        ...     def call(self, inputs):
        ...         with tf.compat.v1.variable_scope("dense"):
        ...             kernel = tf.compat.v1.get_variable("kernel", [inputs.shape[-1], 10])
        ...         return inputs @ kernel
    """
    if inspect.isclass(method) or not callable(method):
        raise _wrong_use(f"{method!r}")
    signature = inspect.signature(method)
    if not signature.parameters:
        raise _wrong_use(f"{method.__name__}(), which takes no self")

    @functools.wraps(method)
    def decorated(self, *args, **kwargs):
        state = _state_of(self)
        if state.store.is_in_use():
            with continued(method.__name__):
                return method(self, *args, **kwargs)
        bound = signature.bind(self, *args, **kwargs)
        bound.apply_defaults()
        traced = state.methods.get(method)
        if traced is None:
            traced = state.methods[method] = TracedMethod(
                _in_store(method, self, state), getattr(self, "compute_dtype", None)
            )
        frozen = freezing.is_frozen() or (
            isinstance(self, keras.layers.Layer) and not self.trainable
        )
        result, losses = traced(bound.args[1:], bound.kwargs, frozen=frozen)
        activity.hand_over(self, losses)
        return result

    return decorated


def tf1_variables(obj) -> dict[str, keras.Variable | tf.Variable]:
    """Full TF1 name (no ":0") -> variable, for a decorated object and all it holds.

    Args:
        obj: a Keras layer or model, or a `tf.Module`, decorated itself or holding
            decorated layers or modules. Variables are there after the first call or build.

    Raises:
        ShimError: two decorated layers inside have a variable of the same name.
    """
    variables: dict = {}
    for state in _states_within(obj):
        for name, variable in state.store.variables.items():
            if variables.get(name, variable) is not variable:
                raise ShimError(
                    f"Two layers of {getattr(obj, 'name', type(obj).__name__)} have a variable "
                    f"named {name}.",
                    next_step="ask tf1_variables() of each layer.",
                )
            variables[name] = variable
    return variables


def regularization_losses(obj) -> list[tf.Tensor]:
    """The loss of each regularizer, as scalar tensors: of those given to `get_variable`, and of
    the Keras layers of `get_or_create_layer`.

    Keras layers have them in `layer.losses`; a `tf.Module` has no such property.
    """
    states = list(_states_within(obj))
    losses = [
        regularizer(tf.convert_to_tensor(state.store.variables[name]))
        for state in states
        for name, regularizer in state.store.regularizers.items()
    ]
    for state in states:
        for layer in state.store.layers.values():
            losses += layer.losses
    return losses


def regularizers(obj) -> dict[str, Callable]:
    """Full TF1 name -> the regularizer that the variable was made with; only of those with one."""
    found: dict[str, Callable] = {}
    for state in _states_within(obj):
        found |= state.store.regularizers
    return found


def runs_tf1_code(obj) -> bool:
    """Whether a Keras layer or `tf.Module`, or something inside it, has a decorated method that
    was called already."""
    return any(True for _ in _states_within(obj))


def run_skipped_initializers(obj, names: list[str]) -> None:
    """Initial values for variables that were made within `skip_initializers()`."""
    for state in _states_within(obj):
        state.store.run_initializers([name for name in names if name in state.store.variables])


def _in_store(method: Callable, owner, state: _State) -> Callable:
    has_run = False

    @functools.wraps(method)
    def run(*args, **kwargs):
        nonlocal has_run
        in_use = state.store.in_use(method.__name__, is_first=not has_run)
        with in_use, activity.collected(owner) as losses:
            result = method(owner, *args, **kwargs)
        if not has_run and isinstance(owner, keras.layers.Layer):
            track_attributes(owner)
        has_run = True
        return result, losses

    return run


def _state_of(obj) -> _State:
    if not isinstance(obj, keras.layers.Layer | tf.Module):
        raise _wrong_use(f"a method called with a {type(obj).__module__}.{type(obj).__name__}")
    state = obj.__dict__.get(_STATE)
    if state is None:
        # Past __setattr__, since neither Keras nor TensorFlow is to track the state itself.
        state = obj.__dict__[_STATE] = _State(obj)
    return state


def _wrong_use(received: str) -> ShimError:
    return ShimError(
        "track_tf1_style_variables decorates methods of Keras layers and tf.Modules.",
        received=received,
        accepted="a method of a keras.layers.Layer, keras.Model or tf.Module",
        next_step="for a plain function there is zoo.wrap.",
    )


def _states_within(obj) -> Iterator[_State]:
    if isinstance(obj, keras.layers.Layer):
        layers = obj._flatten_layers(include_self=True)
        parts = [part for layer in layers for part in (layer, *_modules_of(layer))]
    else:
        parts = (obj, *obj.submodules)
    for part in parts:
        if _STATE in part.__dict__:
            yield part.__dict__[_STATE]


def _modules_of(layer: keras.layers.Layer) -> Iterator[tf.Module]:
    for attribute in list(vars(layer).values()):
        if isinstance(attribute, tf.Module) and not isinstance(attribute, keras.layers.Layer):
            yield from (attribute, *attribute.submodules)
