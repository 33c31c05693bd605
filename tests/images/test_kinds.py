"""Slim's pipelines against TensorFlow 1.15.5 (tools/record_preprocessing.py).

Tolerance: the ops are the same, so the values are too on the machine that recorded them; 1e-5 for
[-1, 1] and 1e-3 for [0, 255] leave room for another processor's rounding. Standardized values
reach 27, and TensorFlow 1 summed squares where TensorFlow 2 sums squared deviations: 5e-5.
"""

import numpy as np
import pytest
import tensorflow as tf

from zoo.errors import InputShapeError
from zoo.images.kinds import cifarnet, inception, lenet, vgg

FUNCTIONS = {
    "inception": (inception, 1e-5),
    "vgg": (vgg, 1e-3),
    "cifarnet": (cifarnet, 5e-5),
    "lenet": (lenet, 1e-6),
}


@pytest.mark.parametrize("traced", [False, True], ids=["eager", "graph"])
def test_equal_to_tensorflow_1(recording, goldens, traced):
    for kind, height, width, _ in recording.OUTPUTS:
        function, tolerance = FUNCTIONS[kind]
        run = lambda image, f=function, s=(height, width): f(image[tf.newaxis], s)  # noqa: E731
        if traced:  # of unknown height and width, as in a dataset of photos
            run = tf.function(run, input_signature=[tf.TensorSpec([None, None, 3], tf.uint8)])
        for photo in recording.PHOTOS:
            name = recording.case_name(kind, height, width, photo[0])
            channels = 1 if kind == "lenet" else 3
            image = recording.photo(*photo, channels=channels)
            output = run(tf.constant(np.repeat(image, 3 // channels, axis=-1)))
            assert output.shape == (1, height, width, channels) and output.dtype == tf.float32
            values = output.numpy().ravel()[:: recording.STRIDES[kind]]
            np.testing.assert_allclose(values, goldens[name], atol=tolerance, rtol=0, err_msg=name)


@pytest.mark.parametrize("kind", FUNCTIONS)
def test_floats_are_the_same_images(recording, kind):
    function, tolerance = FUNCTIONS[kind]
    images = recording.photo(1, 331, 500)[None]
    floats = function(tf.constant(images / np.float32(255)), (224, 224))
    np.testing.assert_allclose(floats, function(tf.constant(images), (224, 224)), atol=tolerance)


def test_lenet_takes_the_luminance_of_colours():
    colours = np.uint8([[[[255, 0, 0], [0, 255, 0], [0, 0, 255], [200, 200, 200]]]])
    grey = np.float32([0.299 * 255, 0.587 * 255, 0.114 * 255, 200])  # ITU-R BT.601
    output = lenet(tf.constant(colours), (1, 4))
    np.testing.assert_allclose(np.ravel(output), (grey - 128) / 128, atol=1e-3)


def test_vgg_refuses_a_strip_that_would_fill_the_memory():
    strip = tf.zeros([1, 1, 400_000, 3], tf.uint8)
    with pytest.raises(InputShapeError, match="1 x 400000 pixels"):
        vgg(strip, (224, 224))
    graph = tf.function(
        lambda x: vgg(x, (224, 224)),
        input_signature=[tf.TensorSpec([None, None, None, 3], tf.uint8)],
    )
    with pytest.raises(tf.errors.InvalidArgumentError, match="long and thin"):
        graph(strip)
