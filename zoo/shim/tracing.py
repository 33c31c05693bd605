"""A method traced once for each input signature, then called as a compiled function."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator

import tensorflow as tf
from tensorflow.python.keras.mixed_precision import autocast_variable
from tensorflow.python.ops import variable_scope

from zoo.errors import ShimError
from zoo.shim import freezing
from zoo.shim.variables import outside_of_any_graph

v1 = tf.compat.v1


class TracedMethod:
    """Calls `method` through one compiled function for each signature of its arguments.

    Two calls have the same signature if their tensors agree in dtype and in shape, and
    everything else that is passed is equal. Batch sizes may differ: the second one that
    is met leads to a trace with an unknown first dimension, which serves all others.

    Args:
        method: a function of nested structures of tensors and Python values.
        compute_dtype: what `get_variable` means by no dtype ("bfloat16" under a
            mixed policy); None for float32.
    """

    def __init__(self, method: Callable, compute_dtype: str | None) -> None:
        self._method = method
        self._compute_dtype = tf.as_dtype(compute_dtype or "float32")
        self._traces: dict[tuple, dict[tuple, Callable]] = {}
        self._lock = threading.RLock()

    def __call__(self, args: tuple, kwargs: dict, *, frozen: bool):
        """Calls the method; `frozen` keeps batch norm from updating and using batch statistics."""
        outer_scope = v1.get_variable_scope().name
        if tf.distribute.has_strategy() and tf.distribute.get_replica_context() is not None:
            # Replicas meet in the updates of batch norm, and cannot from inside a function.
            return self._run(args, kwargs, outer_scope, frozen)
        if tf.config.functions_run_eagerly():
            with _collections_of_its_own(v1.get_default_graph()):
                return self._run(args, kwargs, outer_scope, frozen)
        leaves = [_to_tensor(leaf) for leaf in tf.nest.flatten((args, kwargs))]
        is_tensor = [_is_tensor(leaf) for leaf in leaves]
        tensors = [leaf for leaf, yes in zip(leaves, is_tensor, strict=True) if yes]
        constants = [
            _hashable(leaf) for leaf, yes in zip(leaves, is_tensor, strict=True) if not yes
        ]
        specs = [tf.type_spec_from_value(tensor) for tensor in tensors]
        # What is traced must not hold on to this call's tensors, and to the graph they are in.
        structure = tf.nest.map_structure(lambda _: ".", (args, kwargs))
        python_leaves = [None if yes else leaf for leaf, yes in zip(leaves, is_tensor, strict=True)]

        def body(*tensors):
            given = iter(tensors)
            filled = [
                next(given) if yes else leaf
                for leaf, yes in zip(python_leaves, is_tensor, strict=True)
            ]
            inner_args, inner_kwargs = tf.nest.pack_sequence_as(structure, filled)
            _forget_collections(v1.get_default_graph())
            return self._run(inner_args, inner_kwargs, outer_scope, frozen)

        key = (
            str(structure),
            tuple(constants),
            tuple(_without_batch(spec) for spec in specs),
            outer_scope,
            frozen,
            _strategy(),
        )
        with self._lock:
            function = self._find_or_trace(self._traces.setdefault(key, {}), specs, body)
        return function(*tensors)

    def _find_or_trace(
        self, traces: dict[tuple, Callable], specs: list, body: Callable
    ) -> Callable:
        batches = tuple(_batch(spec) for spec in specs)
        for served, function in traces.items():
            if all(b in (None, a) for a, b in zip(batches, served, strict=True)):
                return function
        if traces:
            some_batch_differs = [
                len({batch, *(served[i] for served in traces)}) > 1
                for i, batch in enumerate(batches)
            ]
            relaxed = [
                _with_any_batch(spec) if differs else spec
                for spec, differs in zip(specs, some_batch_differs, strict=True)
            ]
            # Code that needs the batch size in Python cannot be traced without it.
            with contextlib.suppress(TypeError, ValueError):
                function = traces[tuple(_batch(spec) for spec in relaxed)] = _trace(body, relaxed)
                return function
        function = traces[batches] = _trace(body, specs)
        return function

    def _run(self, args, kwargs, outer_scope, frozen):
        with (
            _fresh_variable_scope(outer_scope, self._compute_dtype),
            autocast_variable.enable_auto_cast_variables(self._compute_dtype),
            freezing.batch_norm_is_frozen(frozen),
        ):
            return self._method(*args, **kwargs)


def _trace(body: Callable, specs: list) -> Callable:
    # So that the trace, and what Keras layers inside it make, outlive whoever asked for it.
    with outside_of_any_graph():
        function = tf.function(body, autograph=False)
        try:
            return function.get_concrete_function(*specs)
        except ValueError as error:
            if "only supports singleton tf.Variables" not in str(error):
                raise
            raise ShimError(
                "A tf.Variable is made inside a decorated method, anew at each trace of it.",
                next_step="use tf.compat.v1.get_variable, or make it in __init__ as an attribute.",
            ) from error


@contextlib.contextmanager
def _fresh_variable_scope(outer: str, dtype: tf.DType) -> Iterator[None]:
    """Numbering of default scope names starts anew, so names are the same at every call; a
    decorated layer called inside another's variable scope goes on in that scope."""
    store = variable_scope.get_variable_scope_store()  # each thread has its own
    before = store.current_scope, store.variable_scopes_count
    store.current_scope, store.variable_scopes_count = variable_scope.VariableScope(False), {}
    store.current_scope.set_dtype(dtype)
    try:
        if not outer:
            yield
        else:
            with v1.variable_scope(outer, dtype=dtype, auxiliary_name_scope=False):
                yield
    finally:
        store.current_scope, store.variable_scopes_count = before


def _forget_collections(graph: tf.Graph) -> None:
    # A function's graph starts with what the graph around it had collected.
    kept = (variable_scope._VARSTORE_KEY, variable_scope._VARSCOPESTORE_KEY)
    for key in graph.get_all_collection_keys():
        if key not in kept:
            graph.clear_collection(key)


@contextlib.contextmanager
def _collections_of_its_own(graph: tf.Graph) -> Iterator[None]:
    """In eager mode collections live in the default graph: keep one call's from the next."""
    before = {key: list(graph.get_collection_ref(key)) for key in graph.get_all_collection_keys()}
    _forget_collections(graph)
    try:
        yield
    finally:
        _forget_collections(graph)
        for key, items in before.items():
            graph.get_collection_ref(key)[:] = items


def _strategy() -> int | None:
    """Variables are read otherwise under a tf.distribute strategy: a trace of its own."""
    return id(tf.distribute.get_strategy()) if tf.distribute.has_strategy() else None


def _to_tensor(leaf):
    import numpy as np

    return tf.convert_to_tensor(leaf) if isinstance(leaf, np.ndarray | np.generic) else leaf


def _is_tensor(leaf) -> bool:
    return isinstance(leaf, tf.Tensor | tf.__internal__.CompositeTensor)


def _hashable(leaf):
    try:
        hash(leaf)
    except TypeError:
        return id(leaf)
    return type(leaf), leaf


def _batch(spec):
    shape = getattr(spec, "shape", None)
    return shape[0] if shape is not None and shape.rank else None


def _without_batch(spec):
    return _with_any_batch(spec) if isinstance(spec, tf.TensorSpec) else spec


def _with_any_batch(spec):
    if not isinstance(spec, tf.TensorSpec) or not spec.shape.rank:
        return spec
    return tf.TensorSpec([None, *spec.shape[1:]], spec.dtype)
