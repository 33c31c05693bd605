"""The reference graph: how its batch norm is computed, and gradients of its pools."""

import numpy as np
import recipe
import tensorflow as tf
from tiny import SIDE, TinyNet

from zoo.validation.original import APART, Original

SHAPE = (2, SIDE, SIDE, 3)
LABELS = np.array([0, 2])


def original(**arguments):
    network = TinyNet(aux=True)
    made = Original(
        network, SHAPE, trainee=network, training_images=SHAPE, learning_rate=0.1, **arguments
    )
    made.fill(lambda name: recipe.weights(name, made.variables[name].shape))
    return made


def test_batch_norm_in_plain_arithmetic_is_the_same_function():
    images = recipe.images(SHAPE)
    fused, plain = original(), original(as_written=True)
    one, other = (graph.train(images, LABELS) for graph in (fused, plain))
    kinds = [{op.type for op in graph._graph.get_operations()} for graph in (fused, plain)]
    assert ["FusedBatchNormGradV3" in found for found in kinds] == [True, False]
    np.testing.assert_allclose(other.losses, one.losses, rtol=1e-5)
    for name, gradient in one.gradients.items():
        np.testing.assert_allclose(other.gradients[name], gradient, rtol=1e-3, atol=1e-5)
    # Biased, as Keras takes it: 31 / 32 of the unbiased one, of 2 x 4 x 4 values.
    name = "Tiny/a/BatchNorm/moving_variance"
    before = recipe.weights(name, (4,))
    variance, biased = ((side.averages[name] - 0.9 * before) / 0.1 for side in (one, other))
    np.testing.assert_allclose(biased, variance * 31 / 32, rtol=1e-4)


def test_the_gradient_of_clips_pools_is_tensorflow_1_15s():
    """Largest values of overlapping pools are equal when they are pooled again: 1024 outputs have
    a gradient of 2246 by TensorFlow 1.15.5's kernel, which gives all of it to each of them, and of
    1024 by one that gives it to one."""
    clips = np.random.RandomState(0).rand(1, 4, 16, 16, 8).astype(np.float32)
    with tf.Graph().as_default() as graph, tf.compat.v1.Session() as session:
        fed = tf.compat.v1.placeholder(tf.float32, clips.shape)
        with graph.gradient_override_map({"MaxPool3D": APART}):
            pooled = tf.nn.max_pool3d(fed, 3, 2, "SAME")
            pooled = tf.nn.max_pool3d(pooled, 3, 1, "SAME")
        gradient = tf.gradients(tf.reduce_sum(pooled), fed)[0]
        assert session.run(gradient, {fed: clips}).sum() == 2246


def test_inference_in_half_precision():
    """Every layer's output is rounded to bfloat16, as TF1 code on a TPU is; variables are not."""
    network = TinyNet(aux=True)
    graph = Original(network, SHAPE, trainee=network, dtype="bfloat16")
    graph.fill(lambda name: recipe.weights(name, graph.variables[name].shape))
    images = recipe.images(SHAPE)
    exact, half = original().infer(images), graph.infer(images)
    bfloat16 = tf.bfloat16.as_numpy_dtype
    assert list(half.end_points) == list(exact.end_points)
    for name, value in half.end_points.items():
        np.testing.assert_array_equal(value, value.astype(bfloat16).astype(np.float32))
        assert np.any(value != exact.end_points[name])
        np.testing.assert_allclose(value, exact.end_points[name], rtol=0.1, atol=0.1)
    assert {found.dtype for found in graph._session.run(graph._all).values()} == {np.dtype("f4")}
