"""Slim's evaluation preprocessing, as TensorFlow ops.

Sources: preprocess_for_eval in tensorflow/models, research/slim/preprocessing,
inception_preprocessing.py, vgg_preprocessing.py, cifarnet_preprocessing.py and
lenet_preprocessing.py, in their last versions for TF1. The numbers
are held to those of TensorFlow 1.15.5 (tools/record_preprocessing.py).
"""

from __future__ import annotations

from collections.abc import Callable

import tensorflow as tf

from zoo.errors import InputShapeError

Size = tuple[int, int]

# The most pixels that VGG's first resize may make: a strip of 1 x 100000 would become
# 256 x 25600000.
MAX_RESIZED_PIXELS = 2**26


def inception(images: tf.Tensor, size: Size) -> tf.Tensor:
    """The middle 87.5% of height and width, resized regardless of aspect, in [-1, 1].

    Args:
        images: (N, H, W, 3), uint8 or float32 in [0, 1].
        size: height and width of the result.
    """
    images = tf.image.convert_image_dtype(images, tf.float32)
    images = tf.image.central_crop(images, 0.875)
    return (_resize(images, size) - 0.5) * 2.0


def vgg(images: tf.Tensor, size: Size) -> tf.Tensor:
    """The short side resized to 256, the middle cut out, less the mean colour; not scaled.

    A size that does not fit in 256 keeps the ratio of 224 to 256: the short side becomes
    `size * 256 / 224`, rounded. (Slim fails there.)

    Args:
        images: (N, H, W, 3), uint8 or float32 in [0, 1].
        size: height and width of the result.
    """
    images = _to_255(images)
    larger = max(size)
    short_side = 256 if larger <= 256 else round(larger * 256 / 224)

    # In float32 and to the nearest even, as Slim computes it.
    shape = tf.cast(tf.shape(images)[1:3], tf.float32)
    scaled = tf.math.rint(shape * (short_side / tf.reduce_min(shape)))
    with tf.control_dependencies(_assert_strip_fits(images, scaled)):
        scaled = tf.cast(scaled, tf.int32)
    images = _resize(images, scaled)

    top, left = tf.unstack((scaled - size) // 2)
    images = images[:, top : top + size[0], left : left + size[1]]
    images = tf.ensure_shape(images, [None, *size, 3])
    # Slim's rounding of Caffe's 123.68, 116.779, 103.939.
    return images - tf.constant([123.68, 116.78, 103.94])


def cifarnet(images: tf.Tensor, size: Size) -> tf.Tensor:
    """The middle cut out, or black added around it, not resized; then less the image's mean, by
    the standard deviation of its values.

    Args:
        images: (N, H, W, 3), uint8 or float32 in [0, 1].
        size: height and width of the result.
    """
    images = tf.image.resize_with_crop_or_pad(_to_255(images), *size)
    return tf.image.per_image_standardization(images)


def lenet(images: tf.Tensor, size: Size) -> tf.Tensor:
    """The middle cut out, or black added around it, not resized; grey, in [-1, 1).

    Grey images are left as they are; of colours the luminance is taken. (Slim has grey digits
    alone.)

    Args:
        images: (N, H, W, 3), uint8 or float32 in [0, 1].
        size: height and width of the result.

    Returns:
        float32 (N, height, width, 1).
    """
    images = tf.image.resize_with_crop_or_pad(_to_255(images), *size)
    one = images[..., :1]
    is_grey = tf.reduce_all(images == one, axis=-1, keepdims=True)
    return (tf.where(is_grey, one, tf.image.rgb_to_grayscale(images)) - 128.0) / 128.0


lenet.channels = 1


def _to_255(images: tf.Tensor) -> tf.Tensor:
    return images * 255.0 if images.dtype.is_floating else tf.cast(images, tf.float32)


def _assert_strip_fits(images: tf.Tensor, scaled: tf.Tensor) -> list:
    """Refuse an image so long and thin that the first resize would fill the memory."""
    pixels = tf.reduce_prod(scaled)
    if tf.is_symbolic_tensor(pixels):
        check = tf.debugging.Assert(pixels <= MAX_RESIZED_PIXELS, ["Too long and thin:", scaled])
        return [check] if check is not None else []
    if pixels > MAX_RESIZED_PIXELS:
        raise InputShapeError(
            "This image is too long and thin for VGG preprocessing.",
            received=f"{images.shape[1]} x {images.shape[2]} pixels",
            accepted=f"at most {MAX_RESIZED_PIXELS} pixels once the short side is resized",
            next_step="Crop it first: only the middle square is used.",
        )
    return []


def _resize(images: tf.Tensor, size) -> tf.Tensor:
    """TF1's bilinear resize: corners not aligned, pixel centres not at one half, no smoothing."""
    return tf.raw_ops.ResizeBilinear(
        images=images, size=size, align_corners=False, half_pixel_centers=False
    )


# Each kind takes (N, H, W, 3) images, uint8 or float32 in [0, 1], and a size, and returns float32
# (N, height, width, 3), or other channels that its attribute `channels` tells. Put a function of
# your own here to have another kind.
KINDS: dict[str, Callable[[tf.Tensor, Size], tf.Tensor]] = {
    "inception": inception,
    "vgg": vgg,
    "cifarnet": cifarnet,
    "lenet": lenet,
}

# The same for people to read, of a `size` in pixels.
IN_WORDS = {
    "inception": "the middle 87.5 % of height and width, resized to {size}, values in [-1, 1]",
    "vgg": "the short side resized to 256, the middle {size} cut out, less the mean colour",
    "cifarnet": "the middle {size} cut out or padded, less its mean, by its standard deviation",
    "lenet": "the middle {size} cut out or padded, grey, values in [-1, 1)",
}
