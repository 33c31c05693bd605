"""The graphs of a layer that runs TF1 code, and how one is walked backwards from its outputs."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence

import keras
import numpy as np
import tensorflow as tf
from tensorflow.python.framework import func_graph

from zoo.shim import tf1_variables

_CALLS = ("PartitionedCall", "StatefulPartitionedCall")
_SAME_VALUE = ("Identity", "IdentityN", "Cast", "CheckNumerics", "EnsureShape", "Snapshot")
# What TensorFlow's own search for constants does not look through.
_ARITHMETIC = {
    "Add": np.add,
    "AddV2": np.add,
    "Sub": np.subtract,
    "Mul": np.multiply,
    "RealDiv": np.divide,
    "Neg": np.negative,
    "Sqrt": np.sqrt,
    "Identity": np.asarray,
}


class TracedLayer:
    """The graph that a layer's call builds, with the functions in it opened up.

    A tensor is looked at as `source` gives it: not what a function was handed or returned,
    but the tensor that was handed in, or that was returned in there.

    Attributes:
        inputs: the placeholders that stand for the layer's inputs.
        outputs: the structure that the layer returned.
    """

    def __init__(self, layer: keras.layers.Layer, specs: Sequence[tf.TensorSpec], training: bool):
        graph = func_graph.FuncGraph("traced")
        with graph.as_default(), _trainable(layer):
            self.inputs = [tf.compat.v1.placeholder(s.dtype, s.shape) for s in specs]
            given = self.inputs[0] if len(specs) == 1 else self.inputs
            self.outputs = layer(given, training=training)
            layer._clear_losses()
        self._inside: dict[tuple[int, int], tf.Tensor] = {}  # (call op, index) -> returned there
        self._outside: dict[int, tf.Tensor] = {}  # placeholder in a function -> handed in
        self._graphs = [graph]
        self._open(graph)
        names = _variable_names(layer)
        self._variables = {
            id(placeholder): names[id(handle)]
            for handle, placeholder in graph.captures
            if id(handle) in names
        }

    def _open(self, graph: func_graph.FuncGraph) -> None:
        for op in graph.get_operations():
            if op.type not in _CALLS:
                continue
            inner = graph._get_function(op.get_attr("f").name).graph
            if inner in self._graphs:
                continue  # called twice, from code that made its own tf.function: not opened
            self._graphs.append(inner)
            self._outside |= {
                id(there): here for there, here in zip(inner.inputs, op.inputs, strict=True)
            }
            self._inside |= {(id(op), i): tensor for i, tensor in enumerate(inner.outputs)}
            self._open(inner)

    def source(self, tensor: tf.Tensor) -> tf.Tensor:
        """The tensor itself, across the borders of functions."""
        while True:
            if id(tensor) in self._outside:
                tensor = self._outside[id(tensor)]
            elif (id(tensor.op), tensor.value_index) in self._inside:
                tensor = self._inside[id(tensor.op), tensor.value_index]
            else:
                return tensor

    def inputs_of(self, op: tf.Operation) -> list[tf.Tensor]:
        return [self.source(tensor) for tensor in op.inputs]

    def operations(
        self, outputs: Sequence[tf.Tensor | tf.Operation], after: tf.Tensor | None = None
    ) -> Iterator[tf.Operation]:
        """What the outputs are computed by, each operation after those it needs.

        Args:
            after: a tensor that is given: what it is computed by is left out.
        """
        seen: set[int] = set()
        todo = [(self._operation(output), False) for output in reversed(outputs)]
        while todo:
            op, inputs_are_done = todo.pop()
            if inputs_are_done:
                yield op
            elif id(op) not in seen:
                seen.add(id(op))
                todo.append((op, True))
                needed = (tensor for tensor in self.inputs_of(op) if tensor is not after)
                todo += [(tensor.op, False) for tensor in reversed(list(needed))]

    def _operation(self, output: tf.Tensor | tf.Operation) -> tf.Operation:
        return output if isinstance(output, tf.Operation) else self.source(output).op

    def depending_on(self, tensors: Sequence[tf.Tensor]) -> list[tf.Operation]:
        """Every operation that one of the tensors has a part in, in the graph's order."""
        found = {id(tensor) for tensor in tensors}
        operations = []
        for graph in self._graphs:
            for op in graph.get_operations():
                if op.type not in _CALLS and any(id(t) in found for t in self.inputs_of(op)):
                    operations.append(op)
                    found |= {id(tensor) for tensor in op.outputs}
        return operations

    def all_operations(self, kind: str) -> list[tf.Operation]:
        """Every operation of one type, also those that no output needs, such as updates."""
        return [op for graph in self._graphs for op in graph.get_operations() if op.type == kind]

    def variable(self, tensor: tf.Tensor) -> str | None:
        """The TF1 name of the variable whose value, or handle, the tensor is."""
        tensor = self.source(tensor)
        while tensor.op.type in ("ReadVariableOp", *_SAME_VALUE):
            tensor = self.source(tensor.op.inputs[0])
        return self._variables.get(id(tensor))

    def constant(self, tensor: tf.Tensor) -> np.ndarray | None:
        """The value of a tensor that is the same at every call."""
        tensor = self.source(tensor)
        value = tf.get_static_value(tensor)
        compute = _ARITHMETIC.get(tensor.op.type)
        if value is None and compute is not None:
            parts = [self.constant(part) for part in tensor.op.inputs]
            value = None if any(part is None for part in parts) else compute(*parts)
        return value

    def plain(self, tensor: tf.Tensor) -> tf.Tensor:
        """The tensor behind operations that leave values as they are."""
        tensor = self.source(tensor)
        while tensor.op.type in _SAME_VALUE:
            tensor = self.source(tensor.op.inputs[0])
        return tensor


@dataclasses.dataclass
class _trainable:
    """A frozen layer traced as if it was not: how it trains is to be read off the graph."""

    layer: keras.layers.Layer

    def __enter__(self) -> None:
        self._before, self.layer._trainable = self.layer._trainable, True

    def __exit__(self, *_) -> None:
        self.layer._trainable = self._before


def variables_of(layer: keras.layers.Layer) -> Mapping[str, keras.Variable]:
    """TF1 name -> variable; weights that have no TF1 name by their Keras path."""
    variables = dict(tf1_variables(layer))
    known = {id(variable) for variable in variables.values()}
    others = [weight for weight in layer.weights if id(weight) not in known]
    return {**variables, **{weight.path: weight for weight in others}}


def _variable_names(layer) -> dict[int, str]:
    return {id(handle_of(variable)): name for name, variable in variables_of(layer).items()}


def handle_of(variable: keras.Variable | tf.Variable) -> tf.Tensor:
    """What a graph refers to a variable by."""
    return getattr(variable, "_value", variable).handle
