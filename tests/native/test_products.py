"""Convolutions over the whole of their input, which a folded form has as matrix products.

The expected values are those of the TF1 code.
"""

import networks
import numpy as np
import pytest
import recipe
import tensorflow as tf
import tf_slim as slim
from running import running

from zoo.errors import ConversionError
from zoo.native import to_native

v1 = tf.compat.v1
SHAPE = (5, 5, 3)


def fully_connected(images, training):
    """VGG's end: over all places, over the one that is left, and its like after that."""
    net = slim.conv2d(images, 7, [5, 5], padding="VALID", scope="fc6")
    normalized = {"is_training": training}
    net = slim.conv2d(
        net, 6, 1, normalizer_fn=slim.batch_norm, normalizer_params=normalized, scope="fc7"
    )
    return tf.squeeze(slim.conv2d(net, 4, 1, activation_fn=None, scope="fc8"), [1, 2])


def made_of(code, shape=SHAPE):
    """(a Keras model of TF1 code with the recipe's weights, its folded form)."""
    model = running(code, *shape)
    return model, to_native(model, fold_batch_norm=True)


def check(model, folded, shape=SHAPE):
    images = recipe.images((2, *shape))
    expected = model.predict_on_batch(images)
    assert networks.relative_difference(folded.predict_on_batch(images), expected) < 1e-5


def kinds_with_weights(model):
    return [type(layer).__name__ for layer in model.layers if layer.weights]


def test_fully_connected_layers_become_dense():
    model, folded = made_of(fully_connected)
    assert kinds_with_weights(folded) == ["Dense"] * 3
    assert [tuple(folded.get_layer(name).kernel.shape) for name in ("fc6", "fc7", "fc8")] == [
        (75, 7),
        (7, 6),
        (6, 4),
    ]
    check(model, folded)


def test_the_form_that_is_trained_keeps_its_convolutions():
    native = to_native(made_of(fully_connected)[0])
    kinds = kinds_with_weights(native)
    assert kinds == ["Conv2D", "Conv2D", "BatchNormalization", "Conv2D"]


def test_a_matrix_is_no_tf1_variable():
    _, folded = made_of(fully_connected)
    how = {entry.layer: entry.how for entry in folded.weight_map if entry.weight == "kernel"}
    assert how == dict.fromkeys(("fc6", "fc7", "fc8"), "folded")
    with pytest.raises(ConversionError, match="fc6/kernel is not one TF1 variable as it was"):
        dict(folded.weight_map.tf1_arrays(folded))


CONVOLUTIONS = {
    "smaller than the input": ([4, 5], {"padding": "VALID"}),
    "with places beside it": ([5, 5], {"padding": "SAME"}),
    "dilated beyond it": ([5, 5], {"padding": "SAME", "rate": 2}),
    "larger than the input": ([7, 7], {"padding": "SAME", "stride": 5}),
}


@pytest.mark.parametrize("case", CONVOLUTIONS)
def test_other_convolutions_stay(case):
    size, arguments = CONVOLUTIONS[case]
    model, folded = made_of(lambda x, training: slim.conv2d(x, 4, size, scope="c", **arguments))
    assert kinds_with_weights(folded) == ["Conv2D"]
    check(model, folded)


def test_one_output_without_padding_needs_no_valid():
    def code(images, training):
        return slim.conv2d(images, 4, [5, 5], stride=5, padding="SAME", scope="c")

    model, folded = made_of(code)
    assert kinds_with_weights(folded) == ["Dense"]
    check(model, folded)


def test_a_clip():
    def code(clips, training):
        return slim.conv3d(clips, 4, [2, 3, 3], padding="VALID", scope="c")

    model, folded = made_of(code, (2, 3, 3, 2))
    assert kinds_with_weights(folded) == ["Dense"]
    check(model, folded, (2, 3, 3, 2))


def test_one_place_of_a_dilated_kernel():
    def code(images, training):
        net = slim.conv2d(images, 3, [5, 5], padding="VALID", scope="a")
        kernel = v1.get_variable("kernel", (1, 1, 3, 2))
        return tf.nn.conv2d(net, kernel, 1, "SAME", dilations=2)

    model, folded = made_of(code)
    assert kinds_with_weights(folded) == ["Dense"] * 2
    check(model, folded)
    assert np.shape(folded(recipe.images((2, *SHAPE)))) == (2, 1, 1, 2)
