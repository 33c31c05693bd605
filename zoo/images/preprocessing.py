"""Whatever is given as images, checked and preprocessed for a network."""

from __future__ import annotations

import operator
import os
from collections.abc import Iterator

import numpy as np
import tensorflow as tf
from PIL import Image

from zoo.errors import ArgumentError, ImageError, InputShapeError, nearest_names
from zoo.images.files import pil_to_array, read_image, read_image_op
from zoo.images.kinds import KINDS, Size

# Floats are refused beyond this distance from [0, 1]: room for a resize's rounding.
RANGE_TOLERANCE = 1e-4


@tf.autograph.experimental.do_not_convert
def preprocess(images, kind: str, size: int | Size) -> tf.Tensor:
    """Images as the networks of Slim take them in evaluation.

    Args:
        images: one of

            - the path of a JPEG, PNG, GIF, BMP or WebP file;
            - a PIL image of any mode;
            - an array: (H, W, C), (N, H, W, C) or grayscale (H, W), C being 1 or 3, of uint8 or
              of floats in [0, 1];
            - a list of these, whose sizes may differ;
            - a tensor, eager or symbolic, as inside `tf.data.Dataset.map`: pixels of
              (H, W, C) or (N, H, W, C) and the same dtypes, or strings of shape () or (N,),
              which are paths.
        kind: a name in `KINDS`: "inception", "vgg", "cifarnet" or "lenet".
        size: height and width of the result, or one number for both.

    Returns:
        float32 of (N, height, width, 3), for "lenet" of (N, height, width, 1), N being 1 for a
        single image: a batch, ready for `model.predict`. **A tensor alone keeps its rank:** one
        image (H, W, C), or one path, gives (height, width, 3), so that a dataset can be mapped
        before or after `.batch`.

    Raises:
        ImageError: something given is no image, or a damaged or too large one
            (ImageNotFoundError if it is a path where nothing is).
        InputShapeError: a wrong rank, number of channels, dtype or range of values. Symbolic
            tensors raise tf.errors.InvalidArgumentError when they run, for what only then shows,
            and AutoGraph may wrap zoo's errors in its own, with the same text.
        ArgumentError: no such kind, or no such size.
    """
    function = _checked_kind(kind)
    size = _checked_size(size)
    if tf.is_tensor(images):
        return _preprocess_tensor(images, function, size)
    results = [function(batch, size) for batch in _batches(images)]
    return results[0] if len(results) == 1 else tf.concat(results, axis=0)


def _preprocess_tensor(images: tf.Tensor, function, size: Size) -> tf.Tensor:
    """A tensor alone: the rank stays."""
    if not isinstance(images, tf.Tensor):
        if not isinstance(images, tf.Variable):
            raise _wrong_type(images)
        images = tf.convert_to_tensor(images)
    rank = images.shape.rank
    if rank is None:
        raise InputShapeError(
            "The rank of this tensor is unknown.",
            accepted="(H, W, C) or (N, H, W, C), or paths of shape () or (N,)",
            next_step="Decode with tf.io.decode_image(..., expand_animations=False), or call "
            "image.set_shape([None, None, 3]).",
        )
    if images.dtype == tf.string:
        if rank > 1:
            raise _wrong_shape(images.shape, "paths of shape () or (N,)")
        return _preprocess_path_tensor(images, function, size)
    if rank == 3:
        return function(_checked_batch(images[tf.newaxis]), size)[0]
    if rank == 4:
        return function(_checked_batch(images), size)
    raise _wrong_shape(images.shape, "a tensor of (H, W, C) or (N, H, W, C)")


def _preprocess_path_tensor(paths: tf.Tensor, function, size: Size) -> tf.Tensor:
    if tf.is_symbolic_tensor(paths):

        def read(path):
            return function(read_image_op(path)[tf.newaxis], size)[0]

        if paths.shape.rank == 0:
            return read(paths)
        spec = tf.TensorSpec([*size, getattr(function, "channels", 3)], tf.float32)
        return tf.map_fn(read, paths, fn_output_signature=spec)

    names = np.atleast_1d(paths.numpy())
    results = [function(batch, size) for batch in _batches([os.fsdecode(n) for n in names])]
    return results[0][0] if paths.shape.rank == 0 else tf.concat(results, axis=0)


def _batches(images) -> Iterator[tf.Tensor]:
    """Batches (N, H, W, 3), one for each thing given that is not itself a list."""
    if isinstance(images, str | os.PathLike):
        yield _checked_batch(_with_rank_4(read_image(images)))
    elif isinstance(images, Image.Image):
        yield _checked_batch(_with_rank_4(pil_to_array(images)))
    elif isinstance(images, list | tuple):
        if not images:
            raise InputShapeError("No images were given.", received="an empty list")
        for position, image in enumerate(images):
            yield _single_image(image, position)
    elif tf.is_tensor(images) or hasattr(images, "__array__"):
        array = _as_array(images)
        if array.dtype.kind in "UO" and array.ndim == 1:  # an array or a column of paths
            yield from _batches(array.tolist())
        else:
            yield _checked_batch(_with_rank_4(array))
    else:
        raise _wrong_type(images)


def _single_image(image, position: int) -> tf.Tensor:
    """One element of a list, as a batch of one."""
    if isinstance(image, list | tuple):
        raise ImageError(
            f"Element {position} of the list of images is itself a list.",
            next_step="Give numbers as a numpy array, and images in one flat list.",
        )
    if tf.is_tensor(image) and tf.is_symbolic_tensor(image):
        raise ImageError(
            "A list of symbolic tensors is not taken.",
            next_step="Inside tf.data, preprocess each image before batching.",
        )
    batches = list(_batches(image))
    if len(batches) != 1 or batches[0].shape[0] != 1 or getattr(image, "ndim", 3) == 4:
        raise InputShapeError(
            f"Element {position} of the list of images is not a single image.",
            received=f"shape {tuple(np.shape(image))}",
            accepted="(H, W, C) or (H, W) for each element",
            next_step="Give one array (N, H, W, C) instead of a list, or single images.",
        )
    return batches[0]


def _as_array(images) -> np.ndarray:
    try:
        return np.asarray(images)
    except Exception as error:  # foreign arrays raise what they like, as does a KerasTensor
        raise _wrong_type(images) from error


def _with_rank_4(array: np.ndarray) -> np.ndarray:
    if array.ndim == 2:
        return array[np.newaxis, :, :, np.newaxis]
    if array.ndim == 3:
        return array[np.newaxis]
    if array.ndim == 4:
        return array
    raise _wrong_shape(array.shape, "(H, W, C), (N, H, W, C) or grayscale (H, W)")


def _checked_batch(images) -> tf.Tensor:
    """(N, H, W, C) with three channels, uint8 or float32 in [0, 1]."""
    try:
        images = tf.convert_to_tensor(images)
    except (ValueError, TypeError) as error:
        raise _wrong_type(images) from error
    if images.dtype != tf.uint8 and not images.dtype.is_floating:
        raise InputShapeError(
            "Images of this dtype have no known range.",
            received=f"dtype {images.dtype.name}",
            accepted="uint8, or floats in [0, 1]",
            next_step="Values from 0 to 255: images.astype('uint8'); from 0 to 65535: "
            "images.astype('float32') / 65535.",
        )
    if 0 in images.shape.as_list():
        raise _wrong_shape(images.shape, "at least one image of at least one pixel")
    images = _with_three_channels(images)
    return _in_range(tf.cast(images, tf.float32)) if images.dtype.is_floating else images


def _with_three_channels(images: tf.Tensor) -> tf.Tensor:
    channels = images.shape[-1]
    if channels == 3:
        return images
    if channels == 1:
        return tf.repeat(images, 3, axis=-1)
    if channels is None:  # known only when the graph runs
        repeats = tf.where(tf.shape(images)[-1] == 1, 3, 1)
        return tf.ensure_shape(tf.repeat(images, repeats, axis=-1), [None, None, None, 3])
    if channels == 4:
        next_step = "Drop the alpha channel: images[..., :3]."
    elif images.shape[1] in (1, 3):
        next_step = "Are the channels first? Transpose to (N, H, W, C)."
    else:
        next_step = "Grayscale images of a batch need an axis of their own: images[..., None]."
    raise _wrong_shape(images.shape, "1 or 3 channels, in the last axis", next_step)


def _in_range(images: tf.Tensor) -> tf.Tensor:
    """The same images, if all values are in [0, 1]; NaN is not."""
    inside = tf.reduce_all((images >= -RANGE_TOLERANCE) & (images <= 1 + RANGE_TOLERANCE))
    if tf.is_symbolic_tensor(inside):
        check = tf.debugging.Assert(
            inside, ["Float images must be in [0, 1]; pass 0..255 as uint8"]
        )
        with tf.control_dependencies([check] if check is not None else []):
            return tf.identity(images)
    if inside:
        return images
    low, high = float(np.min(images)), float(np.max(images))
    if np.isnan(low):
        next_step = "Some values are NaN: where do they come from?"
    elif low >= 0 and high <= 255:
        next_step = "Values from 0 to 255: divide by 255, or images.astype('uint8')."
    else:
        next_step = "Give the images as they were, before any mean or scale was taken."
    raise InputShapeError(
        "Images of floats must have values in [0, 1].",
        received=f"values from {low:g} to {high:g}",
        accepted="uint8, or floats in [0, 1]",
        next_step=next_step,
    )


def _checked_kind(kind: str):
    if isinstance(kind, str) and kind in KINDS:
        return KINDS[kind]
    raise ArgumentError(
        "There is no preprocessing of this kind.",
        received=repr(kind),
        accepted=", ".join(KINDS),
        nearest=nearest_names(str(kind), KINDS),
    )


def _checked_size(size) -> Size:
    try:
        height, width = size if isinstance(size, tuple | list) else (size, size)
        height, width = operator.index(height), operator.index(width)
    except (TypeError, ValueError):
        height = width = 0
    if min(height, width) < 1:
        raise ArgumentError(
            "This is no size to preprocess images to.",
            received=repr(size),
            accepted="a whole number of pixels from 1, or (height, width)",
            next_step="A network with an input of unknown size needs the size said.",
        )
    return height, width


def _wrong_shape(shape, accepted: str, next_step: str | None = None) -> InputShapeError:
    shape = tuple(shape.as_list()) if isinstance(shape, tf.TensorShape) else tuple(shape)
    return InputShapeError(
        "Images do not have this shape.",
        received=f"shape {shape}",
        accepted=accepted,
        next_step=next_step,
    )


def _wrong_type(images) -> ImageError:
    next_step = None
    if isinstance(images, bytes | bytearray):
        next_step = "Open encoded bytes with PIL.Image.open(io.BytesIO(data))."
    return ImageError(
        "This is no image.",
        received=type(images).__name__,
        accepted="a path, a PIL image, an array, a tensor, or a list of images",
        next_step=next_step,
    )
