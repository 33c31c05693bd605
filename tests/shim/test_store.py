"""TF1's rules of get_variable, per call of a decorated method."""

import keras
import numpy as np
import pytest
import tensorflow as tf
import tf_slim as slim

from zoo.errors import ShimError
from zoo.shim import (
    run_skipped_initializers,
    skip_initializers,
    tf1_variables,
    track_tf1_style_variables,
)

v1 = tf.compat.v1


class Running(keras.layers.Layer):
    """Runs a given function as TF1 code."""

    def __init__(self, code, **kwargs):
        super().__init__(**kwargs)
        self.code = code

    @track_tf1_style_variables
    def call(self, inputs):
        return self.code(inputs)


X = np.ones((2, 3), np.float32)


def test_the_same_name_twice_in_one_call_is_refused():
    def code(x):
        v1.get_variable("w", [3])
        return x * v1.get_variable("w", [3])

    with pytest.raises(ShimError, match="w already exists"):
        Running(code)(X)


@pytest.mark.parametrize("reuse", [True, v1.AUTO_REUSE])
def test_reuse_in_one_call(reuse):
    def code(x):
        with v1.variable_scope("s"):
            first = v1.get_variable("w", [3])
        with v1.variable_scope("s", reuse=reuse):
            second = v1.get_variable("w", [3])
        assert first is second
        return x * second

    layer = Running(code)
    layer(X)
    assert list(tf1_variables(layer)) == ["s/w"]


def test_reuse_of_what_is_nowhere_is_refused():
    def code(x):
        with v1.variable_scope("s", reuse=True):
            return x * v1.get_variable("w", [3])

    with pytest.raises(ShimError, match="s/w does not exist"):
        Running(code)(X)


def test_another_shape_at_a_later_call_is_refused_and_says_both():
    layer = Running(lambda x: x * v1.get_variable("w", [x.shape[-1]]))
    layer(X)
    with pytest.raises(ShimError, match=r"shape \(3,\).*asked for with shape \(5,\)"):
        layer(np.ones((2, 5), np.float32))
    assert layer(X).shape == (2, 3)


def test_an_unknown_dimension_is_refused():
    layer = Running(lambda x: x * v1.get_variable("w", [x.shape[-1]]))
    with pytest.raises(ShimError, match="not fully known"):
        layer(keras.Input((None,)))


def test_a_partitioner_is_refused():
    def code(x):
        return x * v1.get_variable("w", [3], partitioner=v1.fixed_size_partitioner(3))

    with pytest.raises(ShimError, match="in parts"):
        Running(code)(X)


def test_scope_defaults_and_custom_getters():
    def getter(getter, name, *args, **kwargs):
        return getter(name, *args, **kwargs) * 10.0

    def code(x):
        with v1.variable_scope(
            "s",
            initializer=v1.constant_initializer(2.0),
            regularizer=tf.nn.l2_loss,
            custom_getter=getter,
        ):
            return x * v1.get_variable("w", [3])

    layer = Running(code)
    np.testing.assert_array_equal(layer(X), np.full((2, 3), 20.0))
    assert [float(loss) for loss in layer.losses] == [6.0]


@pytest.mark.parametrize(
    "initializer",
    [
        np.arange(3, dtype=np.float32),
        [0.0, 1.0, 2.0],
        lambda: np.arange(3, dtype=np.float32),
    ],
    ids=["array", "list", "function"],
)
def test_initial_values_that_have_a_shape_of_their_own(initializer):
    layer = Running(lambda x: x * v1.get_variable("w", initializer=initializer))
    np.testing.assert_array_equal(layer(X)[0], [0, 1, 2])


def test_a_constant_tensor_as_initial_value():
    layer = Running(lambda x: x * v1.get_variable("w", initializer=tf.constant([4.0, 5.0, 6.0])))
    np.testing.assert_array_equal(layer(X)[0], [4, 5, 6])


def test_an_initial_value_computed_from_inputs_is_refused():
    layer = Running(lambda x: x * v1.get_variable("w", initializer=x[0]))
    with pytest.raises(ShimError, match="computed in the graph"):
        layer(X)


def test_integers_and_untrainable_variables():
    def code(x):
        v1.get_variable("steps", [], tf.int64, v1.zeros_initializer(), trainable=False)
        return x

    layer = Running(code)
    layer(X)
    variable = tf1_variables(layer)["steps"]
    assert (variable.dtype, variable.trainable) == ("int64", False)
    assert layer.non_trainable_variables == [variable]


def test_constraints_are_kept():
    layer = Running(lambda x: x * v1.get_variable("w", [3], constraint=tf.nn.relu))
    layer(X)
    np.testing.assert_array_equal(layer.weights[0].constraint(tf.constant([-1.0])), [0.0])


def test_skipped_initializers_draw_nothing_and_can_be_run_later():
    drawn = []

    def initializer(shape, dtype=None, partition_info=None):
        drawn.append(shape)
        return tf.ones(shape, dtype)

    layer = Running(lambda x: x * v1.get_variable("w", [3], initializer=initializer))
    with skip_initializers():
        layer(X)
    assert drawn == []
    run_skipped_initializers(layer, ["w"])
    np.testing.assert_array_equal(layer.weights[0], np.ones(3))


def test_skipped_initializers_of_tf_slim_can_be_run_later():
    initializer = slim.variance_scaling_initializer()
    layer = Running(lambda x: x @ v1.get_variable("w", [3, 4], initializer=initializer))
    with skip_initializers():
        layer(X)
    run_skipped_initializers(layer, ["w"])
    # A truncated normal of variance 2 / fan_in, cut at two standard deviations of its own.
    assert 0 < np.abs(layer.weights[0]).max() < 2 * np.sqrt(1.3 * 2 / 3)


def test_an_error_in_the_code_leaves_the_layer_usable():
    fail = [True]

    def code(x):
        out = x * v1.get_variable("w", [3], initializer=v1.ones_initializer())
        if fail:
            fail.pop()
            raise KeyError("mine")
        return out

    layer = Running(code)
    with pytest.raises(KeyError, match="mine"):
        layer(X)
    np.testing.assert_array_equal(layer(X), X)
    assert len(layer.weights) == 1


def test_a_variable_of_some_calls_alone_is_refused():
    class Sometimes(keras.layers.Layer):
        @track_tf1_style_variables
        def call(self, inputs, training=False):
            if training:
                inputs = inputs * v1.get_variable("auxiliary", [3])
            return inputs * v1.get_variable("w", [3], initializer=v1.ones_initializer())

    layer = Sometimes()
    layer(X)
    with pytest.raises(ShimError, match="auxiliary is new, in a later call"):
        layer(X, training=True)
    np.testing.assert_array_equal(layer(X), X)
    assert list(tf1_variables(layer)) == ["w"]


def test_a_function_inside_that_makes_variables_is_refused():
    @tf.function(autograph=False)
    def scale(x):
        return x * v1.get_variable("w", [3])

    with pytest.raises(ShimError, match="inside a tf.function"):
        Running(scale)(X)


def test_branches_and_loops_may_make_variables():
    def code(x):
        def scaled():
            return x * v1.get_variable("w", [3], initializer=v1.constant_initializer(2.0))

        x = tf.cond(tf.reduce_sum(x) > 0, scaled, lambda: x)
        return tf.while_loop(
            lambda i, x: i < 2,
            lambda i, x: (i + 1, x + v1.get_variable("b", [3], initializer=v1.ones_initializer())),
            [0, x],
        )[1]

    layer = Running(code)
    np.testing.assert_array_equal(layer(X), np.full((2, 3), 4.0))
    assert list(tf1_variables(layer)) == ["w", "b"]
