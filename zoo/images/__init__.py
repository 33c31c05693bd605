"""Images in, names out: Slim's evaluation preprocessing and the ImageNet labels.

Nothing is imported until it is used, so this package costs no TensorFlow.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from zoo.lazy import bound_on_use

if TYPE_CHECKING:
    from zoo.images.decoding import Prediction, decode
    from zoo.images.files import ImageNotFoundError, read_image
    from zoo.images.kinds import KINDS
    from zoo.images.labels import BACKGROUND, Label, imagenet_labels
    from zoo.images.preprocessing import preprocess

_HOME = {
    "Prediction": "zoo.images.decoding",
    "decode": "zoo.images.decoding",
    "ImageNotFoundError": "zoo.images.files",
    "read_image": "zoo.images.files",
    "BACKGROUND": "zoo.images.labels",
    "Label": "zoo.images.labels",
    "imagenet_labels": "zoo.images.labels",
    "KINDS": "zoo.images.kinds",
    "preprocess": "zoo.images.preprocessing",
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
__getattr__ = bound_on_use(__name__, _HOME)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
