"""What a network has to do at least: operations and bytes of its layers, and the time they take."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

from zoo.benchmarks.roofline import Roofline

_BYTES = {"float32": 4, "tf32": 4, "bfloat16": 2}
# A step forward and one back: of the two products back, one makes the gradient of the layer's
# input and one that of its kernel, each of as many operations as the one forward.
_TRAINING = 3


class Work(NamedTuple):
    """Of one layer that multiplies, for one image.

    Attributes:
        operations: a multiplication and an addition are two.
        moved: values read and written: the layer's input and output.
        weights: values of its kernel, which are read once a batch.
    """

    operations: int
    moved: int
    weights: int


def work_of(model) -> list[Work]:
    """Of a functional Keras model with channels last: each layer that has a kernel.

    All else (normalization, activations, pooling, sums) is taken to be done on the way.
    """
    return [_of_layer(layer) for layer in model.layers if _kernels(layer)]


def _of_layer(layer) -> Work:
    weights = sum(math.prod(kernel.shape) for kernel in _kernels(layer))
    places = math.prod(layer.output.shape[1:-1])
    moved = math.prod(layer.input.shape[1:]) + math.prod(layer.output.shape[1:])
    return Work(2 * weights * places, moved, weights)


def _kernels(layer) -> list:
    return [weight for weight in layer.weights if weight.name.endswith("kernel")]


def least_seconds(
    work: Sequence[Work], line: Roofline, batch: int, dtype: str, training: bool
) -> float:
    """Seconds that a batch takes at least: of each layer its operations, or its bytes."""
    size = _BYTES[dtype]
    passes = _TRAINING if training else 1
    return passes * sum(
        line.time(batch * layer.operations, size * (batch * layer.moved + layer.weights))
        for layer in work
    )


def operations(work: Sequence[Work], training: bool) -> int:
    """Of one image."""
    return (_TRAINING if training else 1) * sum(layer.operations for layer in work)
