"""Preprocessed batches out of a source, read and decoded by many threads at once.

TensorFlow's operations decode and preprocess outside Python, so that `tf.data` keeps all cores
busy; processes would do no more, and would have to send the images to each other. A few batches
are in memory at a time.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator

import numpy as np
import tensorflow as tf

from zoo.errors import ZooError
from zoo.evaluation.sources import Source
from zoo.images.files import decode_image_op, decoding_failure


@dataclasses.dataclass(frozen=True)
class Batch:
    """A few images in the order of their places.

    Attributes:
        places: of the images that could be read, int64 (images,).
        images: preprocessed, float32 (images, height, width, channels).
        right: indices of the outputs that they should get, int64 (images,).
        skipped: (place, why) of those that could not be read.
    """

    places: np.ndarray
    images: tf.Tensor | None
    right: np.ndarray
    skipped: list[tuple[int, str]]


def batches(
    source: Source,
    positions: np.ndarray,
    start: int,
    prepare: Callable[[tf.Tensor], tf.Tensor],
    batch_size: int,
) -> Iterator[Batch]:
    """Batches of the images at these positions of the source; a place is an index of `positions`.

    Args:
        start: place of the first image.
        prepare: (height, width, 3) uint8 -> (height, width, channels) float32, as a graph.

    Raises:
        ArgumentError: the class of a record is none of the network's.
    """

    def load(place, position):
        read = tf.numpy_function(lambda p: source.read(int(p)), [position], tf.string)
        encoded, number, synset = source.parse(tf.ensure_shape(read, []))
        return place, prepare(decode_image_op(encoded)), number, synset

    places = np.arange(start, len(positions))
    dataset = (
        tf.data.Dataset.from_tensor_slices((places, positions[start:]))
        .map(load, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True)
        .ignore_errors()  # what fails is missing, and is then looked at alone
        .batch(batch_size)
        .prefetch(1)
    )
    expected = start
    for read, images, numbers, synsets in dataset:
        read = read.numpy()
        missing = np.setdiff1d(np.arange(expected, read[-1] + 1), read)
        expected = int(read[-1]) + 1
        right = [
            source.output(int(positions[place]), int(number), synset)
            for place, number, synset in zip(read, numbers.numpy(), synsets.numpy(), strict=True)
        ]
        yield Batch(
            read, images, np.array(right, np.int64), _why(source, positions, missing, prepare)
        )
    missing = np.arange(expected, len(positions))
    if missing.size:
        none = np.empty(0, np.int64)
        yield Batch(none, None, none, _why(source, positions, missing, prepare))


def _why(source, positions, places, prepare) -> list[tuple[int, str]]:
    return [(int(place), _why_not(source, int(positions[place]), prepare)) for place in places]


def _why_not(source: Source, position: int, prepare) -> str:
    """Why the image at a position cannot be read."""
    try:
        encoded, _, _ = source.parse(tf.constant(source.read(position)))
        prepare(decode_image_op(encoded))
    except OSError as error:
        return error.strerror or str(error)
    except tf.errors.OpError as error:
        return decoding_failure(error)
    except ZooError as error:
        return error.what
    return "it could not be read at first, and could later"
