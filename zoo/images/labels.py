"""The names of ImageNet's 1000 classes.

imagenet_labels.txt lists them in the order that every ILSVRC2012 network uses, that of the sorted
synset ids. The names are those that Slim's datasets/imagenet.py prints.
"""

from __future__ import annotations

import functools
from importlib import resources
from typing import NamedTuple


class Label(NamedTuple):
    """One class: its WordNet synset id (None where it has none) and its name."""

    synset: str | None
    name: str


# Slim's networks with 1001 classes have this one at index 0. It was never trained on.
BACKGROUND = Label(None, "background")


def imagenet_labels() -> list[Label]:
    """The 1000 classes of ILSVRC2012, without the background class.

    Two pairs of classes share a name or a part of it (a "crane" is a bird, n02012849, or a
    machine, n03126707); the synset ids are unique.
    """
    return list(_imagenet_labels())


@functools.cache
def ilsvrc2012_ids() -> dict[int, str]:
    """ILSVRC2012_ID (1 to 1000), by which the development kit counts classes -> synset id."""
    text = resources.files("zoo.images").joinpath("ilsvrc2012_ids.txt").read_text("utf-8")
    synsets = (line for line in text.splitlines() if not line.startswith("#"))
    return dict(enumerate(synsets, start=1))


@functools.cache
def _imagenet_labels() -> tuple[Label, ...]:
    text = resources.files("zoo.images").joinpath("imagenet_labels.txt").read_text("utf-8")
    rows = (line.split("\t") for line in text.splitlines() if not line.startswith("#"))
    return tuple(Label(synset, name) for synset, name in rows)
