"""The two plain forms that zoo writes besides V2: `.npz` and `.safetensors`.

An `.npz` has a CRC-32 for each array, and each is checked. A `.safetensors` has no checksum: its
header is checked against the file's size, flipped values are not seen.
"""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

import numpy as np

from zoo.checkpoints.archives import check_expansion, open_zip
from zoo.checkpoints.checkpoint import Checkpoint, Tensor, reading
from zoo.checkpoints.wire import WireError

_SUFFIX = ".npy"
_SAFETENSORS_DTYPES = {
    "F64": "float64",
    "F32": "float32",
    "F16": "float16",
    "I64": "int64",
    "I32": "int32",
    "I16": "int16",
    "I8": "int8",
    "U64": "uint64",
    "U32": "uint32",
    "U16": "uint16",
    "U8": "uint8",
    "BOOL": "bool",
}


class NpzCheckpoint(Checkpoint):
    """An `.npz` whose keys are TF1 names. Pickled objects are refused."""

    format = "npz"

    def __init__(self, path: str | os.PathLike, file: str) -> None:
        with contextlib.ExitStack() as opened, reading(file, "reading the list of arrays"):
            self._zip = opened.enter_context(open_zip(file))
            check_expansion(file, self._zip)
            tensors = self._describe()
            close = opened.pop_all().close
        super().__init__(path, tensors)
        self._on_close.append(close)

    def _describe(self) -> dict[str, Tensor]:
        tensors = {}
        for member in self._zip.infolist():
            name = member.filename.removesuffix(_SUFFIX)
            with self._zip.open(member) as stream:
                shape, dtype, header = _read_header(stream)
            if dtype.hasobject:
                raise WireError(f"{name!r} is a pickled object, which zoo does not load")
            if member.file_size - header != int(np.prod(shape, dtype=object)) * dtype.itemsize:
                raise WireError(f"{name!r} has another size than its shape {shape} tells")
            if name in tensors:
                raise WireError(f"{name!r} is there twice")
            tensors[name] = Tensor(shape, dtype, member)
        return tensors

    def _read(self, name: str, tensor: Tensor, check: bool) -> np.ndarray:
        with self._zip.open(tensor.where) as stream:
            values = np.lib.format.read_array(stream, allow_pickle=False)
            if stream.read(1):  # Reading to the end makes zipfile compare the checksum.
                raise WireError(f"{name!r} has more bytes than its shape tells")
        if values.shape != tensor.shape or values.dtype != tensor.dtype:
            raise WireError(f"{name!r} changed while it was open")
        return values


def _read_header(stream) -> tuple[tuple[int, ...], np.dtype, int]:
    version = np.lib.format.read_magic(stream)
    if version == (1, 0):
        shape, _, dtype = np.lib.format.read_array_header_1_0(stream)
    elif version == (2, 0):
        shape, _, dtype = np.lib.format.read_array_header_2_0(stream)
    else:
        raise WireError(f"an array is of version {version}")
    if any(not isinstance(dim, int) or dim < 0 for dim in shape):
        raise WireError(f"an array has the impossible shape {shape}")
    return shape, dtype, stream.tell()


class SafetensorsCheckpoint(Checkpoint):
    """A `.safetensors` whose keys are TF1 names."""

    format = "safetensors"

    def __init__(self, path: str | os.PathLike, file: str) -> None:
        from safetensors import safe_open

        with reading(file, "reading the header"):
            self._file = safe_open(file, framework="numpy")
            tensors = {name: self._describe(name) for name in self._file.keys()}
        super().__init__(path, tensors)
        self._on_close.append(self._forget)

    def _describe(self, name: str) -> Tensor:
        part = self._file.get_slice(name)
        return Tensor(tuple(part.get_shape()), _safetensors_dtype(part.get_dtype()))

    def _read(self, name: str, tensor: Tensor, check: bool) -> np.ndarray:
        return self._file.get_tensor(name)

    def _forget(self) -> None:
        self._file = None


def _safetensors_dtype(code: str) -> np.dtype:
    if code == "BF16":
        import ml_dtypes

        return np.dtype(ml_dtypes.bfloat16)
    if code not in _SAFETENSORS_DTYPES:
        raise WireError(f"it holds values of dtype {code}")
    return np.dtype(_SAFETENSORS_DTYPES[code])


def is_safetensors(path: str | os.PathLike) -> bool:
    """Whether the file starts with a plausible header length and a JSON object."""
    try:
        with Path(path).open("rb") as file:
            head = file.read(9)
    except OSError:
        return False
    return len(head) == 9 and head[8:] == b"{" and int.from_bytes(head[:8], "little") < 1 << 32
