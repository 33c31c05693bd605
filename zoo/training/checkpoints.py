"""Weights and optimizer state at the end of each epoch, in one file."""

from __future__ import annotations

import re
from pathlib import Path

import keras

from zoo.atomic import replacing

_KEPT = 3


class EpochCheckpoints:
    """A folder of `epoch-0001.weights.h5`, ...: what `model.load_weights` reads.

    Args:
        folder: made at the first save. Of several workers, all must see it.
        writes: whether this process is the one that writes.
    """

    def __init__(self, folder: str | Path, *, writes: bool) -> None:
        self._folder = Path(folder)
        self._writes = writes

    def restore(self, model: keras.Model) -> int:
        """Loads the newest file into `model` and returns the number of epochs behind it, or 0."""
        newest = max(self._files(), default=None)
        if newest is None:
            return 0
        model.load_weights(self._files()[newest])
        return newest

    def save(self, model: keras.Model, epoch: int) -> None:
        """Writes the state after `epoch` epochs; the oldest files beyond three go."""
        if not self._writes:
            return
        self._folder.mkdir(parents=True, exist_ok=True)
        with replacing(self._folder / f"epoch-{epoch:04d}.weights.h5") as (made,):
            model.save_weights(made)
        files = self._files()
        for old in sorted(files)[:-_KEPT]:
            files[old].unlink()

    def _files(self) -> dict[int, Path]:
        matches = {
            path: re.fullmatch(r"epoch-(\d+)\.weights\.h5", path.name)
            for path in self._folder.glob("epoch-*.weights.h5")
        }
        return {int(match[1]): path for path, match in matches.items() if match}
