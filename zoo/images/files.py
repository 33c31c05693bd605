"""Image files and PIL images, read into arrays.

JPEG files go through TensorFlow's decoder, as in Slim, whose pixels differ from PIL's by a few
steps in 255 (another chroma upsampling); all other files go through PIL, which gives the same
pixels as TensorFlow's lossless decoders and knows more of their variants. An alpha channel is
dropped and the EXIF orientation is not applied, as in Slim.
"""

from __future__ import annotations

import contextlib
import io
import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import tensorflow as tf
from PIL import Image

from zoo.errors import ImageError

# PIL opens these alone: some of its other readers start programs (EPS).
FORMATS = ("JPEG", "PNG", "GIF", "BMP", "WEBP")

_ACCEPTED = "a JPEG, PNG, GIF, BMP or WebP file"


class ImageNotFoundError(ImageError, FileNotFoundError):
    """There is no image file at this path."""


def read_image(path: str | os.PathLike) -> np.ndarray:
    """The pixels of an image file: uint8, (height, width, 3), RGB.

    Of an animation this is the first frame; of 16-bit samples the high byte, as TensorFlow's
    decode_png keeps.

    Raises:
        ImageNotFoundError: nothing is there.
        ImageError: the file is no image of these formats, is damaged or cut short, or has more
            than `PIL.Image.MAX_IMAGE_PIXELS` pixels. It is refused before it is decoded.
    """
    path = Path(path)
    with _as_image_errors(path, lambda: path.stat().st_size == 0):
        _check_is_file(path)
        return _decoded(path, path, path.read_bytes)


def decode_image(data: bytes, name: object = "bytes") -> np.ndarray:
    """The same of a file's bytes; errors call them by `name`."""
    with _as_image_errors(name, lambda: not data):
        return _decoded(io.BytesIO(data), name, lambda: data)


def _decoded(file, name: object, read_bytes: Callable[[], bytes]) -> np.ndarray:
    with Image.open(file, formats=FORMATS) as image:  # reads the header, not the pixels
        if image.format in ("JPEG", "MPO"):
            check_size(image, name)
            return _decode_jpeg(read_bytes(), name)
        return pil_to_array(image, name)


@contextlib.contextmanager
def _as_image_errors(name: object, is_empty: Callable[[], bool]) -> Iterator[None]:
    try:
        yield
    except ImageError:
        raise
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise _too_large(name, str(error)) from error
    except Image.UnidentifiedImageError as error:
        raise ImageError(
            "This image file is empty." if is_empty() else "This file is no image.",
            received=name,
            accepted=_ACCEPTED,
        ) from error
    except OSError as error:
        raise ImageError(
            "This file cannot be read.", received=f"{name} ({error})", accepted=_ACCEPTED
        ) from error


def read_image_op(path: tf.Tensor) -> tf.Tensor:
    """The same within a graph, by TensorFlow's ops: a scalar string -> uint8 (None, None, 3).

    Errors are TensorFlow's, raised when the graph runs; its decoders refuse images of more than
    2**29 bytes. Two things differ from `read_image`: BMP files must be RGB or RGBA, and WebP needs
    a TensorFlow whose `tf.io.decode_image` reads it (2.21 does).
    """
    return decode_image_op(tf.io.read_file(path))


def decode_image_op(data: tf.Tensor) -> tf.Tensor:
    """The same of the file's bytes."""
    image = tf.io.decode_image(data, channels=3, expand_animations=False)
    return tf.ensure_shape(image, [None, None, 3])


def decoding_failure(error: tf.errors.OpError) -> str:
    """What TensorFlow says of bytes that it cannot decode, in a line."""
    text = re.sub(r"^\{\{.*?\}\} ?|\[Op:.*", "", error.message.splitlines()[0])
    return text[:160].strip() or type(error).__name__


def pil_to_array(image: Image.Image, name: object = "a PIL image") -> np.ndarray:
    """A PIL image of any mode as uint8 RGB of (height, width, 3).

    Modes "I" and "I;16" are taken as 16 bits a sample; mode "F" stays float32 of (height, width),
    to be checked as an array is.
    """
    check_size(image, name)
    try:
        if image.mode == "F":
            return np.asarray(image)
        if image.mode.startswith("I"):
            return _high_byte(np.asarray(image), name)
        if image.mode == "P":  # straight to RGB, PIL warns of transparent palettes
            image = image.convert("RGBA")
        return np.asarray(image.convert("RGB"))
    except ImageError:
        raise
    except Exception as error:  # PIL's readers raise what they like on damaged files
        raise ImageError(
            "This image is damaged or cut short.",
            received=f"{name} ({image.format or 'in memory'}, mode {image.mode}: {error})",
            next_step="Write the file anew; does an image viewer show all of it?",
        ) from error


def check_size(image: Image.Image, name: object) -> None:
    """Refuse an image of too many pixels, which the header alone tells."""
    limit = Image.MAX_IMAGE_PIXELS
    if limit is not None and image.width * image.height > limit:
        raise _too_large(name, f"{image.width} x {image.height} pixels")


def _check_is_file(path: Path) -> None:
    if not path.exists():
        raise ImageNotFoundError(
            "There is no image at this path.",
            received=path,
            accepted=_ACCEPTED,
            next_step="Check the path; an image behind a URL has to be downloaded first.",
        )
    if not path.is_file():
        kind = "a directory" if path.is_dir() else "no regular file"
        raise ImageError(
            f"An image was expected, but this is {kind}.",
            received=path,
            accepted=f"{_ACCEPTED}, or a list of such files",
        )


def _decode_jpeg(data: bytes, name: object) -> np.ndarray:
    try:
        return tf.io.decode_jpeg(data, channels=3).numpy()
    except tf.errors.OpError as error:
        raise ImageError(
            "This JPEG file is damaged or cut short.",
            received=name,
            next_step="Write the file anew; does an image viewer show all of it?",
        ) from error


def _high_byte(samples: np.ndarray, name: object) -> np.ndarray:
    if samples.size and (samples.min() < 0 or samples.max() > 65535):
        raise ImageError(
            "This PIL image of whole numbers has values outside 16 bits.",
            received=f"{name}, values from {samples.min()} to {samples.max()}",
            accepted="values from 0 to 65535",
        )
    gray = (samples >> 8).astype(np.uint8)
    return np.repeat(gray[..., np.newaxis], 3, axis=-1)


def _too_large(name: object, size: str) -> ImageError:
    return ImageError(
        "This image has too many pixels to be decoded safely.",
        received=f"{name} ({size})",
        accepted=f"at most {Image.MAX_IMAGE_PIXELS} pixels",
        next_step="Shrink it, or raise PIL.Image.MAX_IMAGE_PIXELS if you trust the file.",
    )
