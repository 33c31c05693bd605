"""From a TF1 graph to nodes: each operation, or group of operations, as the layer it is."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

import tensorflow as tf

from zoo.errors import ConversionError
from zoo.native.graphs import TracedLayer
from zoo.native.nodes import Node

# Values in a graph that say nothing of the data: shapes, and what is drawn at random.
_NOT_DATA = ("Shape", "ShapeN", "Size", "Rank", "ZerosLike", "OnesLike", "StopGradient")

Reader = Callable[["Reading", tf.Operation], "Node | None"]


class Readers:
    """Functions (reading, operation) -> node, by the types of operations that they read.

    One may return None, "not mine": the next one is asked then.

    Example:
        >>> reads = Readers()
        >>> @reads("Relu")
        ... def relu(reading, op): ...
    """

    def __init__(self) -> None:
        self._of_type: dict[str, list[Reader]] = {}

    def __call__(self, *types: str) -> Callable[[Reader], Reader]:
        def register(reader: Reader) -> Reader:
            for kind in types:
                self._of_type.setdefault(kind, []).append(reader)
            return reader

        return register

    def of_type(self, kind: str) -> list[Reader]:
        return self._of_type.get(kind, [])


class Unreadable(Exception):
    """No Keras layer stands for an operation, and why.

    Attributes:
        op: the operation, once that is known.
    """

    op: tf.Operation | None = None

    def __init__(self, why: str) -> None:
        super().__init__(why)
        self.why = why


class Reading:
    """Nodes of the tensors of one traced graph.

    Args:
        graph: the graph.
        inputs: the nodes of its inputs.
        readers: in the order in which they are asked: what reads groups of operations before
            what reads single ones.
    """

    def __init__(
        self, graph: TracedLayer, inputs: Sequence[Node], readers: Sequence[Readers]
    ) -> None:
        self.graph = graph
        self._readers = readers
        self._values: dict[int, Node | Unreadable] = {
            id(tensor): node for tensor, node in zip(graph.inputs, inputs, strict=True)
        }

    def read(self, outputs: Sequence[tf.Tensor]) -> list[Node]:
        """The outputs' nodes.

        Raises:
            ConversionError: an operation on the way has no counterpart in Keras.
        """
        for op in self.graph.operations(outputs):
            self._read_operation(op)
        return [self._read_output(tensor) for tensor in outputs]

    def node(self, tensor: tf.Tensor) -> Node | None:
        """The node of a tensor; None for one that does not depend on the network's input.

        Raises:
            Unreadable: there is none for it.
        """
        value = self._values.get(id(self.graph.source(tensor)))
        if isinstance(value, Unreadable):
            raise value
        return value

    def inputs(self, op: tf.Operation) -> list[tf.Tensor]:
        return self.graph.inputs_of(op)

    def variable(self, tensor: tf.Tensor) -> str:
        """The name of the variable that the tensor is the value of.

        Raises:
            Unreadable: it is not one.
        """
        name = self.graph.variable(tensor)
        if name is None:
            raise Unreadable("its weight is computed, where Keras has a variable")
        return name

    def is_used_once(self, tensor: tf.Tensor) -> bool:
        return len(self.graph.source(tensor).consumers()) == 1

    def _read_operation(self, op: tf.Operation) -> None:
        values = [self._values.get(id(tensor)) for tensor in self.inputs(op)]
        if op.type in _NOT_DATA or all(value is None for value in values):
            return
        readers = [reader for table in self._readers for reader in table.of_type(op.type)]
        try:
            # A group of operations can be one layer though a part of it, alone, is none: they
            # are asked whatever became of the inputs.
            answers = (reader(self, op) for reader in readers)
            node = next((answer for answer in answers if answer is not None), None)
            if node is None:
                failed = (value for value in values if isinstance(value, Unreadable))
                raise next(failed, Unreadable("zoo knows no Keras layer for it"))
        except Unreadable as error:
            error.op = error.op or op
            node = error
        self._values.setdefault(id(op.outputs[0]), node)

    def _read_output(self, tensor: tf.Tensor) -> Node:
        value = self._values.get(id(self.graph.source(tensor)))
        if isinstance(value, Node):
            return value
        if value is None:
            raise ConversionError(
                "An output of the network does not depend on its input.",
                received=tensor.name,
                next_step="leave it out of what the network returns.",
            )
        op = value.op
        raise ConversionError(
            f"Operation {op.type} of the TF1 graph has no counterpart in Keras: {value.why}.",
            received=f"{op.name}, on inputs of shape {_described(op)}",
            next_step="convert up to the point before it with to_native(model, until=...), or "
            "replace it in the TF1 code; the network as loaded stays usable as it is.",
        )


def _described(op: tf.Operation) -> str:
    return ", ".join(f"{tuple(tensor.shape)}" for tensor in op.inputs if tensor.shape.rank)


def shape_of(tensor: tf.Tensor) -> tuple[int | None, ...]:
    """Static shape; Unreadable if even the rank is open."""
    if tensor.shape.rank is None:
        raise Unreadable("the rank of its result is unknown")
    return tuple(tensor.shape)


def scope_of(op: tf.Operation, *, drop: str = "") -> str:
    """The TF1 name of an operation, as its variables and end points have it.

    Args:
        drop: a last part that says nothing: "MaxPool" in "MaxPool_3a_3x3/MaxPool".
    """
    return clean_scope(re.sub(rf"/({drop})(_\d+)?$", "", op.name) if drop else op.name)


def clean_scope(name: str) -> str:
    """A name scope without the parts that TF1 repeats when a variable scope is entered again."""
    parts = name.split("/")
    kept = [part for i, part in enumerate(parts) if i == 0 or part != parts[i - 1]]
    return "/".join(kept)


def variables_scope(name: str) -> str:
    """The scope of a layer that has a variable of this name."""
    return name.rpartition("/")[0] or name
