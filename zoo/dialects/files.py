"""Files that are complete under their final name, or not there at all."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np

from zoo.errors import ArgumentError


@contextlib.contextmanager
def complete_or_absent(path: str | os.PathLike) -> Iterator[Path]:
    """A path of the same file name, in a new folder beside; it takes its place at the end."""
    path = Path(path)
    with tempfile.TemporaryDirectory(prefix=f".{path.name}.", dir=path.parent) as folder:
        made = Path(folder, path.name)
        yield made
        os.replace(made, path)


def check_folder(path: str | os.PathLike) -> None:
    """Raises ArgumentError where nothing can be written at this path."""
    folder = Path(path).parent
    if not folder.is_dir():
        raise ArgumentError(
            "The folder to write to does not exist.", received=str(folder), next_step="Make it."
        )


def write_safetensors(path: str | os.PathLike, arrays: Mapping[str, np.ndarray]) -> None:
    """As PyTorch's libraries write it: they read no file that does not say so."""
    from safetensors.numpy import save_file

    with complete_or_absent(path) as made:
        save_file(dict(arrays), made, metadata={"format": "pt"})
