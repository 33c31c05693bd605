"""`DeterministicRandomTestTool`: the same random numbers in a TF1 graph and in TensorFlow 2.

A stateful random op draws from a Philox generator that starts at a pair of seeds,
which TensorFlow asks `random_seed.get_seed` for when the op is made. Within its scope
the tool answers instead, by the order of the ops alone. Keras 3 draws by stateless ops
with seeds of its own; within the scope it draws by the stateful ones.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator
from unittest import mock

import keras
import numpy as np
import tensorflow as tf
from keras.src import backend as keras_backend
from keras.src.backend.tensorflow import random as keras_random
from tensorflow.python.eager import context
from tensorflow.python.framework import func_graph, random_seed
from tensorflow.python.ops import control_flow_util
from tensorflow.python.ops import control_flow_v2_func_graphs as control_flow

from zoo.errors import ArgumentError, ShimError, nearest_names

_MODES = ("constant", "num_random_ops")

_CONTROL_FLOW = (
    control_flow.CondBranchFuncGraph,
    control_flow.WhileCondFuncGraph,
    control_flow.WhileBodyFuncGraph,
)

# The tools whose scopes are open, in all threads; the last one answers.
_open: list[DeterministicRandomTestTool] = []
_replacements = contextlib.ExitStack()
_lock = threading.RLock()


class DeterministicRandomTestTool:
    """Makes random ops draw the same numbers whatever the mode of execution.

    For tests that a migrated model computes what the TF1 graph did. Within `scope()` each
    random op draws what a TF1 graph's op with its seeds would in its first run by a
    session: in a TF1 graph, in eager code, in a `tf.function` and in methods with
    `track_tf1_style_variables`; by `tf.random.*`, TF1 and tf-slim initializers and dropout,
    and by Keras 3's initializers and Dropout layers. A graph or a function that runs again
    draws on from there, in TF2 as in TF1. Seeds given to ops and initializers count for
    nothing.

    In mode "constant" every op has the same seeds, so that the order of ops does not
    matter, and ops of the same kind and shape draw the same. In mode "num_random_ops" the
    op's seed is the number of random ops before it in the tool's scopes: a stricter test,
    since it sees whether both programs draw in the same order.

    Not the same numbers: code compiled by XLA, which has a generator of its own (refused
    where the tool can see it), stateless ops, `tf.random.Generator`, and
    `keras.random.beta` and `.binomial`, which TF1 has no stateful ops for (they still
    follow the tool's seeds).

    Keras builds a layer that has sublayers and no `build()` by a symbolic call, before it
    calls it. Within the scope it is built in the call itself where that is eager, so that
    initial values and dropout are drawn in the order of the code.

    The scope holds for the whole process: random ops of other threads get the tool's
    seeds and are counted too. Scopes may be nested, and the innermost tool answers; a tool
    may be entered again, and counts on.

    Source: `tf.compat.v1.keras.utils.DeterministicRandomTestTool` of TensorFlow 2.8-2.15
    and TensorFlow's guide "Validate correctness and numerical equivalence".

    Args:
        seed: the first seed of every op.
        mode: "constant" or "num_random_ops".

    Raises:
        ArgumentError: another mode, or a seed that is not a whole number.

    Example:
        >>> with DeterministicRandomTestTool(mode="num_random_ops").scope():
        ...     in_eager = tf.random.uniform([3])
        >>> with DeterministicRandomTestTool(mode="num_random_ops").scope():
        ...     with tf.Graph().as_default(), tf.compat.v1.Session() as session:
        ...         in_graph = session.run(tf.random.uniform([3]))  # the same numbers
    """

    def __init__(self, seed: int = 42, mode: str = "constant") -> None:
        if mode not in _MODES:
            raise ArgumentError(
                "DeterministicRandomTestTool has no such mode.",
                received=f"mode={mode!r}",
                accepted=" or ".join(map(repr, _MODES)),
                nearest=nearest_names(str(mode), _MODES),
            )
        self._seed = _whole_number("seed", seed)
        self._mode = mode
        self._operation_seed = 0
        self._used: set[int] = set()

    @property
    def operation_seed(self) -> int:
        """The seed of the next random op: in mode "num_random_ops" the number of ops so far,
        unless it was set. Set it where two programs draw in different order."""
        return self._operation_seed

    @operation_seed.setter
    def operation_seed(self, value: int) -> None:
        self._operation_seed = _whole_number("operation_seed", value)

    @contextlib.contextmanager
    def scope(self) -> Iterator[None]:
        """Within it, random ops have the tool's seeds; also after an exception nothing of it
        stays behind."""
        with _lock:
            if not _open:
                _replace_what_draws()
            _open.append(self)
        _restart_generators()
        try:
            with tf.variable_creator_scope(_made_in_one_trace):
                yield
        finally:
            with _lock:
                # Of two threads, the one that entered first may leave first.
                del _open[len(_open) - 1 - _open[::-1].index(self)]
                if not _open:
                    _replacements.close()
            _restart_generators()

    def _next_seeds(self) -> tuple[int, int]:
        """The pair of seeds of the op that is being made."""
        graph = tf.compat.v1.get_default_graph()
        operation_seed = self._operation_seed
        if tf.executing_eagerly():
            if self._mode == "constant":
                _restart_generators()
        elif control_flow_util.GraphOrParentsInXlaContext(graph):
            raise ShimError(
                "A random op is compiled by XLA, which draws other numbers than TF1 from any seed.",
                next_step="leave jit_compile=True away under DeterministicRandomTestTool.",
            )
        if self._mode == "num_random_ops" and not _is_thrown_away(graph):
            self._count(operation_seed)
        # TensorFlow takes (0, 0) to mean no seed, and has this pair in its place.
        return (self._seed, operation_seed) if self._seed or operation_seed else (0, 2**31 - 1)

    def _count(self, operation_seed: int) -> None:
        if operation_seed in self._used:
            raise ArgumentError(
                f"Operation seed {operation_seed} was used before, by another random op of this "
                "DeterministicRandomTestTool: eager code and TF1 graphs need not draw the same "
                "from a seed that is used twice.",
                received=f"operation_seed={operation_seed}",
                accepted=f"a whole number other than {_spans(self._used)}",
                next_step="operation_seed was set to where the count ran into a seed in use; set "
                f"it to one with room after it ({max(self._used) + 1} or more), or take a new "
                "tool.",
            )
        self._used.add(operation_seed)
        self._operation_seed = operation_seed + 1


def _replace_what_draws() -> None:
    with contextlib.ExitStack() as stack:
        stack.enter_context(mock.patch.object(random_seed, "get_seed", _get_seed))
        stack.enter_context(
            mock.patch.object(
                keras_backend,
                "compute_output_spec",
                _only_of_keras_tensors(keras_backend.compute_output_spec),
            )
        )
        for name, draw in _stateful_draws().items():
            stack.enter_context(mock.patch.object(keras_random, name, draw))
        _replacements.push(stack.pop_all())


def _get_seed(op_seed) -> tuple[int, int]:
    with _lock:
        return _open[-1]._next_seeds()


def _restart_generators() -> None:
    """Eager ops with equal seeds share one generator, which goes on: forget all of them."""
    context.context().clear_kernel_cache()


def _is_thrown_away(graph: tf.Graph) -> bool:
    """Whether ops are made only for their shapes: Keras's symbolic calls."""
    if tf.executing_eagerly():
        return False
    while isinstance(graph, _CONTROL_FLOW):
        graph = graph.outer_graph
    return isinstance(graph, func_graph.FuncGraph) and graph.name.startswith("scratch_graph")


def _made_in_one_trace(next_creator: Callable, **arguments) -> tf.Variable:
    """A `tf.function` that makes variables is traced twice, and its random ops counted twice,
    unless they are made outside of it."""
    graph = tf.compat.v1.get_default_graph()
    if isinstance(graph, func_graph.FuncGraph) and callable(arguments.get("initial_value")):
        arguments["experimental_enable_variable_lifting"] = False
        with tf.init_scope():
            return next_creator(**arguments)
    return next_creator(**arguments)


def _only_of_keras_tensors(compute_output_spec: Callable) -> Callable:
    """Keras asks for the spec of a call on values only to build sublayers before that call, and
    leaves the building to the call if that fails."""

    def computed(fn, *args, **kwargs):
        if any(isinstance(leaf, keras.KerasTensor) for leaf in tf.nest.flatten((args, kwargs))):
            return compute_output_spec(fn, *args, **kwargs)
        raise NotImplementedError("DeterministicRandomTestTool: sublayers are built in the call.")

    return computed


def _stateful_draws() -> dict[str, Callable]:
    """`keras.random`'s functions on the TensorFlow backend, by TF1's stateful ops."""

    def normal(shape, mean=0.0, stddev=1.0, dtype=None, seed=None):
        return tf.random.normal(shape, mean, stddev, dtype or keras.config.floatx())

    def truncated_normal(shape, mean=0.0, stddev=1.0, dtype=None, seed=None):
        return tf.random.truncated_normal(shape, mean, stddev, dtype or keras.config.floatx())

    def uniform(shape, minval=0.0, maxval=1.0, dtype=None, seed=None):
        dtype = dtype or keras.config.floatx()
        return tf.random.uniform(shape, tf.cast(minval, dtype), tf.cast(maxval, dtype), dtype)

    def randint(shape, minval, maxval, dtype="int32", seed=None):
        drawn_as = dtype if dtype in ("int32", "int64") else "int64"
        bounds = tf.cast(minval, drawn_as), tf.cast(maxval, drawn_as)
        return tf.cast(tf.random.uniform(shape, *bounds, drawn_as), dtype)

    def categorical(logits, num_samples, dtype="int64", seed=None):
        return tf.cast(tf.random.categorical(logits, num_samples), dtype)

    def gamma(shape, alpha, dtype=None, seed=None):
        alpha = tf.cast(alpha, dtype or keras.config.floatx())
        if alpha.shape.rank == 0:
            return tf.random.gamma(shape, alpha, dtype=alpha.dtype)
        return tf.random.gamma([], tf.broadcast_to(alpha, shape), dtype=alpha.dtype)

    def shuffle(x, axis=0, seed=None):
        return tf.gather(x, tf.random.shuffle(tf.range(tf.shape(x)[axis])), axis=axis)

    def dropout(inputs, rate, noise_shape=None, seed=None):
        if rate in (0.0, 1.0):
            return tf.zeros_like(inputs) if rate else inputs
        if noise_shape is not None:
            sizes = tf.shape(inputs)
            noise_shape = [sizes[i] if n is None else n for i, n in enumerate(noise_shape)]
        return tf.nn.dropout(inputs, rate, noise_shape)

    draws = [normal, truncated_normal, uniform, randint, categorical, gamma, shuffle, dropout]
    seeded = [_with_seed(keras_random.beta), _with_seed(keras_random.binomial)]
    return {draw.__name__: draw for draw in draws + seeded}


def _with_seed(draw: Callable) -> Callable:
    def drawn(*args, seed=None, **kwargs):
        first, second = _get_seed(None)
        return draw(*args, seed=(first * 1_000_003 + second) % 2**31, **kwargs)

    drawn.__name__ = draw.__name__
    return drawn


def _whole_number(name: str, value) -> int:
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < 0:
        raise ArgumentError(
            f"DeterministicRandomTestTool's {name} is no seed.",
            received=f"{name}={value!r}",
            accepted="a whole number, 0 or more",
        )
    return int(value)


def _spans(numbers: set[int]) -> str:
    """{0, 1, 2, 7} -> "0-2, 7"."""
    spans: list[list[int]] = []
    for number in sorted(numbers):
        if spans and number == spans[-1][1] + 1:
            spans[-1][1] = number
        else:
            spans.append([number, number])
    return ", ".join(str(a) if a == b else f"{a}-{b}" for a, b in spans)
