"""ONNX files, run by ONNX Runtime."""

import sys

import numpy as np
import onnx
import onnxruntime
import pytest
import tensorflow as tf

import zoo
from zoo.errors import ArgumentError, UnsupportedEnvironmentError
from zoo.export import to_onnx


def test_it_is_the_same_function(small, noise, tmp_path):
    file = to_onnx(small, tmp_path / "new" / "small.onnx")
    session = onnxruntime.InferenceSession(file)
    images = noise(3, 128, 128, 3)
    (outputs,) = session.run(["probabilities"], {"images": images})
    expected = small.predict(images, verbose=0)
    # Another implementation of the same float32 operations.
    np.testing.assert_allclose(outputs, expected, atol=1e-4 * expected.max())
    graph = onnx.load(file).graph
    constants = {constant.name for constant in graph.initializer}
    convolutions = [node for node in graph.node if node.op_type == "Conv"]
    assert len(convolutions) == 28  # 27 of the base and the logits'
    # Programs other than ONNX Runtime want kernels as they are, not moved by further nodes.
    assert all(node.input[1] in constants for node in convolutions)


def test_an_operation_that_onnx_has_not(tmp_path):
    def strange(inputs):
        with tf.compat.v1.variable_scope("strange"):
            scale = tf.compat.v1.get_variable("scale", initializer=tf.constant(2.0))
        return tf.math.lgamma(inputs * scale)

    with pytest.raises(
        ArgumentError, match="strange has an operation that ONNX has not.*\n.*Lgamma"
    ):
        to_onnx(zoo.wrap(strange, (3,)), tmp_path / "a.onnx")
    assert list(tmp_path.iterdir()) == []


def test_without_tf2onnx(small, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "tf2onnx", None)
    with pytest.raises(UnsupportedEnvironmentError, match="pip install tf2onnx"):
        to_onnx(small, tmp_path / "a.onnx")
