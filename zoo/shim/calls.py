"""The calls of decorated methods that are running, and how TF1 code in one comes to its store."""

from __future__ import annotations

import contextlib
import contextvars
import dataclasses
from collections.abc import Callable, Iterator

import tensorflow as tf
from tensorflow.python.framework import func_graph
from tensorflow.python.ops import control_flow_v2_func_graphs as control_flow
from tensorflow.python.ops import variable_scope

v1 = tf.compat.v1

_CONTROL_FLOW = (
    control_flow.CondBranchFuncGraph,
    control_flow.WhileCondFuncGraph,
    control_flow.WhileBodyFuncGraph,
)


@dataclasses.dataclass(frozen=True)
class Call:
    """A decorated method that is running.

    Attributes:
        store: its object's.
        method: its name.
        graph: the graph that it runs in.
        is_first: whether the method has never run to its end before.
        asked: the names of the variables that it has asked for so far.
        variables: those that are in the graph's collections, by name.
    """

    store: variable_scope._VariableStore
    method: str
    graph: tf.Graph
    is_first: bool
    asked: set[str] = dataclasses.field(default_factory=set)
    variables: dict[str, object] = dataclasses.field(default_factory=dict)

    def is_inside_a_function(self) -> bool:
        """Whether a tf.function, other than a branch or loop body, lies between the default graph
        and the call's."""
        graph = v1.get_default_graph()
        while graph is not self.graph and isinstance(graph, func_graph.FuncGraph):
            if not isinstance(graph, _CONTROL_FLOW):
                return True
            graph = graph.outer_graph
        return False


# Innermost last. Each thread has its own, since under MirroredStrategy one thread for each replica
# runs the same method, in turn, in the same graph.
_calls: contextvars.ContextVar[tuple[Call, ...]] = contextvars.ContextVar("calls", default=())


def current_call() -> Call | None:
    """The innermost decorated method that is running."""
    calls = _calls.get()
    return calls[-1] if calls else None


@contextlib.contextmanager
def begun(call: Call) -> Iterator[None]:
    """The call runs, in the default graph: its store is the one that `get_variable` asks."""
    asked = v1.get_collection_ref(variable_scope._VARSTORE_KEY)
    if not (asked and isinstance(asked[0], _StoreOfTheCall)):
        asked[:] = [_StoreOfTheCall(asked[0] if asked else None)]
    v1.get_variable_scope().set_custom_getter(_getter_that_comes_back(call))
    with _running(call):
        yield


@contextlib.contextmanager
def continued(method: str) -> Iterator[None]:
    """For a decorated method that another one of the same object calls.

    It goes on in the same graph, with the same collections. `super().call()` goes on in the
    same call; a method of another name is a call of its own, with TF1's rules of reuse and
    the numbers of default names starting anew, so that it makes what it makes when it is
    called alone.
    """
    call = current_call()
    if call.method == method:
        yield
        return
    scopes = variable_scope.get_variable_scope_store()
    counts, scopes.variable_scopes_count = scopes.variable_scopes_count, {}
    try:
        with _running(dataclasses.replace(call, method=method, asked=set())):
            yield
    finally:
        scopes.variable_scopes_count = counts


@contextlib.contextmanager
def _running(call: Call) -> Iterator[None]:
    token = _calls.set((*_calls.get(), call))
    try:
        yield
    finally:
        _calls.reset(token)


class _StoreOfTheCall(variable_scope._VariableStore):
    """Stands in a graph as its variable store, for whichever decorated method is running."""

    def __init__(self, fallback: variable_scope._VariableStore | None) -> None:
        super().__init__()
        self._fallback = fallback or variable_scope._VariableStore()

    def get_variable(self, *args, **kwargs):
        call = current_call()
        return (call.store if call else self._fallback).get_variable(*args, **kwargs)

    def add_regularizer(self, variable, regularizer: Callable) -> None:
        if call := current_call():
            call.store.add_regularizer(variable, regularizer)


def _getter_that_comes_back(call: Call) -> Callable:
    """A custom getter that knows the call though it is over.

    `tf.recompute_grad` runs TF1 code once more where the gradient is computed, within the same
    variable scope but in a graph that knows nothing of the call: without this, on variables of
    its own.
    """

    def get(getter, name, *args, **kwargs):
        current = current_call()
        if current and current.store is call.store:
            return getter(name, *args, **kwargs)
        with _running(Call(call.store, call.method, v1.get_default_graph(), is_first=False)):
            return call.store.get_variable(name, *args, **kwargs)

    return get
