"""Native networks train as the originals do where single precision cannot tell.

Some deep networks are so steep with the recipe's weights that in float32 the TF1 code does not
agree with itself: where weights differ in their last bit, inception_v4's first loss is between
7.7473 and 7.7501. In float64 its native form and the TF1 code differ by 2e-10 of that, and the
three steps at 1e-6 are the same.
"""

import functools

import keras
import networks
import numpy as np
import pytest
import recipe
import tensorflow as tf
from steps import STEEP, GradientDescent

from zoo.native import to_native
from zoo.shim import tf1_variables
from zoo.shim.session import fill_variables

v1 = tf.compat.v1

# Without rounding to speak of, a small image says as much as a large one.
SHAPE = (107, 107, 3)
LABELS = np.array([3, 5])
RATE = 1e-6

# What is left is float32's rounding of constants, which the graph that a native model is read off
# has: of the rate of the moving averages, 1 - 0.9997, it is 5e-8.
LOSSES = 1e-6
MOVES = 1e-5
# A bias before batch norm has no gradient: what moves it is rounding.
NO_MOVE = 1e-12


@pytest.mark.slow
@pytest.mark.parametrize("steep", STEEP)
def test_three_steps(steep, request):
    if steep != "inception_v4" and not request.config.getoption("--every-network"):
        pytest.skip("takes minutes: --every-network runs it")
    cls, defaults = networks.adapter(steep)
    arguments = {**defaults, **STEEP[steep]}
    model = networks.model_of(cls(**arguments), SHAPE)
    before = {name: variable.numpy() for name, variable in tf1_variables(model).items()}
    losses, moves = original_steps(cls, arguments, before)
    native = to_native(model)
    native_losses, arrays = native_steps(native)
    np.testing.assert_allclose(native_losses, losses, rtol=LOSSES)
    for name, move in moves.items():
        got = np.asarray(arrays[name], np.float64) - before[name]
        scale = max(np.abs(move).max(), NO_MOVE)
        assert networks.relative_difference(got, move, scale) < MOVES, name


def original_steps(cls, arguments, before):
    """([loss of each step], TF1 name -> how far the value has moved) of the TF1 code in a
    Session."""
    with tf.Graph().as_default():
        images = v1.placeholder(tf.float64, (2, *SHAPE))
        logits, _ = with_plain_batch_norm(cls)(**arguments).forward(images, training=True)
        assert logits.dtype == tf.float64
        entropies = tf.nn.sparse_softmax_cross_entropy_with_logits(
            labels=LABELS, logits=tf.reshape(logits, [2, -1])
        )
        loss = tf.reduce_mean(entropies) + tf.add_n(v1.losses.get_regularization_losses())
        step = v1.train.GradientDescentOptimizer(RATE).minimize(loss)
        updates = v1.get_collection(v1.GraphKeys.UPDATE_OPS)
        values = {variable.op.name: variable for variable in v1.global_variables()}
        with v1.Session() as session:
            fill_variables(session, before.get)
            feed = {images: recipe.images((2, *SHAPE))}
            losses = [session.run((loss, step, updates), feed)[0] for _ in range(3)]
            after = session.run(values)
    return losses, {name: after[name] - before[name] for name in before}


def with_plain_batch_norm(cls):
    """The adapter with batch norm by arithmetic: the fused kernel is of single precision."""

    @functools.wraps(cls.arg_scope)
    def arg_scope(*args, **kwargs):
        scope = {key: dict(values) for key, values in cls.arg_scope(*args, **kwargs).items()}
        for values in scope.values():
            for options in (values, values.get("normalizer_params") or {}):
                if "fused" in options:
                    options["fused"] = False
        return scope

    return type(cls.__name__, (cls,), {"arg_scope": staticmethod(arg_scope)})


def native_steps(native):
    """The same of the native model: ([losses], TF1 name -> value afterwards)."""

    def in_double(layer):
        config = layer.get_config()
        if isinstance(layer, keras.layers.Layer):  # and no operation, which has no dtype
            config["dtype"] = "float64"
        return type(layer).from_config(config)

    double = keras.models.clone_model(native, clone_function=in_double)
    for variable, value in zip(double.variables, native.variables, strict=True):
        variable.assign(value.numpy())
    assert {variable.dtype for variable in double.variables} == {"float64"}
    step = GradientDescent(double, RATE)
    images = recipe.images((2, *SHAPE)).astype(np.float64)
    losses = [step(images, LABELS) for _ in range(3)]
    return losses, dict(native.weight_map.tf1_arrays(double))
