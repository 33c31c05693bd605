"""TensorFlow's descriptions of tensors: dtypes, shapes, slices and TensorProto values.

Numbers of fields and dtypes: tensorflow/core/framework/types.proto, tensor_shape.proto,
tensor_slice.proto and tensor.proto.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from zoo.checkpoints import wire
from zoo.checkpoints.wire import Span, WireError

STRING = 7
BFLOAT16 = 14
_DTYPES = {
    1: "float32",
    2: "float64",
    3: "int32",
    4: "uint8",
    5: "int16",
    6: "int8",
    STRING: "object",
    8: "complex64",
    9: "int64",
    10: "bool",
    11: "int8",  # qint8, and below the other quantised kinds: plain integers in the file.
    12: "uint8",
    13: "int32",
    15: "int16",
    16: "uint16",
    17: "uint16",
    18: "complex128",
    19: "float16",
    22: "uint32",
    23: "uint64",
}
_NUMBERS = {name: number for number, name in reversed(_DTYPES.items())}

ALIGNMENT = 64  # bytes: EIGEN_MAX_ALIGN_BYTES, what TensorFlow expects of a tensor

Shape = tuple[int, ...]
Extent = tuple[int, int]  # start, length; a length of -1 is the whole axis
Slice = tuple[Extent, ...]


def dtype_of(number: int) -> np.dtype:
    """The NumPy dtype of a TensorFlow DataType number."""
    if number == BFLOAT16:
        import ml_dtypes

        return np.dtype(ml_dtypes.bfloat16)
    if number not in _DTYPES:
        raise WireError(f"values of TensorFlow's dtype number {number} are not arrays of numbers")
    return np.dtype(_DTYPES[number])


def dtype_number(dtype: np.dtype) -> int:
    """The TensorFlow DataType number of a NumPy dtype.

    Raises:
        KeyError: TensorFlow has no such dtype.
    """
    return BFLOAT16 if dtype.name == "bfloat16" else _NUMBERS[dtype.name]


def size_of(shape: Shape) -> int:
    return math.prod(shape)


def aligned_empty(size: int) -> np.ndarray:
    """So many bytes of memory at an address where a TensorFlow tensor may begin."""
    octets = np.empty(size + ALIGNMENT, np.uint8)
    start = -octets.ctypes.data % ALIGNMENT
    return octets[start : start + size]


def parse_shape(buffer, span: Span) -> Shape:
    dims = []
    for number, kind, value in wire.fields(buffer, span):
        if number == 2:
            size = 0
            for part, part_kind, part_value in wire.fields(buffer, wire.subspan(kind, value)):
                if part == 1:
                    size = wire.integer(part_kind, part_value)
            dims.append(size)
        elif number == 3 and value:
            raise WireError("a stored tensor has no known rank")
    if any(dim < 0 for dim in dims):
        raise WireError(f"a stored tensor has the impossible shape {tuple(dims)}")
    return tuple(dims)


def encode_shape(shape: Shape) -> bytes:
    return b"".join(wire.encode_field(2, wire.encode_field(1, dim)) for dim in shape)


def parse_slice(buffer, span: Span) -> Slice:
    extents = []
    for number, kind, value in wire.fields(buffer, span):
        if number == 1:
            start, length = 0, -1
            for part, part_kind, part_value in wire.fields(buffer, wire.subspan(kind, value)):
                if part == 1:
                    start = wire.integer(part_kind, part_value)
                elif part == 2:
                    length = wire.integer(part_kind, part_value)
            extents.append((start, length))
    return tuple(extents)


def resolve_slice(extents: Slice, shape: Shape) -> tuple[slice, ...]:
    """The part of an array of this shape that the slice covers."""
    if len(extents) != len(shape):
        raise WireError(f"a part of rank {len(extents)} belongs to a tensor of shape {shape}")
    ranges = []
    for (start, length), dim in zip(extents, shape, strict=True):
        stop = dim if length == -1 else start + length
        if not 0 <= start <= stop <= dim:
            raise WireError(f"a part {extents} lies outside its tensor's shape {shape}")
        ranges.append(slice(start, stop))
    return tuple(ranges)


def shape_of_slice(ranges: Sequence[slice]) -> Shape:
    return tuple(part.stop - part.start for part in ranges)


def slice_key(name: str, extents: Slice) -> bytes:
    """The key of a tensor's part in TensorFlow's tables (EncodeTensorNameSlice)."""
    escaped = name.encode().replace(b"\xff", b"\xff\x00").replace(b"\x00", b"\x00\xff")
    key = b"\x00" + escaped + b"\x00\x01" + _ordered_unsigned(len(extents))
    for start, length in extents:
        key += _ordered_signed(start) + _ordered_signed(length)
    return key


def _ordered_unsigned(value: int) -> bytes:
    """OrderedCode::WriteNumIncreasing: length, then big-endian bytes."""
    size = (value.bit_length() + 7) // 8
    return bytes([size]) + value.to_bytes(size, "big")


def _ordered_signed(value: int) -> bytes:
    """OrderedCode::WriteSignedNumIncreasing: the length is in the leading bits."""
    magnitude = ~value if value < 0 else value
    size = magnitude.bit_length() // 7 + 1
    header = ((1 << size) - 1) << (7 * size)
    code = (value & ((1 << (8 * size)) - 1)) ^ header
    return code.to_bytes(size, "big")


_CONTENT = 4
_TYPED_FIELDS = {  # TensorProto's field of values, and their NumPy dtype where of fixed size
    5: "<f4",
    6: "<f8",
    7: None,  # int_val: all integers of at most 32 bits
    8: bytes,  # string_val
    9: "<c8",
    10: None,  # int64_val
    11: None,  # bool_val
    12: "<c16",
    13: None,  # half_val: the bits of float16 and bfloat16
    16: None,
    17: None,
}


def parse_values(
    buffer, span: Span, dtype: np.dtype, shape: Shape, *, exact: bool = False
) -> np.ndarray:
    """The values of a TensorProto, read-only.

    Unless `exact`, it may give fewer values than its shape has: the last one, or zero, fills the
    rest, as TensorFlow does. One value alone takes no more memory however large the shape.
    """
    parts = []
    for number, kind, value in wire.fields(buffer, span):
        if number == _CONTENT:
            start, end = wire.subspan(kind, value)
            if end - start != size_of(shape) * dtype.itemsize:
                raise WireError(f"a tensor of shape {shape} has {end - start} bytes of {dtype}")
            content = np.frombuffer(bytes(buffer[start:end]), dtype.newbyteorder("<"))
            return content.reshape(shape)
        if number in _TYPED_FIELDS:
            parts.append(_values_of_field(buffer, _TYPED_FIELDS[number], kind, value))
    if not parts:
        parts = [np.zeros(0 if exact else 1, dtype)]
    values = np.concatenate(parts) if len(parts) > 1 else parts[0]
    if dtype.name in ("float16", "bfloat16") and values.dtype.kind == "i":
        values = values.astype(np.uint16).view(dtype)
    values = values.astype(dtype, copy=False)
    if values.size == size_of(shape):
        return values.reshape(shape)
    if exact or values.size > size_of(shape) or values.size == 0:
        raise WireError(f"a tensor of shape {shape} has {values.size} values")
    if values.size == 1:
        return np.broadcast_to(values[0], shape)
    filled = np.full(size_of(shape), values[-1], dtype)
    filled[: values.size] = values
    return filled.reshape(shape)


def _values_of_field(buffer, stored, kind: int, value: int | Span) -> np.ndarray:
    if stored is bytes:
        start, end = wire.subspan(kind, value)
        values = np.empty(1, object)
        values[0] = bytes(buffer[start:end])
        return values
    if kind == wire.VARINT:
        return np.array([wire.signed(value)])
    start, end = value
    if stored is None:
        return wire.packed_varints(buffer, value)
    if (end - start) % np.dtype(stored).itemsize:
        raise WireError("a list of numbers is cut off")
    return np.frombuffer(bytes(buffer[start:end]), stored)
