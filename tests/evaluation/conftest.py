"""Images of one colour: Slim's crop and resize leave them as they are, so what a network gets is
known without any preprocessing code, and what a linear one makes of it is known to NumPy."""

import dataclasses

import numpy as np
import pytest
from PIL import Image

CLASSES = ["ant", "bee", "cat", "dog", "elk", "fox", "gnu"]


@dataclasses.dataclass
class Photos:
    folder: object
    colours: np.ndarray  # (images, 3) uint8
    right: np.ndarray  # (images,)


@pytest.fixture(scope="session")
def photos(tmp_path_factory):
    """A folder with a subfolder for each of seven classes: 40 images in all."""
    folder = tmp_path_factory.mktemp("photos")
    random = np.random.RandomState(3)
    colours = random.randint(0, 256, (40, 3)).astype(np.uint8)
    right = np.sort(np.concatenate([np.arange(7), random.randint(0, 7, 33)]))
    for number, (colour, label) in enumerate(zip(colours, right, strict=True)):
        (folder / CLASSES[label]).mkdir(exist_ok=True)
        path = folder / CLASSES[label] / f"{number:02}.png"
        Image.new("RGB", (20 + number, 30), tuple(map(int, colour))).save(path)
    return Photos(folder, colours, right)


@pytest.fixture(scope="session")
def linear():
    """A network of seven outputs that are linear in the mean colour, its kernel and its bias."""
    import keras

    random = np.random.RandomState(4)
    kernel, bias = random.normal(0, 2, (3, 7)), random.normal(0, 1, 7)
    images = keras.Input((8, 8, 3))
    dense = keras.layers.Dense(7)
    logits = dense(keras.layers.GlobalAveragePooling2D()(images))
    model = keras.Model(images, keras.layers.Softmax()(logits), name="linear")
    dense.set_weights([kernel, bias])
    return model, kernel, bias


@pytest.fixture(scope="session")
def logits(photos, linear):
    """What the linear network should make of the photos, by NumPy in float64."""
    _, kernel, bias = linear
    return (photos.colours / 255 - 0.5) * 2 @ kernel + bias
