"""Frozen GraphDef files: the variables that were turned into constants, under their TF1 names.

Messages: tensorflow/core/framework/graph.proto, node_def.proto, attr_value.proto. The form has no
checksum: structure, sizes and the graph's own references are checked, flipped values are not seen.
"""

from __future__ import annotations

import mmap
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from zoo.checkpoints import tensors, wire
from zoo.checkpoints.checkpoint import Checkpoint, Tensor, reading
from zoo.checkpoints.wire import Span, WireError
from zoo.errors import CheckpointFormatError

_IMPORT_PREFIX = "import/"


@dataclass
class Node:
    """What matters here of one operation in a graph."""

    name: str = ""
    op: str = ""
    inputs: tuple[str, ...] = ()
    tensor: Span | None = None


class GraphDefCheckpoint(Checkpoint):
    """The constants of a frozen graph that were variables.

    Those are the constants read through an Identity `NAME/read` or through a `ReadVariableOp`, as
    freezing leaves them. An `import/` that the graph gained by being imported is dropped from
    all names. `constants()` lists the remaining constants; `read` takes their names too.
    """

    format = "graph_def"

    def __init__(self, path: str | os.PathLike, file: str) -> None:
        with reading(file, "reading the graph"):
            with Path(file).open("rb") as opened:
                self._buffer = mmap.mmap(opened.fileno(), 0, access=mmap.ACCESS_READ)
            try:
                variables, self._others = self._sort(list(parse_nodes(self._buffer)))
            except BaseException:
                self._buffer.close()
                raise
        super().__init__(path, variables)
        self._on_close.append(self._buffer.close)
        if not variables:
            self.close()
            raise CheckpointFormatError(
                f"The graph {file} holds no frozen variables.",
                received=f"{len(self._others)} constants, none read as a variable is",
                accepted="a graph frozen with its variables (freeze_graph)",
                next_step="Give the checkpoint that belongs to the graph.",
            )

    def constants(self) -> list[str]:
        """The names of the constants that were not variables, sorted."""
        return sorted(self._others)

    def _tensor(self, name: str) -> Tensor:
        return self._others[name] if name in self._others else super()._tensor(name)

    def _sort(self, nodes: list[Node]) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        check_references(nodes)
        constants = {node.name: node for node in nodes if node.op == "Const"}
        read = {name for name in _names_read(nodes) if name in constants}
        variables, others = {}, {}
        for name, node in constants.items():
            try:
                tensor = self._describe(node)
            except WireError:
                if name in read:
                    raise
                continue
            numeric = tensor.dtype.kind in "fiu" or tensor.dtype.name == "bfloat16"
            (variables if name in read and numeric else others)[name] = tensor
        if variables and all(name.startswith(_IMPORT_PREFIX) for name in variables):
            variables = {name.removeprefix(_IMPORT_PREFIX): variables[name] for name in variables}
        return variables, others

    def _describe(self, node: Node) -> Tensor:
        if node.tensor is None:
            raise WireError(f"the constant {node.name!r} has no value")
        dtype, shape, content = 0, (), None
        for number, kind, value in wire.fields(self._buffer, node.tensor):
            if number == 1:
                dtype = wire.integer(kind, value)
            elif number == 2:
                shape = tensors.parse_shape(self._buffer, wire.subspan(kind, value))
            elif number == 4:
                start, end = wire.subspan(kind, value)
                content = end - start
        described = Tensor(shape, tensors.dtype_of(dtype), node.tensor)
        expected = tensors.size_of(shape) * described.dtype.itemsize
        if content not in (None, expected) and described.dtype.kind != "O":
            raise WireError(f"the constant {node.name!r} of shape {shape} has {content} bytes")
        return described

    def _read(self, name: str, tensor: Tensor, check: bool) -> np.ndarray:
        return tensors.parse_values(self._buffer, tensor.where, tensor.dtype, tensor.shape)


def is_graph_def(path: str | os.PathLike) -> bool:
    """Whether the file starts as a GraphDef does: with an operation that has a name and a kind."""
    try:
        with Path(path).open("rb") as file:
            head = file.read(1 << 12)
        if head[:1] != b"\x0a":
            return False
        size, at = wire.varint(head, 1, len(head))
        names = [wire.text(head, kind, value) for _, kind, value in _start(head, at, at + size)]
        return len(names) == 2 and all(name.isprintable() and name for name in names)
    except (OSError, ValueError):
        return False


def _start(head: bytes, at: int, end: int) -> Iterator[tuple[int, int, int | Span]]:
    """A node's name and kind, which are its first two fields."""
    for expected in (1, 2):
        key, at = wire.varint(head, at, len(head))
        size, at = wire.varint(head, at, len(head))
        if key != expected << 3 | wire.BYTES or at + size > min(end, len(head)):
            return
        yield expected, wire.BYTES, (at, at + size)
        at += size


def parse_nodes(buffer) -> Iterator[Node]:
    """The operations of a GraphDef."""
    for number, kind, value in wire.fields(buffer):
        if number == 1:
            yield _parse_node(buffer, wire.subspan(kind, value))


def _parse_node(buffer, span: Span) -> Node:
    node, inputs = Node(), []
    for number, kind, value in wire.fields(buffer, span):
        if number == 1:
            node.name = wire.text(buffer, kind, value)
        elif number == 2:
            node.op = wire.text(buffer, kind, value)
        elif number == 3:
            inputs.append(wire.text(buffer, kind, value).lstrip("^").split(":")[0])
        elif number == 5 and node.op == "Const":
            node.tensor = _parse_value(buffer, wire.subspan(kind, value)) or node.tensor
    if not node.name or not node.op:
        raise WireError("an operation of the graph has no name or no kind")
    node.inputs = tuple(inputs)
    return node


def _parse_value(buffer, span: Span) -> Span | None:
    """The tensor in the attribute "value"; None for any other attribute."""
    name, attribute = "", None
    for number, kind, value in wire.fields(buffer, span):
        if number == 1:
            name = wire.text(buffer, kind, value)
        elif number == 2:
            attribute = wire.subspan(kind, value)
    if name == "value" and attribute is not None:
        for number, kind, value in wire.fields(buffer, attribute):
            if number == 8:
                return wire.subspan(kind, value)
    return None


def check_references(nodes: Iterable[Node]) -> None:
    """Every input must be an operation of the same graph: a damaged name shows here."""
    nodes = list(nodes)
    names = {node.name for node in nodes}
    if len(names) != len(nodes):
        raise WireError("two operations of the graph have one name")
    for node in nodes:
        for name in node.inputs:
            if name not in names:
                raise WireError(f"the operation {node.name!r} takes {name!r}, which is not there")


def _names_read(nodes: Iterable[Node]) -> Iterator[str]:
    for node in nodes:
        if node.op in ("Identity", "ReadVariableOp") and node.inputs:
            source = node.inputs[0]
            last = node.name.rpartition("/")[2]
            if node.name == f"{source}/read" or last.startswith("ReadVariableOp"):
                yield source
