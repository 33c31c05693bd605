"""Networks of keras.applications as objects: made, filled from a file, and read by name."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Mapping
from pathlib import Path

import keras
import numpy as np

from zoo.checkpoints.checkpoint import Checkpoint, Tensor
from zoo.dialects.counterpart import Counterpart
from zoo.dialects.hdf5 import Hdf5Checkpoint, reading
from zoo.dialects.named_layers import CONSTANTS
from zoo.errors import CheckpointMismatchError

_NUMBERED = re.compile(r"(conv2d|batch_normalization)(?:_(\d+))?")


class KerasCheckpoint(Checkpoint):
    """The weights of a Keras model, as "layer/weight".

    Layers that Keras numbers as they are made, in one count for the whole process, are numbered
    from 0 here: "conv2d", "conv2d_1", ...
    """

    format = "keras"

    def __init__(self, path: str, model: keras.Model) -> None:
        named = named_weights(model).items()
        self._weights = {
            name: weight for name, weight in named if not name.split("/")[0].endswith(CONSTANTS)
        }
        super().__init__(
            path,
            {
                name: Tensor(tuple(weight.shape), np.dtype(weight.dtype))
                for name, weight in self._weights.items()
            },
        )

    def _read(self, name: str, tensor: Tensor, check: bool) -> np.ndarray:
        return keras.ops.convert_to_numpy(self._weights[name])


def named_weights(model: keras.Model) -> dict[str, keras.Variable]:
    """The model's weights by "layer/weight", in the order of its layers."""
    numbers: dict[str, list[int]] = {}
    for layer in model.layers:
        if match := _NUMBERED.fullmatch(layer.name):
            numbers.setdefault(match[1], []).append(int(match[2] or 0))
    places = {
        kind: {number: place for place, number in enumerate(sorted(found))}
        for kind, found in numbers.items()
    }
    named = {}
    for layer in model.layers:
        name = layer.name
        if match := _NUMBERED.fullmatch(name):
            place = places[match[1]][int(match[2] or 0)]
            name = f"{match[1]}_{place}" if place else match[1]
        for weight in layer.weights:
            if "seed_generator" not in weight.path:
                named[f"{name}/{weight.name}"] = weight
    return named


def make(counterpart: Counterpart, classes: int) -> keras.Model:
    """The application, with so many classes and logits as its output; random weights."""
    return getattr(keras.applications, counterpart.name)(
        weights=None, classes=classes, classifier_activation=None, **counterpart.arguments
    )


def fill_from_file(model: keras.Model, opened: Hdf5Checkpoint) -> None:
    """Keras's own loading, which knows every layout of its files, strictly."""
    with tempfile.TemporaryDirectory(prefix="zoo-keras-") as folder:
        # Keras tells the layouts apart by how the file's name ends.
        link = Path(folder, "model.h5" if opened.is_legacy else "model.weights.h5")
        link.symlink_to(Path(opened.file).resolve())
        with reading(opened.file, "loading it into the application"):
            model.load_weights(link)


def assign(model: keras.Model, arrays: Mapping[str, np.ndarray]) -> None:
    """Gives the model these weights, all of its weights.

    Raises:
        CheckpointMismatchError: the names or the shapes are not the model's.
    """
    weights = named_weights(model)
    wrong = [
        (name, tuple(weights[name].shape), array.shape)
        for name, array in arrays.items()
        if name in weights and tuple(weights[name].shape) != array.shape
    ]
    missing, unexpected = sorted(weights.keys() - arrays), sorted(arrays.keys() - weights)
    if missing or unexpected or wrong:
        raise CheckpointMismatchError(
            f"The weights are not those of {model.name} in this Keras.",
            received=", ".join([*missing, *unexpected, *(name for name, *_ in wrong)][:6]),
            missing=missing,
            unexpected=unexpected,
            wrong_shape=wrong,
            next_step=f"keras {keras.__version__} is installed: use another version.",
        )
    for name, array in arrays.items():
        weights[name].assign(array)
