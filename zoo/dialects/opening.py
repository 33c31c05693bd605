"""Opening weights in any file, under the names that they have there. Imports no TensorFlow."""

from __future__ import annotations

import os

from zoo import checkpoints, hub
from zoo.checkpoints import Checkpoint
from zoo.dialects.hdf5 import Hdf5Checkpoint, is_hdf5
from zoo.dialects.named_layers import by_layer, is_keras_file, open_keras_file


def open_weights(path: str | os.PathLike, *, offline: bool | None = None) -> Checkpoint:
    """Opens whatever `zoo.open_checkpoint` does, a path or an address, and Keras's files.

    Raises:
        CheckpointNotFoundError, CheckpointFormatError: as `zoo.open_checkpoint` does.
    """
    local = hub.local_path(path, offline=offline)
    if is_hdf5(local):
        return by_layer(Hdf5Checkpoint(local, local))
    if is_keras_file(local):
        return by_layer(open_keras_file(local))
    return checkpoints.open_checkpoint(local)
