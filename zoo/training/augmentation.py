"""Slim's preprocessing for training, as `tf.data` ops that draw by a seed of their own.

Sources: preprocess_for_train in tensorflow/models, research/slim/preprocessing,
inception_preprocessing.py (in its fast mode, which the training script uses),
vgg_preprocessing.py, cifarnet_preprocessing.py and lenet_preprocessing.py. The same distributions;
not the same draws, since here an image's draw depends on its seed alone.
"""

from __future__ import annotations

from collections.abc import Callable

import keras
import tensorflow as tf

from zoo.images import kinds

Size = tuple[int, int]


def inception(image: tf.Tensor, size: Size, seed: tf.Tensor) -> tf.Tensor:
    """A random part (5% to all of the area, aspect 3:4 to 4:3), resized regardless of aspect,
    mirrored or not, with random brightness and saturation, in [-1, 1].

    Args:
        image: (H, W, 3), uint8 or float32 in [0, 1].
        size: height and width of the result.
        seed: int64 or int32 (2,).
    """
    seeds = tf.random.split(seed, 5)
    image = tf.image.convert_image_dtype(image, tf.float32)
    begin, extent, _ = tf.image.stateless_sample_distorted_bounding_box(
        tf.shape(image),
        tf.constant([[[0.0, 0.0, 1.0, 1.0]]]),
        seeds[0],
        min_object_covered=0.1,
        aspect_ratio_range=(0.75, 1.33),
        area_range=(0.05, 1.0),
        max_attempts=100,
        use_image_if_no_bounding_boxes=True,
    )
    image = tf.ensure_shape(tf.slice(image, begin, extent), [None, None, 3])
    image = kinds._resize(image[tf.newaxis], size)[0]
    image = tf.image.stateless_random_flip_left_right(image, seeds[1])

    def brighter_or_darker(image):
        return tf.image.stateless_random_brightness(image, 32 / 255, seeds[2])

    def saturated(image):
        return tf.image.stateless_random_saturation(image, 0.5, 1.5, seeds[3])

    # Of Slim's four orders in fast mode, one has brightness first.
    image = tf.cond(
        tf.random.stateless_uniform([], seeds[4]) < 0.25,
        lambda: saturated(brighter_or_darker(image)),
        lambda: brighter_or_darker(saturated(image)),
    )
    return (tf.clip_by_value(image, 0.0, 1.0) - 0.5) * 2.0


def vgg(image: tf.Tensor, size: Size, seed: tf.Tensor) -> tf.Tensor:
    """The short side resized to 256 to 512, a random part cut out, mirrored or not, less the mean
    colour.

    A size that does not fit in 256 keeps its ratio to 224, as in evaluation.

    Args:
        image: (H, W, 3), uint8 or float32 in [0, 1].
        size: height and width of the result.
        seed: int64 or int32 (2,).
    """
    seeds = tf.random.split(seed, 3)
    image = kinds._to_255(image)
    larger = max(size)
    shortest = 256 if larger <= 256 else round(larger * 256 / 224)
    side = tf.random.stateless_uniform([], seeds[0], shortest, 2 * shortest + 1, tf.int32)
    shape = tf.cast(tf.shape(image)[:2], tf.float32)
    scaled = tf.math.rint(shape * (tf.cast(side, tf.float32) / tf.reduce_min(shape)))
    with tf.control_dependencies(kinds._assert_strip_fits(image, scaled)):
        image = kinds._resize(image[tf.newaxis], tf.cast(scaled, tf.int32))[0]
    image = tf.image.stateless_random_crop(image, [*size, 3], seeds[1])
    image = tf.image.stateless_random_flip_left_right(image, seeds[2])
    return image - tf.constant([123.68, 116.78, 103.94])


def cifarnet(image: tf.Tensor, size: Size, seed: tf.Tensor) -> tf.Tensor:
    """A random part of the image with 4 black pixels around it, mirrored or not, with random
    brightness and contrast; then less its mean, by its standard deviation.

    Args:
        image: (H, W, 3), uint8 or float32 in [0, 1]; brought to `size` first, as in evaluation.
        size: height and width of the result.
        seed: int64 or int32 (2,).
    """
    seeds = tf.random.split(seed, 4)
    image = tf.image.resize_with_crop_or_pad(kinds._to_255(image), *size)
    image = tf.pad(image, [[4, 4], [4, 4], [0, 0]])
    image = tf.image.stateless_random_crop(image, [*size, 3], seeds[0])
    image = tf.image.stateless_random_flip_left_right(image, seeds[1])
    image = tf.image.stateless_random_brightness(image, 63, seeds[2])
    image = tf.image.stateless_random_contrast(image, 0.2, 1.8, seeds[3])
    return tf.image.per_image_standardization(image)


def lenet(image: tf.Tensor, size: Size, seed: tf.Tensor) -> tf.Tensor:
    """As in evaluation: Slim does not change digits at random."""
    return kinds.lenet(image[tf.newaxis], size)[0]


KINDS: dict[str, Callable[[tf.Tensor, Size, tf.Tensor], tf.Tensor]] = {
    "inception": inception,
    "vgg": vgg,
    "cifarnet": cifarnet,
    "lenet": lenet,
}


def keras_layers() -> keras.Sequential:
    """Keras's own augmentation of preprocessed batches: mirrored or not, turned by up to 18
    degrees, moved and scaled by up to a tenth.

    These layers leave the range of values alone, so they suit every kind of preprocessing.
    """
    layers = keras.layers
    return keras.Sequential(
        [
            layers.RandomFlip("horizontal"),
            layers.RandomRotation(0.05),
            layers.RandomTranslation(0.1, 0.1),
            layers.RandomZoom(0.1),
        ],
        name="augmentation",
    )


def by_keras(layer: keras.layers.Layer, image: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
    """What a Keras layer makes of an image, whose draws are by `seed`, not by the layer's state.

    Args:
        layer: built; it draws by `keras.random.SeedGenerator`s, as Keras's own layers do.
        image: (H, W, C), preprocessed.
        seed: int64 or int32 (2,).
    """
    parts = layer._flatten_layers()
    states = [generator.state for part in parts for generator in part._seed_generators]
    seeds = tf.random.stateless_uniform([len(states), 2], seed, 0, 2**31 - 1, tf.int32)
    seeds = tf.unstack(seeds, len(states))  # a tensor of a graph is no iterable
    values = [tf.cast(each, state.dtype) for each, state in zip(seeds, states, strict=True)]
    with keras.StatelessScope(state_mapping=list(zip(states, values, strict=True))):
        return layer(image[tf.newaxis], training=True)[0]
