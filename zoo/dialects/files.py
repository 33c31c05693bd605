"""Weights written for other libraries."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from zoo.atomic import replacing
from zoo.errors import ArgumentError


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

    with replacing(path) as (made,):
        save_file(dict(arrays), made, metadata={"format": "pt"})
