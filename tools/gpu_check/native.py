"""Native models on the Keras backend of this process, with weights by rule."""

from __future__ import annotations

import json
import math

import keras
import numpy as np

from gpu_check.bundle import NativeFiles
from zoo.validation import recipe


class Empty(keras.initializers.Initializer):
    """Zeros that no device computes: a backend that compiles would do so for every shape, and
    values come afterwards."""

    def __call__(self, shape, dtype=None):
        return np.zeros(shape, np.float32)

    def get_config(self) -> dict:
        return {}


def native_model(files: NativeFiles, policy: str = "float32") -> keras.Model:
    """From images to logits, with the recipe's weights.

    Args:
        files: of the bundle.
        policy: a Keras dtype policy: "float32", "bfloat16", "mixed_bfloat16".
    """
    config = _changed(files.config, policy)
    model = keras.models.model_from_json(json.dumps(config), custom_objects={"Empty": Empty})
    constants = files.constants
    for entry in files.weight_map["weights"]:
        variable = _variable(model, entry)
        if entry["how"] == "constant":
            value = constants[f"{entry['layer']}/{entry['weight']}"]
        else:
            value = recipe.weights(entry["tf1"][0], tuple(entry["shape"]))
        variable.assign(value)
    return model


def tf1_names(model: keras.Model, files: NativeFiles) -> dict[int, str]:
    """id of a variable -> its TF1 name."""
    entries = [one for one in files.weight_map["weights"] if one["how"] == "same"]
    return {id(_variable(model, entry)): entry["tf1"][0] for entry in entries}


def as_tf1_moves(model: keras.Model, batch: int, files: NativeFiles, averages: dict) -> dict:
    """Moving averages after one step, with each variance as TF1's fused kernel moves it.

    That one, which takes batches of images, moves it by the unbiased variance of n values of a
    channel, n / (n - 1) times the biased one, which Keras takes.
    """
    names, moved = tf1_names(model, files), dict(averages)
    for layer in model.layers:
        if isinstance(layer, keras.layers.BatchNormalization) and len(layer.input.shape) == 4:
            name = names[id(layer.moving_variance)]
            before = recipe.weights(name, averages[name].shape)
            by_the_biased = averages[name] - layer.momentum * before
            values = batch * math.prod(layer.input.shape[1:-1])
            moved[name] = averages[name] + by_the_biased / (values - 1)
    return moved


def _variable(model: keras.Model, entry: dict) -> keras.Variable:
    return getattr(model.get_layer(entry["layer"]), entry["weight"])


def _changed(part, policy: str):
    """A configuration with another dtype policy, and without initializers."""
    if isinstance(part, list):
        return [_changed(one, policy) for one in part]
    if not isinstance(part, dict):
        return part
    if part.get("module") == "keras.initializers":
        return {"module": None, "class_name": "Empty", "registered_name": "Empty", "config": {}}
    if part.get("class_name") == "DTypePolicy":
        return {**part, "config": {"name": policy}}
    changed = {key: _changed(value, policy) for key, value in part.items()}
    if part.get("class_name") == "InputLayer":
        changed["config"]["dtype"] = policy.removeprefix("mixed_")
    return changed
