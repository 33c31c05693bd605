"""What a maker of a form gives back: how to run one step of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib import metadata
from typing import NamedTuple

import numpy as np

# Of gradient descent: so small that a thousand steps on noise leave the values finite.
LEARNING_RATE = 1e-6


class Batch(NamedTuple):
    """Images, float32, (batch, height, width, channels), and labels, int32, (batch,)."""

    images: np.ndarray
    labels: np.ndarray


@dataclass(frozen=True)
class Runnable:
    """A form of a network, ready to run.

    Attributes:
        put: a batch -> the same on the device.
        step: takes that, and returns when all is computed: logits, or a training step's loss.
        runtime: the library: "torch 2.13.0".
        fetch: what `step` returned -> NumPy.
        multiplications: of one image, where it is not the network's own; None where it is, or
            is not known.
        how: what is known of that after the first step alone: "compiled", or "eager".
        timed: False where it only serves to compare with.
    """

    put: Callable[[Batch], object]
    step: Callable[[object], object]
    runtime: str
    fetch: Callable[[object], np.ndarray] = np.asarray
    multiplications: int | None = None
    how: Callable[[], str] | None = None
    timed: bool = True


def version(package: str, *more: str) -> str:
    """ "torch 2.13.0, compiled"."""
    return ", ".join([f"{package} {metadata.version(package)}", *more])
