"""The weights and the input that the recorded TensorFlow 1.15.5 values belong to.

Both are functions of names, shapes and fixed seeds, so no weights are stored.
"""

from __future__ import annotations

import zlib

import numpy as np


def weights(name: str, shape: tuple[int, ...]) -> np.ndarray:
    """The float32 value of a variable, by its TF1 name (without ":0") and shape."""
    rng = np.random.RandomState(zlib.crc32(name.encode()) & 0xFFFFFFFF)
    kind = name.rpartition("/")[2]
    if kind == "moving_variance":
        value = rng.uniform(0.5, 1.5, shape)
    elif kind == "moving_mean":
        value = rng.normal(0, 0.1, shape)
    elif kind == "gamma":
        value = rng.uniform(0.8, 1.2, shape)
    elif kind in ("beta", "biases", "bias"):
        value = rng.normal(0, 0.05, shape)
    elif kind == "depthwise_weights":
        value = rng.normal(0, np.sqrt(2 / np.prod(shape[:2])), shape)
    elif len(shape) >= 2:
        value = rng.normal(0, np.sqrt(2 / np.prod(shape[:-1])), shape)
    else:
        value = rng.normal(0, 0.1, shape)
    return value.astype(np.float32)


def images(shape: tuple[int, ...]) -> np.ndarray:
    """The float32 input batch, uniform in [-1, 1]."""
    return np.random.RandomState(0).uniform(-1, 1, shape).astype(np.float32)
