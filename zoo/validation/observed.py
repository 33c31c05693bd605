"""What is observed of a network, by the TF1 graph and by the form of it that is validated."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np


@dataclass(frozen=True)
class Variable:
    """What a variable is, apart from its value."""

    shape: tuple[int, ...]
    trainable: bool


@dataclass(frozen=True)
class Inference:
    """What a network makes of a batch of images, in inference.

    Attributes:
        logits: of shape (batch, classes); features where the network has no classifier.
        end_points: by TF1 name, in the order of the network.
        regularization_loss: the sum of its regularization losses.
        predictions: what the model gives its users.
    """

    logits: np.ndarray
    end_points: dict[str, np.ndarray]
    regularization_loss: float
    predictions: np.ndarray | None = None

    @property
    def output(self) -> np.ndarray:
        """What the model gives its users, or else the logits."""
        return self.logits if self.predictions is None else self.predictions


@dataclass(frozen=True)
class Training:
    """Three steps of plain gradient descent.

    Attributes:
        losses: total loss before each step.
        gradients: of the first step, by TF1 name; a variable that the loss does not depend on is
            left out.
        averages: moving averages after the first step, by TF1 name.
        variables: all variables after the last step, by TF1 name.
        unbiased_by: TF1 name of a moving variance that moves by a batch's biased variance where
            the TF1 graph's moves by the unbiased one -> (1 / (n - 1) for n values of a channel,
            1 - momentum).
    """

    losses: list[float]
    gradients: dict[str, np.ndarray]
    averages: dict[str, np.ndarray]
    variables: dict[str, np.ndarray]
    unbiased_by: dict[str, tuple[float, float]] = field(default_factory=dict)


STEPS = 3
AUXILIARY_WEIGHT = 0.4  # of the auxiliary logits' loss, as Slim's training script weighs it
AUXILIARY_LOGITS = "AuxLogits"  # the end point


def labels(batch: int, classes: int) -> np.ndarray:
    """Labels of a batch: some, in no relation to the images."""
    return (3 + 2 * np.arange(batch)) % classes
