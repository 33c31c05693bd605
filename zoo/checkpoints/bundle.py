"""V2 checkpoints: `PREFIX.index`, a table of names, and `PREFIX.data-00000-of-0000N`, the values.

Messages: tensorflow/core/protobuf/tensor_bundle.proto. Every value and every part of the index
carries a CRC-32C and each is checked, so a read gives what was written or raises.
"""

from __future__ import annotations

import os
import struct
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from zoo.checkpoints import tensors, wire
from zoo.checkpoints.checkpoint import Checkpoint, Tensor, damaged, reading
from zoo.checkpoints.crc32c import crc32c, mask
from zoo.checkpoints.partitions import join_parts
from zoo.checkpoints.sstable import Table
from zoo.checkpoints.wire import WireError
from zoo.errors import CheckpointFormatError


@dataclass(frozen=True)
class Entry:
    """Where one tensor, or one part of a partitioned one, lies in the data files."""

    dtype: int
    shape: tensors.Shape
    shard: int
    offset: int
    size: int
    crc32c: int
    slices: tuple[tensors.Slice, ...]


class BundleCheckpoint(Checkpoint):
    """A V2 checkpoint; `prefix` is its path without `.index`."""

    format = "v2"

    def __init__(self, path: str | os.PathLike, prefix: str) -> None:
        self._prefix = prefix
        self._files: dict[int, object] = {}
        index = f"{prefix}.index"
        with reading(index, "reading the index"):
            self._entries, self._shards = _read_index(index)
            super().__init__(path, self._describe())
        self._on_close.append(self._close_files)
        self._check_data_files()

    def _describe(self) -> dict[str, Tensor]:
        described = {}
        for key, entry in self._entries.items():
            if not key.startswith(b"\x00"):
                described[key.decode()] = Tensor(entry.shape, tensors.dtype_of(entry.dtype), entry)
        return described

    def _data_path(self, shard: int) -> str:
        return f"{self._prefix}.data-{shard:05d}-of-{self._shards:05d}"

    def _check_data_files(self) -> None:
        """Each shard that a tensor needs must be there, and long enough."""
        needed: dict[int, int] = {}
        for entry in self._entries.values():
            if not entry.slices:
                end = entry.offset + entry.size
                needed[entry.shard] = max(needed.get(entry.shard, 0), end)
        for shard, size in sorted(needed.items()):
            path = self._data_path(shard)
            if not os.path.isfile(path):
                raise CheckpointFormatError(
                    f"The checkpoint {self._prefix} lacks its data file {os.path.basename(path)}.",
                    received=f"an index that names {self._shards} data file(s)",
                    next_step="Put the data file beside the index, under this name.",
                )
            found = os.path.getsize(path)
            if found < size:
                raise damaged(path, f"{found} bytes long where the index needs {size}")

    def _read(self, name: str, tensor: Tensor, check: bool) -> np.ndarray:
        entry = tensor.where
        if not entry.slices:
            return self._read_entry(entry, check)

        def read_part(extents: tensors.Slice) -> np.ndarray:
            part = self._entries.get(tensors.slice_key(name, extents))
            if part is None or part.slices:
                raise WireError("a part of a partitioned variable is missing")
            return self._read_entry(part, check)

        return join_parts(tensor, entry.slices, read_part)

    def _read_entry(self, entry: Entry, check: bool) -> np.ndarray:
        path = self._data_path(entry.shard)
        octets = tensors.aligned_empty(entry.size)
        with reading(path, "reading values"):
            file = self._files.get(entry.shard)
            if file is None:
                file = self._files[entry.shard] = Path(path).open("rb", buffering=0)
            file.seek(entry.offset)
            if _fill(file, octets) != entry.size:
                raise WireError(f"it ends before byte {entry.offset + entry.size}")
            if entry.dtype == tensors.STRING:
                return _parse_strings(octets, entry)
            if check and mask(crc32c(octets)) != entry.crc32c:
                raise WireError(f"the checksum of the values at byte {entry.offset} does not fit")
            return octets.view(tensors.dtype_of(entry.dtype)).reshape(entry.shape)

    def _close_files(self) -> None:
        while self._files:
            self._files.popitem()[1].close()


def _fill(file, octets: np.ndarray) -> int:
    """Reads until the array is full or the file ends; returns the bytes read."""
    view, done = memoryview(octets), 0
    while done < len(view):
        count = file.readinto(view[done:])
        if not count:
            break
        done += count
    return done


def _read_index(path: str) -> tuple[dict[bytes, Entry], int]:
    table = Table(path)
    try:
        items = table.items()
        key, header = next(items, (None, None))
        if key != b"":
            raise WireError("it has no header")
        shards = _parse_header(header)
        entries = {key: _parse_entry(value) for key, value in items}
    finally:
        table.close()
    for entry in entries.values():
        if not 0 <= entry.shard < shards:
            raise WireError(f"a tensor lies in data file {entry.shard} of {shards}")
    return entries, shards


def is_bundle_header(value) -> bool:
    """Whether the first entry of a table is a V2 index's (a V1 file's is of another kind)."""
    return bytes(value[:1]) == b"\x08"


def _parse_header(value) -> int:
    shards = 1
    for number, kind, content in wire.fields(value):
        if number == 1:
            shards = wire.integer(kind, content)
        elif number == 2 and content:
            raise WireError("it was written by a big-endian machine")
    return shards


def _parse_entry(value) -> Entry:
    found: dict[str, int] = {"dtype": 0, "shard": 0, "offset": 0, "size": 0}
    numbers = {1: "dtype", 3: "shard", 4: "offset", 5: "size"}
    shape: tensors.Shape = ()
    checksum, slices = 0, []
    for number, kind, content in wire.fields(value):
        if number in numbers:
            found[numbers[number]] = wire.integer(kind, content)
        elif number == 2:
            shape = tensors.parse_shape(value, wire.subspan(kind, content))
        elif number == 6 and kind == wire.FIXED32:
            (checksum,) = struct.unpack("<I", value[content[0] : content[1]])
        elif number == 7:
            slices.append(tensors.parse_slice(value, wire.subspan(kind, content)))
    entry = Entry(shape=shape, crc32c=checksum, slices=tuple(slices), **found)
    _check_size(entry)
    return entry


def _check_size(entry: Entry) -> None:
    if entry.offset < 0 or entry.size < 0:
        raise WireError("a tensor has a negative place or size")
    if entry.slices or entry.dtype == tensors.STRING:
        return
    expected = tensors.size_of(entry.shape) * tensors.dtype_of(entry.dtype).itemsize
    if entry.size != expected:
        raise WireError(f"a tensor of shape {entry.shape} has {entry.size} bytes, not {expected}")


def encode_header(shards: int) -> bytes:
    producer = wire.encode_field(1, 1)  # VersionDef.producer: kTensorBundleVersion
    return wire.encode_field(1, shards) + wire.encode_field(3, producer)


def encode_entry(entry: Entry) -> bytes:
    encoded = wire.encode_field(1, entry.dtype)
    encoded += wire.encode_field(2, tensors.encode_shape(entry.shape))
    encoded += wire.encode_field(4, entry.offset) + wire.encode_field(5, entry.size)
    key = wire.encode_varint(6 << 3 | wire.FIXED32)
    return encoded + key + struct.pack("<I", entry.crc32c)


def _parse_strings(octets: np.ndarray, entry: Entry) -> np.ndarray:
    """Lengths as varints, their checksum, then all characters."""
    count = tensors.size_of(entry.shape)
    if count > entry.size:
        raise WireError(f"a tensor of shape {entry.shape} has {entry.size} bytes")
    content, at, lengths = octets.tobytes(), 0, []
    for _ in range(count):
        length, at = wire.varint(content, at, len(content))
        lengths.append(length)
    start = at + 4
    if start + sum(lengths) != len(content):
        raise WireError("a tensor of strings has the wrong size")
    sizes = b"".join(struct.pack("<I" if size < 1 << 32 else "<Q", size) for size in lengths)
    checked = sizes + content[at:start] + content[start:]
    if content[at:start] != struct.pack("<I", mask(crc32c(sizes))):
        raise WireError("the checksum of a tensor of strings does not fit")
    if mask(crc32c(checked)) != entry.crc32c:
        raise WireError("the checksum of a tensor of strings does not fit")
    strings = np.empty(count, object)
    for place, length in enumerate(lengths):
        strings[place] = content[start : start + length]
        start += length
    return strings.reshape(entry.shape)
