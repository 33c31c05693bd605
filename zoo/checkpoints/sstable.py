"""TensorFlow's sorted string table: the file under V1 checkpoints and under V2 index files.

Layout (LevelDB's table format, tensorflow/core/lib/io/format.h): blocks of key-value entries,
each followed by a kind byte and a masked CRC-32C; an index block with the last key and the place
of each block; a footer of 48 bytes that places the index block and ends in a magic number. The
footer alone carries no checksum, so everything it says is checked against the file's size.
"""

from __future__ import annotations

import bisect
import os
import struct
from collections.abc import Iterable, Iterator
from pathlib import Path

from zoo.checkpoints import wire
from zoo.checkpoints.crc32c import masked_crc32c
from zoo.checkpoints.wire import WireError

MAGIC = struct.pack("<Q", 0xDB4775248B80FB57)
_FOOTER_SIZE = 48
_TRAILER_SIZE = 5


def is_table(path: str | os.PathLike) -> bool:
    """Whether the file ends as a table does."""
    try:
        with Path(path).open("rb") as file:
            if file.seek(0, os.SEEK_END) < _FOOTER_SIZE:
                return False
            file.seek(-len(MAGIC), os.SEEK_END)
            return file.read() == MAGIC
    except OSError:
        return False


class Table:
    """A table opened for reading."""

    def __init__(self, path: str | os.PathLike) -> None:
        self.path = os.fspath(path)
        self._file = Path(path).open("rb")
        self._cached: tuple[int, bool, list[tuple[bytes, memoryview]]] | None = None
        try:
            self._read_index()
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        self._cached = None
        self._file.close()

    def items(self) -> Iterator[tuple[bytes, memoryview]]:
        for place in range(len(self._handles)):
            yield from self._block(place)

    def first(self) -> tuple[bytes, memoryview]:
        for entry in self.items():
            return entry
        raise WireError("the table is empty")

    def get(self, key: bytes, *, check: bool = True) -> memoryview:
        """The value of a key; `check` compares the checksum of its block."""
        place = bisect.bisect_left(self._last_keys, key)
        if place < len(self._handles):
            for candidate, value in self._block(place, check):
                if candidate == key:
                    return value
        raise WireError("a part of a tensor that is listed is not there")

    def _read_index(self) -> None:
        self._size = self._file.seek(0, os.SEEK_END)
        if self._size < _FOOTER_SIZE:
            raise WireError(f"only {self._size} bytes long")
        self._file.seek(self._size - _FOOTER_SIZE)
        footer = self._file.read(_FOOTER_SIZE)
        if not footer.endswith(MAGIC):
            raise WireError("its end is missing or overwritten")
        _meta, at = _parse_handle(footer, 0)
        handle, _ = _parse_handle(footer, at)
        index = list(_parse_block(self._load(handle)))
        self._last_keys = [key for key, _ in index]
        self._handles = [_parse_handle(value, 0)[0] for _, value in index]
        if self._last_keys != sorted(self._last_keys):
            raise WireError("the keys of its index are out of order")

    def _block(self, place: int, check: bool = True) -> list[tuple[bytes, memoryview]]:
        """The entries of one block; the last block is kept, as neighbours are often read next."""
        if self._cached is None or self._cached[0] != place or check > self._cached[1]:
            self._cached = None  # Only one block is in memory, also while the next is read.
            block = self._load(self._handles[place], check)
            self._cached = place, check, list(_parse_block(block))
        return self._cached[2]

    def _load(self, handle: tuple[int, int], check: bool = True) -> memoryview:
        offset, size = handle
        if offset + size + _TRAILER_SIZE > self._size - _FOOTER_SIZE:
            raise WireError("it is cut off, or its index points past its end")
        self._file.seek(offset)
        block = memoryview(self._file.read(size + _TRAILER_SIZE))
        (stored,) = struct.unpack("<I", block[size + 1 :])
        if check and masked_crc32c(block[: size + 1]) != stored:
            raise WireError(f"the checksum of the block at byte {offset} does not fit")
        if block[size] != 0:
            raise WireError("it is compressed, which no TensorFlow release wrote")
        return block[:size]


def _parse_handle(buffer, at: int) -> tuple[tuple[int, int], int]:
    offset, at = wire.varint(buffer, at, len(buffer))
    size, at = wire.varint(buffer, at, len(buffer))
    return (offset, size), at


def _parse_block(block: memoryview) -> Iterator[tuple[bytes, memoryview]]:
    """Entries in order; each key is given as a shared start with the key before, and the rest."""
    if len(block) < 4:
        raise WireError("a block is too short")
    (restarts,) = struct.unpack("<I", block[-4:])
    end = len(block) - 4 - 4 * restarts
    if end < 0:
        raise WireError("a block is malformed")
    at, key = 0, b""
    while at < end:
        shared, at = wire.varint(block, at, end)
        unshared, at = wire.varint(block, at, end)
        size, at = wire.varint(block, at, end)
        if shared > len(key) or unshared + size > end - at:
            raise WireError("an entry of a block is malformed")
        key = key[:shared] + bytes(block[at : at + unshared])
        at += unshared
        yield key, block[at : at + size]
        at += size


def write_table(file, items: Iterable[tuple[bytes, bytes]], block_size: int = 1 << 18) -> None:
    """Writes a table of entries, which must come sorted by key, to a binary file."""
    handles: list[tuple[bytes, bytes]] = []
    pending: list[tuple[bytes, bytes]] = []
    pending_size = 0
    for key, value in items:
        pending.append((key, value))
        pending_size += len(key) + len(value)
        if pending_size >= block_size:
            handles.append((key, _write_block(file, pending)))
            pending, pending_size = [], 0
    if pending:
        handles.append((pending[-1][0], _write_block(file, pending)))
    footer = _write_block(file, []) + _write_block(file, handles)
    file.write(footer.ljust(_FOOTER_SIZE - len(MAGIC), b"\x00") + MAGIC)


def _write_block(file, entries: list[tuple[bytes, bytes]]) -> bytes:
    """Writes one block, without shortening keys; returns its handle."""
    restarts, contents = [0], bytearray()
    for key, value in entries:
        if contents:
            restarts.append(len(contents))
        contents += wire.encode_varint(0) + wire.encode_varint(len(key))
        contents += wire.encode_varint(len(value)) + key + value
    contents += struct.pack(f"<{len(restarts) + 1}I", *restarts, len(restarts))
    handle = wire.encode_varint(file.tell()) + wire.encode_varint(len(contents))
    contents += b"\x00"
    file.write(contents + struct.pack("<I", masked_crc32c(contents)))
    return handle
