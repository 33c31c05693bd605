"""A network between its TF1 graph and Keras: nodes, each of which is to be one Keras layer."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Iterator, Mapping

import numpy as np

Reader = Callable[[str], np.ndarray]  # a TF1 variable's name -> its value


@dataclasses.dataclass(frozen=True)
class Variable:
    """A weight that is a TF1 variable: the same numbers in the same order."""

    name: str

    @property
    def names(self) -> tuple[str, ...]:
        return (self.name,)

    def value(self, read: Reader) -> np.ndarray:
        return read(self.name)


@dataclasses.dataclass(frozen=True, eq=False)
class Constant:
    """A weight that is a constant of the graph: no TF1 variable, and never trained."""

    array: np.ndarray
    names = ()

    def value(self, read: Reader) -> np.ndarray:
        return self.array


@dataclasses.dataclass(frozen=True, eq=False)
class Node:
    """One Keras layer, or one operation of `keras.ops`, of the network.

    Attributes:
        kind: the layer's class, such as "Conv2D"; "ops.power" is an operation; "Input" is
            the network's input.
        scope: its TF1 name.
        inputs: the nodes that it is applied to.
        config: arguments of the layer's constructor, or of the operation.
        weights: Keras's name of a weight -> where its value is.
        shape: of its output, None where free.
    """

    kind: str
    scope: str
    inputs: tuple[Node, ...] = ()
    config: Mapping[str, object] = dataclasses.field(default_factory=dict)
    weights: Mapping[str, Variable | Constant] = dataclasses.field(default_factory=dict)
    shape: tuple[int | None, ...] = ()

    def changed(self, **changes) -> Node:
        return dataclasses.replace(self, **changes)

    @property
    def names(self) -> tuple[str, ...]:
        """TF1 names of its variables."""
        return tuple(name for weight in self.weights.values() for name in weight.names)


def in_order(outputs: Iterable[Node]) -> Iterator[Node]:
    """Every node that the outputs need, each after its inputs."""
    seen: set[Node] = set()
    todo = [(node, False) for node in reversed(list(outputs))]
    while todo:
        node, inputs_are_done = todo.pop()
        if inputs_are_done:
            yield node
        elif node not in seen:
            seen.add(node)
            todo.append((node, True))
            todo += [(source, False) for source in reversed(node.inputs)]


def rebuilt(outputs: Iterable[Node], rebuild: Callable[[Node], Node]) -> list[Node]:
    """The outputs after `rebuild` has had each node, its inputs being rebuilt already."""
    outputs = list(outputs)
    new: dict[Node, Node] = {}
    for node in in_order(outputs):
        inputs = tuple(new[source] for source in node.inputs)
        new[node] = rebuild(node if inputs == node.inputs else node.changed(inputs=inputs))
    return [new[node] for node in outputs]
