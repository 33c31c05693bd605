"""Images in, names out: Slim's evaluation preprocessing and the ImageNet labels.

Nothing is imported until it is used, so this package costs no TensorFlow.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from zoo.images.decoding import Prediction, decode
    from zoo.images.files import ImageNotFoundError, read_image
    from zoo.images.kinds import KINDS
    from zoo.images.labels import BACKGROUND, Label, imagenet_labels
    from zoo.images.preprocessing import preprocess

_MODULES = {
    "Prediction": "decoding",
    "decode": "decoding",
    "ImageNotFoundError": "files",
    "read_image": "files",
    "BACKGROUND": "labels",
    "Label": "labels",
    "imagenet_labels": "labels",
    "KINDS": "kinds",
    "preprocess": "preprocessing",
}

__all__ = [
    "BACKGROUND",
    "KINDS",
    "ImageNotFoundError",
    "Label",
    "Prediction",
    "decode",
    "imagenet_labels",
    "preprocess",
    "read_image",
]


def __getattr__(name: str):
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_MODULES[name]}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
