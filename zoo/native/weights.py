"""Native models from TF1 checkpoints, by their weight map."""

from __future__ import annotations

import os
from collections.abc import Sequence

import keras

from zoo import checkpoints
from zoo.errors import ArgumentError, ConversionError
from zoo.native.weight_map import WeightMap, weights_of


def load_weights(
    native: keras.Model,
    tf1_ckpt: str | os.PathLike,
    weight_map: WeightMap | None = None,
    *,
    name_map: checkpoints.NameMap | None = None,
    allow_missing: Sequence[str] = (),
    allow_unexpected: Sequence[str] = (),
) -> checkpoints.LoadReport:
    """Gives a native model the values of a TF1 checkpoint, strictly matched by TF1 names.

    Args:
        native: a model of `zoo.to_native`, or one loaded from the file that it was saved to.
        tf1_ckpt: in any form that `zoo.open_checkpoint` reads.
        weight_map: the model's; not needed for one that comes of `zoo.to_native` itself.
        name_map, allow_missing, allow_unexpected: as in `zoo.load`.

    Returns:
        What was loaded, by TF1 names.

    Raises:
        ArgumentError: there is no weight map, or it is another model's.
        ConversionError: batch normalization was folded into the weights.
        CheckpointMismatchError: the checkpoint is not this network's; the model stays as it was.
    """
    weight_map = weight_map or getattr(native, "weight_map", None)
    if weight_map is None:
        raise ArgumentError(
            "A native model that was loaded from a file does not know its TF1 names.",
            next_step="weight_map=zoo.native.WeightMap.read(PATH), of what "
            "model.weight_map.save(PATH) or `zoo map NAME --json` wrote.",
        )
    variables = _variables(native, weight_map)
    return checkpoints.load(
        tf1_ckpt,
        variables,
        name_map,
        allow_missing=allow_missing,
        allow_unexpected=[*allow_unexpected, *weight_map.left_out],
    )


def _variables(native: keras.Model, weight_map: WeightMap) -> dict[str, keras.Variable]:
    weights = weights_of(native)
    variables = {}
    for entry in weight_map:
        if entry.how == "folded":
            raise ConversionError(
                "Batch normalization is folded into this model's weights: they are no TF1 "
                "variables any more.",
                received=f"{entry.path}, made of {', '.join(entry.tf1)}",
                next_step="zoo.load(NAME, tf1_ckpt=...), then to_native(..., "
                "fold_batch_norm=True).",
            )
        weight = weights.get(entry.path)
        if weight is None or tuple(weight.shape) != entry.shape:
            raise ArgumentError(
                "The weight map is not this model's.",
                received=f"{entry.path} of shape {entry.shape}",
                accepted="the model has "
                + ("no such weight" if weight is None else f"shape {tuple(weight.shape)}"),
            )
        if entry.how == "same":
            variables[entry.tf1[0]] = weight
    return variables
