"""V1 checkpoints: one table per file, names and values together (TensorFlow before 0.12 wrote
nothing else, so the networks published in 2016 are of this form).

Messages: tensorflow/core/util/saved_tensor_slice.proto. Every block carries a CRC-32C and each is
checked when it is read, so a read gives what was written or raises.
"""

from __future__ import annotations

import os
from collections.abc import Sequence

import numpy as np

from zoo.checkpoints import tensors, wire
from zoo.checkpoints.checkpoint import Checkpoint, Tensor, reading
from zoo.checkpoints.partitions import join_parts
from zoo.checkpoints.sstable import Table
from zoo.checkpoints.wire import WireError

_META_KEY = b""


class V1Checkpoint(Checkpoint):
    """A V1 checkpoint of one file, or of several shards."""

    format = "v1"

    def __init__(self, path: str | os.PathLike, shards: Sequence[str]) -> None:
        super().__init__(path, {})
        self._on_close.append(self._close_tables)
        self._tables: list[Table] = []
        try:
            for shard in shards:
                with reading(shard, "reading the list of tensors"):
                    self._tables.append(Table(shard))
                    self._add_tensors(self._tables[-1])
        except BaseException:
            self.close()
            raise

    def _add_tensors(self, table: Table) -> None:
        for name, shape, dtype, slices in _parse_meta(table.first()):
            places = [(extents, table) for extents in slices]
            known = self._tensors.get(name)
            if known is not None:
                if (known.shape, known.dtype) != (shape, dtype):
                    raise WireError(f"the files disagree about {name!r}")
                places = known.where + places
            self._tensors[name] = Tensor(shape, dtype, places)

    def _read(self, name: str, tensor: Tensor, check: bool) -> np.ndarray:
        tables = dict(tensor.where)

        def read_part(extents: tensors.Slice) -> np.ndarray:
            table = tables[extents]
            with reading(table.path, f"reading {name!r}"):
                value = table.get(tensors.slice_key(name, extents), check=check)
                part = tensors.resolve_slice(extents, tensor.shape)
                return _parse_data(value, name, tensor.dtype, tensors.shape_of_slice(part))

        if len(tables) == 1:
            (extents,) = tables
            part = tensors.resolve_slice(extents, tensor.shape)
            if tensors.shape_of_slice(part) == tensor.shape:
                return read_part(extents)
        return join_parts(tensor, tables, read_part)

    def _close_tables(self) -> None:
        for table in self._tables:
            table.close()


def _parse_meta(first: tuple[bytes, memoryview]):
    """(name, shape, dtype, slices) of each tensor in a file."""
    key, value = first
    if key != _META_KEY:
        raise WireError("it has no list of tensors")
    for number, kind, content in wire.fields(value):
        if number == 1:
            for part, part_kind, part_content in wire.fields(value, wire.subspan(kind, content)):
                if part == 1:
                    yield _parse_description(value, wire.subspan(part_kind, part_content))


def _parse_description(buffer, span: wire.Span):
    name, shape, dtype, slices = None, (), 0, []
    for number, kind, content in wire.fields(buffer, span):
        if number == 1:
            name = wire.text(buffer, kind, content)
        elif number == 2:
            shape = tensors.parse_shape(buffer, wire.subspan(kind, content))
        elif number == 3:
            dtype = wire.integer(kind, content)
        elif number == 4:
            slices.append(tensors.parse_slice(buffer, wire.subspan(kind, content)))
    if not name:
        raise WireError("a tensor has no name")
    return name, shape, tensors.dtype_of(dtype), slices


def _parse_data(value, name: str, dtype: np.dtype, shape: tensors.Shape) -> np.ndarray:
    """The values in one SavedTensorSlices message."""
    for number, kind, content in wire.fields(value):
        if number == 2:
            stored, values = None, None
            for part, part_kind, part_content in wire.fields(value, wire.subspan(kind, content)):
                if part == 1:
                    stored = wire.text(value, part_kind, part_content)
                elif part == 3:
                    values = wire.subspan(part_kind, part_content)
            if stored == name and values is not None:
                return tensors.parse_values(value, values, dtype, shape, exact=True)
    raise WireError(f"the values of {name!r} are not where they should be")
