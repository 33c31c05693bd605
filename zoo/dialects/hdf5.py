"""HDF5 files, which Keras keeps weights in, opened as checkpoints: names, shapes, lazy arrays."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

import numpy as np

from zoo.checkpoints.checkpoint import Checkpoint, Tensor
from zoo.checkpoints.wire import WireError
from zoo.errors import CheckpointFormatError, ZooError

_SIGNATURE = b"\x89HDF\r\n\x1a\n"
_MOST = 100_000  # objects in a file; NASNet-A large has some 4,000 in Keras's layout
_OPTIMIZER = ("optimizer/", "optimizer_weights/")


class Hdf5Checkpoint(Checkpoint):
    """An HDF5 file; the names are its datasets' paths.

    Links are refused: they could lead to another file.
    """

    format = "hdf5"

    def __init__(self, path: str | os.PathLike, file: str) -> None:
        import h5py

        with reading(file, "reading its contents"):
            self._file = h5py.File(file, "r")
            try:
                tensors = self._describe()
            except BaseException:
                self._file.close()
                raise
        super().__init__(path, tensors)
        self.file = file
        self._on_close.append(self._file.close)

    def _describe(self) -> dict[str, Tensor]:
        import h5py

        tensors: dict[str, Tensor] = {}
        seen = 0

        def note(name: str, link: object) -> str | None:
            """Notes a dataset; what it returns ends the walk, which no exception may."""
            nonlocal seen
            seen += 1
            if seen > _MOST:
                return f"it holds more than {_MOST} objects"
            if not isinstance(link, h5py.HardLink):
                return f"{name!r} is a link to elsewhere"
            item = self._file[name]
            if not isinstance(item, h5py.Dataset):
                return None
            if item.external or item.is_virtual:
                return f"{name!r} keeps its values in another file"
            if item.dtype.kind not in "fiub":
                return f"{name!r} holds values of dtype {item.dtype}"
            tensors[name] = Tensor(tuple(item.shape), item.dtype)
            return None

        wrong = self._file.visititems_links(note)
        if wrong is not None:
            raise WireError(wrong)
        return tensors

    @property
    def weights(self) -> list[str]:
        """Names of the weights: neither an optimizer's state nor a random generator's."""
        return [
            name
            for name in self.names()
            if not name.startswith(_OPTIMIZER) and self.dtype(name).kind == "f"
        ]

    @property
    def is_legacy(self) -> bool:
        """Whether Keras 2 laid it out: layers by their names, in one list."""
        return "layer_names" in self._file.attrs or "model_weights" in self._file

    def layer_name(self, name: str) -> str | None:
        """The name of the layer that a weight is of, where Keras 3 noted it."""
        with reading(self.file, f"reading whose {name!r} is"):
            noted = self._file[name].parent.attrs.get("name")
        return noted if isinstance(noted, str) else None

    def _read(self, name: str, tensor: Tensor, check: bool) -> np.ndarray:
        with reading(self.file, f"reading {name!r}"):
            return self._file[name][()]


@contextlib.contextmanager
def reading(file: str | os.PathLike, doing: str):
    """Turns whatever a reader of HDF5 raises into one clear error about the file."""
    try:
        yield
    except (ZooError, PermissionError):
        raise
    except Exception as error:
        reason = str(error) or type(error).__name__
        raise CheckpointFormatError(
            f"The HDF5 file {file} is damaged, or none of Keras's ({doing}: {reason}).",
            next_step="Fetch or copy the file again, or save the weights anew with Keras.",
        ) from error


def is_hdf5(path: str | os.PathLike) -> bool:
    """Whether a file begins as HDF5 does."""
    try:
        with Path(path).open("rb") as file:
            return file.read(len(_SIGNATURE)) == _SIGNATURE
    except OSError:
        return False
