"""How often a decorated method is traced, and for what."""

import gc
import weakref

import keras
import numpy as np
import pytest
import tensorflow as tf

from zoo.shim import track_tf1_style_variables


class Counting(keras.layers.Layer):
    def __init__(self, needs_batch=False):
        super().__init__()
        self.shapes = []
        self.needs_batch = needs_batch

    @track_tf1_style_variables
    def call(self, inputs, factor=1.0, training=False):
        self.shapes.append(tuple(inputs.shape))
        if self.needs_batch:
            inputs = inputs + np.zeros(inputs.shape, np.float32)
        total = {"sum": tf.reduce_sum(inputs) * factor}
        # Keras takes no None out of a symbolic call.
        return {**total, "nothing": None} if factor == 7.0 else total


@pytest.fixture
def layer():
    return Counting()


def test_one_trace_serves_equal_signatures(layer):
    for _ in range(3):
        assert float(layer(np.ones((2, 5), np.float32))["sum"]) == 10.0
    assert layer.shapes == [(2, 5)]


def test_the_second_batch_size_makes_a_trace_for_all(layer):
    for batch in (2, 3, 4, 5, 2):
        assert float(layer(np.ones((batch, 5), np.float32))["sum"]) == 5.0 * batch
    assert layer.shapes == [(2, 5), (None, 5)]


def test_a_symbolic_call_serves_every_batch(layer):
    layer(keras.Input((5,)))
    layer(np.ones((2, 5), np.float32))
    layer(np.ones((3, 5), np.float32))
    assert layer.shapes == [(None, 5)]


def test_other_sizes_are_traced_with_their_own(layer):
    layer(keras.Input((None,)))
    layer(np.ones((2, 5), np.float32))
    layer(np.ones((2, 6), np.float32))
    assert layer.shapes == [(None, None), (2, 5), (2, 6)]


def test_code_that_needs_the_batch_size_gets_it():
    layer = Counting(needs_batch=True)
    for batch in (2, 3, 2, 3):
        assert float(layer(np.ones((batch, 5), np.float32))["sum"]) == 5.0 * batch
    assert (2, 5) in layer.shapes and (3, 5) in layer.shapes


def test_python_arguments_are_part_of_the_signature(layer):
    x = np.ones((2, 5), np.float32)
    assert float(layer(x, factor=2.0)["sum"]) == 20.0
    assert float(layer(x, factor=3.0)["sum"]) == 30.0
    assert float(layer(x, training=True, factor=3.0)["sum"]) == 30.0
    assert float(layer(x, training=True, factor=3.0)["sum"]) == 30.0
    assert len(layer.shapes) == 3


def test_structure_of_the_result_is_kept(layer):
    result = layer(np.ones((2, 5), np.float32), factor=7.0)
    assert set(result) == {"sum", "nothing"} and result["nothing"] is None


def test_a_trace_made_inside_a_function_serves_outside(layer):
    tf.function(lambda x: layer(x)["sum"])(tf.ones((2, 5)))
    assert float(layer(np.ones((2, 5), np.float32))["sum"]) == 10.0
    assert layer.shapes == [(2, 5)]


def test_a_trace_keeps_no_inputs(layer):
    x = tf.ones((2, 5))
    kept = weakref.ref(x)
    layer(x, factor=2.0)
    del x
    gc.collect()
    assert kept() is None
