"""Keras 3's weights by the names of their layers, which it notes beside them in a file.

A `.keras` is a zip, in which `model.weights.h5` has the weights; nothing else in it is read. A path
there counts layers by class, "layers/conv2d_1/vars/0", and has the layer's name as an attribute.
"""

from __future__ import annotations

import os
import re
import shutil
import tempfile
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from zoo.checkpoints.archives import check_expansion, open_zip
from zoo.checkpoints.checkpoint import Checkpoint, Tensor, reading
from zoo.dialects.hdf5 import Hdf5Checkpoint
from zoo.errors import CheckpointFormatError

_MEMBER = "model.weights.h5"
_PLACE = re.compile(r"(?:.*/)?(?P<kind>[^/]+?)(?:_\d+)?/vars/(?P<number>\d+)")
# Class of a layer in paths -> its weights in Keras's order. A linear layer has a kernel, and may
# have a bias; batch normalization may lack the scale, as Slim's does.
_IN_ORDER = {
    "separable_conv2d": ("depthwise_kernel", "pointwise_kernel", "bias"),
    "batch_normalization": ("gamma", "beta", "moving_mean", "moving_variance"),
}
_LINEAR = ("kernel", "bias")
# The band of ones by which `zoo.to_native` sums over neighbouring channels: a constant.
CONSTANTS = "-neighbours"


class NamedLayers(Checkpoint):
    """A weights file of Keras 3, its names "layer/weight". Closing it closes the original."""

    format = "hdf5"

    def __init__(self, original: Hdf5Checkpoint, paths: dict[str, str]) -> None:
        """`paths`: name -> path in the original."""
        tensors = {
            name: Tensor(original.shape(path), original.dtype(path), path)
            for name, path in paths.items()
        }
        super().__init__(original.path, tensors)
        self._original = original
        self._on_close.append(original.close)

    def _read(self, name: str, tensor: Tensor, check: bool) -> np.ndarray:
        return self._original.read(tensor.where, check=check)


def by_layer(opened: Hdf5Checkpoint) -> Checkpoint:
    """The file under its layers' names, if these are TF1 scopes with '-' for '/', as
    `zoo.to_native` names layers; else the file as it is."""
    layers: dict[str, dict[int, str]] = defaultdict(dict)
    kinds = {}
    for path in opened.weights:
        name, place = opened.layer_name(path), _PLACE.fullmatch(path)
        if name is None or place is None or int(place["number"]) in layers[name]:
            return opened
        layers[name][int(place["number"])] = path
        kinds[name] = place["kind"]
    if not any("-" in name for name in layers):
        return opened
    paths = {}
    for name, numbered in layers.items():
        if not name.endswith(CONSTANTS):
            weights = _weights(kinds[name], len(numbered))
            for place, number in enumerate(sorted(numbered)):
                weight = weights[place] if place < len(weights) else number
                paths[f"{name}/{weight}"] = numbered[number]
    return NamedLayers(opened, paths)


def _weights(kind: str, count: int) -> Sequence[str]:
    weights = _IN_ORDER.get(kind, _LINEAR)
    return weights[1:] if kind == "batch_normalization" and count < len(weights) else weights


def is_keras_file(path: str | os.PathLike) -> bool:
    return Path(path).suffix == ".keras" and Path(path).is_file()


def open_keras_file(path: str | os.PathLike) -> Hdf5Checkpoint:
    """The weights in a `.keras` file, under the paths that they have there.

    Raises:
        CheckpointFormatError: it is damaged, or has no weights in HDF5.
    """
    folder = tempfile.mkdtemp(prefix="zoo-keras-")
    try:
        with reading(path, "unpacking its weights"), open_zip(path) as archive:
            if _MEMBER not in archive.namelist():
                raise CheckpointFormatError(
                    f"The Keras model {path} has no {_MEMBER} inside.",
                    received=", ".join(archive.namelist()[:5]),
                    next_step="Save it whole with Keras 3: model.save(PATH).",
                )
            check_expansion(path, archive)
            archive.extract(_MEMBER, folder)
        opened = Hdf5Checkpoint(path, str(Path(folder, _MEMBER)))
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    opened._on_close.append(lambda: shutil.rmtree(folder, ignore_errors=True))
    return opened
