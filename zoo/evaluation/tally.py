"""What a network said of each image, and the accuracy that this comes to.

It is counted as TF-Slim's eval_image_classifier.py counts: top-1 by `argmax`, where the lowest
index wins a tie; top-5 by `tf.nn.in_top_k`, where all classes that tie at the boundary are among
the five, and no class is if an output is infinite or NaN.
"""

from __future__ import annotations

import math

import numpy as np

TOP = 5

# A row for each image. `above` counts the classes with a greater output than the right one.
ROW = np.dtype(
    [
        ("right", "<i4"),
        ("predicted", "<i4"),
        ("above", "<i4"),
        ("loss", "<f8"),
        ("probability", "<f4"),
    ]
)
_SKIPPED = -1


class Tally:
    """Rows for the images of an evaluation, filled from the first on.

    Args:
        total: images in all.

    Attributes:
        rows: `ROW` (total,); of those that are not done yet, without meaning.
        done: how many are.
        skipped: place -> why the image there could not be read.
    """

    def __init__(self, total: int) -> None:
        self.rows = np.zeros(total, ROW)
        self.done = 0
        self.skipped: dict[int, str] = {}

    def add(self, places, rows: np.ndarray, skipped: list[tuple[int, str]]) -> None:
        """Takes up the next images: rows for those read, and the others with their reasons."""
        self.rows[places] = rows
        for place, why in skipped:
            self.rows[place]["right"] = _SKIPPED
            self.skipped[place] = why
        self.done += len(rows) + len(skipped)

    def counted(self) -> tuple[np.ndarray, np.ndarray]:
        """The places of the images that are done and could be read, and their rows."""
        rows = self.rows[: self.done]
        places = np.flatnonzero(rows["right"] != _SKIPPED)
        return places, rows[places]


def rows_of(outputs: np.ndarray, right: np.ndarray, *, are_logits: bool) -> np.ndarray:
    """The rows of a batch.

    Args:
        outputs: (images, classes), logits or else probabilities.
        right: (images,), indices of the right classes.

    Returns:
        `ROW` (images,). Where an output is no finite number, `predicted` is -1, `above` all
        classes and `loss` NaN.
    """
    outputs = np.asarray(outputs, np.float64)
    rows = np.zeros(len(outputs), ROW)
    each = np.arange(len(outputs))
    of_right = outputs[each, right]
    with np.errstate(invalid="ignore"):
        logs = _log_softmax(outputs) if are_logits else np.log(np.maximum(outputs, _TINY))
    rows["right"] = right
    rows["predicted"] = outputs.argmax(axis=1)
    rows["above"] = (outputs > of_right[:, None]).sum(axis=1)
    rows["loss"] = -logs[each, right]
    rows["probability"] = np.exp(logs[each, rows["predicted"]])
    broken = ~np.isfinite(outputs).all(axis=1)
    rows["predicted"][broken] = -1
    rows["above"][broken] = outputs.shape[1]
    rows["loss"][broken] = rows["probability"][broken] = math.nan
    return rows


_TINY = float(np.finfo(np.float32).tiny)


def _log_softmax(logits: np.ndarray) -> np.ndarray:
    shifted = logits - logits.max(axis=1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))


def top1(rows: np.ndarray) -> float:
    """Percent of the images whose greatest output is the right one."""
    return 100 * float((rows["predicted"] == rows["right"]).mean())


def top5(rows: np.ndarray) -> float:
    """Percent of the images of which fewer than five outputs are greater than the right one."""
    return 100 * float((rows["above"] < TOP).mean())


def standard_error(percent: float, images: int) -> float:
    """Of a percentage counted on so many images, in points: sqrt(p (1 - p) / n)."""
    share = percent / 100
    return 100 * math.sqrt(share * (1 - share) / images)
