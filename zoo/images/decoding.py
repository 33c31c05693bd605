"""From a network's outputs to named classes."""

from __future__ import annotations

import operator
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from zoo.errors import ArgumentError, InputShapeError
from zoo.images.labels import BACKGROUND, Label, imagenet_labels


class Prediction(NamedTuple):
    """One class that a network saw in an image.

    Attributes:
        index: the class's index in the outputs, background included.
        synset: its WordNet synset id; None for the background and for labels of one's own.
        name: its name.
        score: the network's number for it, as it stands in the outputs.
    """

    index: int
    synset: str | None
    name: str
    score: float


def decode(
    outputs,
    *,
    top: int = 5,
    label_offset: int = 0,
    labels: Sequence[str | Label] | None = None,
) -> list[list[Prediction]]:
    """The `top` best classes of each image, best first.

    Args:
        outputs: probabilities or logits of shape (N, C), or (C,) for one image; an array or an
            eager tensor of any floating dtype. Scores are reported as given: pass probabilities
            to see probabilities.
        top: how many classes to report; more than C reports all C.
        label_offset: how many classes stand before the first label: 0 for networks of 1000
            ImageNet classes, 1 for those of 1001, where index 0 is the background.
        labels: names of one's own, in the order of the outputs, with or without the background;
            ImageNet's by default.

    Returns:
        One list per image (so a list of one list for outputs of shape (C,)). Of equal scores the
        lower index comes first.

    Raises:
        InputShapeError: the outputs are not (N, C) or (C,), are no numbers, or hold NaN.
        ArgumentError: the number of labels is not that of the classes, or top or label_offset is
            out of range.
    """
    scores = _checked_scores(outputs)
    top = _checked_top(top)
    rows = labels_of_classes(labels, scores.shape[1], label_offset)
    best = np.argsort(-scores, axis=1, kind="stable")[:, :top]
    return [
        [Prediction(int(i), *rows[i], float(image[i])) for i in indices]
        for image, indices in zip(scores, best, strict=True)
    ]


def _checked_scores(outputs) -> np.ndarray:
    accepted = "an array or an eager tensor of shape (images, classes) or (classes,)"
    try:
        scores = np.asarray(outputs)
        if scores.dtype not in (np.float32, np.float64):  # bfloat16 can't be sorted
            scores = scores.astype(np.float32)
    except (TypeError, ValueError, NotImplementedError) as error:
        raise InputShapeError(
            "The outputs to decode are no array of numbers.",
            received=type(outputs).__name__,
            accepted=accepted,
        ) from error
    if scores.ndim not in (1, 2) or scores.shape[-1] == 0:
        raise InputShapeError(
            "The outputs to decode have the wrong shape.",
            received=f"shape {scores.shape}",
            accepted=accepted,
            next_step="Decode the logits or predictions of a classifier, not its feature maps.",
        )
    scores = np.atleast_2d(scores)
    broken = np.flatnonzero(np.isnan(scores).any(axis=1))
    if broken.size:
        raise InputShapeError(
            "The outputs to decode hold NaN, so no class is the best.",
            received=f"NaN in image {broken[0]} of {len(scores)} ({broken.size} images have it)",
            next_step="Check the weights (a half-loaded checkpoint?) and the input's range.",
        )
    return scores


def _checked_top(top: int) -> int:
    try:
        count = operator.index(top)
    except TypeError:
        count = 0
    if count < 1 or isinstance(top, bool):
        raise ArgumentError(
            "`top` is the number of classes to report.",
            received=repr(top),
            accepted="a whole number from 1",
        )
    return count


def labels_of_classes(labels, classes: int, label_offset: int) -> list[Label]:
    """One label for each class of the outputs; the arguments are those of `decode`.

    Raises:
        ArgumentError: the number of labels is not that of the classes.
    """
    if label_offset not in (0, 1):
        raise ArgumentError(
            "`label_offset` is the number of classes before the first label.",
            received=repr(label_offset),
            accepted="0 (no background class) or 1 (index 0 is the background)",
        )
    own = labels is not None
    rows = [_as_label(label) for label in labels] if own else imagenet_labels()
    if own and len(rows) == classes:
        return rows
    if len(rows) + label_offset == classes:
        return [BACKGROUND] * label_offset + rows

    whose = "labels= has" if own else "ImageNet has"
    if not own and classes in (1000, 1001):
        next_step = f"Pass label_offset={classes - 1000}."
    elif own:
        next_step = f"Pass labels= with {classes} names, in the order of the outputs."
    else:
        next_step = (
            f"Pass the names of your own {classes} classes: labels=['first', 'second', ...]."
        )
    raise ArgumentError(
        f"The outputs have {classes} classes, but {whose} {len(rows)} labels.",
        received=f"outputs of {classes} classes, label_offset={label_offset}",
        accepted=f"{len(rows) + label_offset} classes, or other labels",
        next_step=next_step,
    )


def _as_label(label) -> Label:
    return label if isinstance(label, Label) else Label(None, str(label))
