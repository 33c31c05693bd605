"""LiteRT files, run by the LiteRT interpreter."""

import numpy as np
import pytest
import tensorflow as tf
from ai_edge_litert.interpreter import Interpreter

import zoo
from zoo.errors import ArgumentError
from zoo.export import to_tflite


def run(file, images):
    runner = Interpreter(str(file)).get_signature_runner("serving_default")
    (outputs,) = runner(images=images).values()
    return outputs


@pytest.fixture(scope="module")
def plain(small, tmp_path_factory):
    return to_tflite(small, tmp_path_factory.mktemp("tflite") / "new" / "small.tflite")


def test_it_is_the_same_function(plain, small, noise):
    images = noise(3, 128, 128, 3)
    expected = small.predict(images, verbose=0)
    # Another implementation of the same float32 operations.
    np.testing.assert_allclose(run(plain, images), expected, atol=1e-4 * expected.max())
    assert list(Interpreter(str(plain)).get_signature_list()["serving_default"]["outputs"]) == [
        "probabilities"
    ]


def test_quantized_it_is_a_third_of_the_size_and_close(plain, small, noise, tmp_path):
    file = to_tflite(small, tmp_path / "small.tflite", quantize="dynamic")
    assert file.stat().st_size < plain.stat().st_size / 3
    images = noise(8, 128, 128, 3)
    expected, quantized = small.predict(images, verbose=0), run(file, images)
    # 8 bits a weight: one part in 256 of a kernel's range, through 28 layers.
    np.testing.assert_allclose(quantized, expected, atol=0.1 * expected.max())
    assert np.abs(quantized - expected).max() > 1e-5 * expected.max()


def test_what_cannot_be_converted(small, tmp_path):
    with pytest.raises(ArgumentError, match="Accepted: None or 'dynamic'"):
        to_tflite(small, tmp_path / "a.tflite", quantize="int4")

    def strange(inputs):
        with tf.compat.v1.variable_scope("strange"):
            scale = tf.compat.v1.get_variable("scale", initializer=tf.constant(2.0))
        return tf.linalg.det(inputs * scale)

    with pytest.raises(
        ArgumentError, match="LiteRT cannot run strange.*\n.* ops: MatrixDeterminant"
    ):
        to_tflite(zoo.wrap(strange, (3, 3)), tmp_path / "a.tflite")
    assert list(tmp_path.iterdir()) == []
