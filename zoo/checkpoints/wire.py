"""The wire format of protocol buffers, as far as checkpoints and frozen graphs use it.

Reading the few messages by hand keeps TensorFlow off the path (`zoo inspect` starts at once),
leaves the numbers where they lie in a mapped file, and cannot abort the process.
Format: https://protobuf.dev/programming-guides/encoding/.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5
_FIXED_SIZES = {FIXED64: 8, FIXED32: 4}

Span = tuple[int, int]


class WireError(ValueError):
    """The bytes are not the message that was expected; never leaves this package."""


def varint(buffer, at: int, end: int) -> tuple[int, int]:
    """An unsigned integer of at most 64 bits, and where it ends."""
    value = shift = 0
    while at < end and shift < 70:
        octet = buffer[at]
        at += 1
        value |= (octet & 0x7F) << shift
        if octet < 0x80:
            return value & 0xFFFFFFFFFFFFFFFF, at
        shift += 7
    raise WireError(f"a number does not end before byte {end}")


def signed(value: int) -> int:
    """A 64-bit unsigned value read as two's complement."""
    return value - (1 << 64) if value >> 63 else value


def fields(buffer, span: Span | None = None) -> Iterator[tuple[int, int, int | Span]]:
    """(number, wire type, value) of each field; a value is an integer or the span of its bytes."""
    at, end = span if span is not None else (0, len(buffer))
    while at < end:
        key, at = varint(buffer, at, end)
        number, kind = key >> 3, key & 7
        if number == 0:
            raise WireError(f"a field has no number at byte {at}")
        if kind == VARINT:
            value, at = varint(buffer, at, end)
            yield number, kind, value
            continue
        if kind == BYTES:
            size, at = varint(buffer, at, end)
        elif kind in _FIXED_SIZES:
            size = _FIXED_SIZES[kind]
        else:
            raise WireError(f"a field is of unknown kind {kind} at byte {at}")
        if size > end - at:
            raise WireError(f"a field of {size} bytes runs past byte {end}")
        yield number, kind, (at, at + size)
        at += size


def integer(kind: int, value: int | Span) -> int:
    if kind != VARINT:
        raise WireError("a field holds bytes where a number belongs")
    return signed(value)


def subspan(kind: int, value: int | Span) -> Span:
    if kind != BYTES:
        raise WireError("a field holds a number where a message belongs")
    return value


def text(buffer, kind: int, value: int | Span) -> str:
    start, end = subspan(kind, value)
    return bytes(buffer[start:end]).decode("utf-8")


def packed_varints(buffer, span: Span) -> np.ndarray:
    """All varints of a packed field at once, as int64."""
    octets = np.frombuffer(buffer, np.uint8, span[1] - span[0], span[0])
    if octets.size == 0:
        return np.zeros(0, np.int64)
    ends = np.flatnonzero(octets < 0x80)
    if ends.size == 0 or ends[-1] != octets.size - 1:
        raise WireError("a packed list of numbers is cut off")
    starts = np.concatenate([[0], ends[:-1] + 1])
    lengths = ends - starts + 1
    if lengths.max() > 10:
        raise WireError("a packed number is longer than 64 bits")
    values = np.zeros(ends.size, np.uint64)
    for place in range(int(lengths.max())):
        longer = lengths > place
        part = octets[starts[longer] + place].astype(np.uint64) & np.uint64(0x7F)
        values[longer] |= part << np.uint64(7 * place)
    return values.view(np.int64)


def encode_varint(value: int) -> bytes:
    encoded = bytearray()
    while value >= 0x80:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    encoded.append(value)
    return bytes(encoded)


def encode_field(number: int, value: int | bytes) -> bytes:
    """A varint field, or one of bytes."""
    if isinstance(value, bytes):
        return encode_varint(number << 3 | BYTES) + encode_varint(len(value)) + value
    return encode_varint(number << 3 | VARINT) + encode_varint(value)
