"""A measured accuracy beside the published one, and whether they are the same."""

from __future__ import annotations

import dataclasses
import math

from zoo.evaluation.tally import standard_error
from zoo.registry import Accuracy

# Twice the standard error: 95 of 100 samples of the images that a figure is of lie within.
_WIDTH = 2.0
# Points. Below this much, by chance, images are enough to say that figures agree.
_RESOLUTION = 1.0
# The normal distribution stands for the binomial one from so many right and wrong images on.
_LEAST = 10


@dataclasses.dataclass(frozen=True)
class Comparison:
    """An evaluation against the figure that was published of the checkpoint.

    Attributes:
        checkpoint: full name in the registry.
        published: its figure.
        top1, top5: measured less published, in points; None where one is not known.
        standard_error: of top-1 on so many images if the published figure holds, in points.
        verdict: "agrees", "differs" or "cannot tell".
        why: the verdict's reason.
    """

    checkpoint: str
    published: Accuracy
    top1: float
    top5: float | None
    standard_error: float
    verdict: str
    why: str


def compare(
    checkpoint: str,
    published: Accuracy,
    *,
    top1: float,
    top5: float | None,
    images: int,
    classes: int,
    all_classes: int,
) -> Comparison:
    """Compares with a published figure.

    Args:
        top1, top5: measured, in percent.
        images: how many they were measured on.
        classes: how many classes these are of.
        all_classes: how many the published figure is of.
    """
    difference = top1 - published.top1
    error = standard_error(published.top1, images)
    verdict, why = _judge(difference, error, published.top1 / 100, images, classes, all_classes)
    both = top5 is not None and published.top5 is not None
    return Comparison(
        checkpoint,
        published,
        top1=difference,
        top5=top5 - published.top5 if both else None,
        standard_error=error,
        verdict=verdict,
        why=why,
    )


def _judge(difference, error, share, images, classes, all_classes) -> tuple[str, str]:
    if classes < all_classes:
        return "cannot tell", (
            f"the data have {classes} of the {all_classes} classes that the published figure is of"
        )
    chance = _WIDTH * error
    within = f"{abs(difference):.2f} points apart, where chance alone makes up to {chance:.2f}"
    enough = images * min(share, 1 - share) >= _LEAST
    if enough and abs(difference) > chance:
        return "differs", within
    if enough and chance <= _RESOLUTION:
        return "agrees", within
    needed = math.ceil(_WIDTH**2 * share * (1 - share) * 100**2 / _RESOLUTION**2)
    return "cannot tell", (
        f"on {images:,} images chance makes up to {chance:.2f} points; for one it takes {needed:,}"
    )
