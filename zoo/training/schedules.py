"""Learning rates over a training run."""

from __future__ import annotations

import keras

from zoo.errors import ArgumentError, nearest_names

Schedule = keras.optimizers.schedules.LearningRateSchedule


def _exponential(rate: float, steps_per_epoch: int, epochs: int) -> Schedule:
    """Slim's: times 0.94 every two epochs (train_image_classifier.py)."""
    return keras.optimizers.schedules.ExponentialDecay(
        rate, decay_steps=max(1, 2 * steps_per_epoch), decay_rate=0.94, staircase=True
    )


def _cosine(rate: float, steps_per_epoch: int, epochs: int) -> Schedule:
    """Half a cosine, down to 0 at the last step (https://arxiv.org/abs/1608.03983)."""
    return keras.optimizers.schedules.CosineDecay(rate, decay_steps=steps_per_epoch * epochs)


SCHEDULES = {"exponential": _exponential, "cosine": _cosine, "fixed": lambda rate, *_: rate}


def learning_rate(
    schedule: str, rate: float, *, steps_per_epoch: int, epochs: int
) -> float | Schedule:
    """What a Keras optimizer takes as its learning rate.

    Args:
        schedule: "fixed", "exponential" (Slim's) or "cosine".
        rate: the first step's.
        steps_per_epoch, epochs: the length of the run.

    Raises:
        ArgumentError: there is no such schedule.
    """
    if schedule not in SCHEDULES:
        raise ArgumentError(
            "There is no schedule of this name.",
            received=repr(schedule),
            accepted=", ".join(SCHEDULES),
            nearest=nearest_names(str(schedule), SCHEDULES),
        )
    return SCHEDULES[schedule](rate, steps_per_epoch, epochs)
