"""Opening weights in any file, under the names that they have there. Imports no TensorFlow."""

from __future__ import annotations

import os

from zoo import checkpoints, hub
from zoo.checkpoints import Checkpoint
from zoo.dialects.hdf5 import Hdf5Checkpoint, is_hdf5


def open_weights(path: str | os.PathLike, *, offline: bool | None = None) -> Checkpoint:
    """Opens whatever `zoo.open_checkpoint` does, a path or an address, and Keras's HDF5 files.

    Raises:
        CheckpointNotFoundError, CheckpointFormatError: as `zoo.open_checkpoint` does.
    """
    local = hub.local_path(path, offline=offline)
    if is_hdf5(local):
        return Hdf5Checkpoint(local, local)
    return checkpoints.open_checkpoint(local)
