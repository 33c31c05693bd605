"""A `.keras` file of plain Keras layers, for Keras alone on any backend."""

from __future__ import annotations

import os
from pathlib import Path

import keras

from zoo.atomic import replacing
from zoo.errors import ArgumentError
from zoo.native import to_native


def to_keras(
    model: keras.Model, file: str | os.PathLike, *, fold_batch_norm: bool = False
) -> list[Path]:
    """Writes what `zoo.to_native` makes of a model, and its weight map beside it.

    Args:
        model: what `zoo.load` or `zoo.wrap` returned, or a functional model built on such.
        file: a name that ends in `.keras`; its folder is made if it is not there.
        fold_batch_norm: as in `zoo.to_native`: faster, and for inference alone.

    Returns:
        The paths of the model, which `keras.saving.load_model` loads where zoo is not
        installed, and of the map, NAME.weight_map.json.

    Raises:
        ArgumentError: the file's name does not end in `.keras`.
        ConversionError: an operation of the network has no counterpart in Keras.
    """
    file = Path(file)
    if file.suffix != ".keras":
        raise ArgumentError(
            "Keras knows its files by their names.",
            received=file.name,
            accepted="a name that ends in .keras",
        )
    native = to_native(model, fold_batch_norm=fold_batch_norm)
    weight_map = file.with_suffix(".weight_map.json")
    file.parent.mkdir(parents=True, exist_ok=True)
    with replacing(file, weight_map) as (model_made, map_made):
        native.save(model_made)
        native.weight_map.save(map_made)
    return [file, weight_map]
