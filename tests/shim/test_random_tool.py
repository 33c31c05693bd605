"""DeterministicRandomTestTool: against TensorFlow 1.15.5 (tools/record_random_tool.py), and the
cells of TensorFlow's guides.

Both TensorFlows have the same Philox generator behind the stateful ops. Where numbers are not the
same is a test too: `test_other_generators`.
"""

import threading
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf
import tf_slim as slim
from keras.src import backend as keras_backend
from keras.src.backend.tensorflow import random as keras_random
from tensorflow.python.framework import random_seed

from zoo.errors import ArgumentError, ShimError
from zoo.shim import layers, regularization_losses, tf1_variables, track_tf1_style_variables
from zoo.shim.random_tool import DeterministicRandomTestTool

v1 = tf.compat.v1
MODES = ["constant", "num_random_ops"]

with np.load(Path(__file__).parents[1] / "goldens" / "random_tool.npz") as _file:
    GOLDENS = {key: _file[key] for key in _file.files}

# The generators' bits are equal; the normal distribution's logarithm and cosine may round
# otherwise.
ROUNDING = {"rtol": 2e-6, "atol": 1e-6}

# As tools/record_random_tool.py has them, in the same order: (by TF1's API, by Keras's).
OPS = [
    (lambda: tf.random.uniform([3, 2]), lambda: keras.random.uniform([3, 2])),
    (lambda: tf.random.uniform([5], -2.0, 3.0), lambda: keras.random.uniform([5], -2.0, 3.0)),
    (
        lambda: tf.random.uniform([7], 0, 1000, tf.int32),
        lambda: keras.random.randint([7], 0, 1000),
    ),
    (lambda: tf.random.normal([3, 3], 1.0, 2.0), lambda: keras.random.normal([3, 3], 1.0, 2.0)),
    (
        lambda: tf.random.truncated_normal([8], stddev=0.5),
        lambda: keras.random.truncated_normal([8], stddev=0.5),
    ),
    (lambda: tf.random.gamma([4], 1.5), lambda: keras.random.gamma([4], 1.5)),
    (
        lambda: tf.random.shuffle(tf.range(10)),
        lambda: keras.random.shuffle(tf.range(10)),
    ),
    (
        lambda: tf.random.categorical(tf.zeros([2, 5]), 6),
        lambda: keras.random.categorical(tf.zeros([2, 5]), 6),
    ),
    (
        lambda: tf.nn.dropout(tf.ones([4, 5]), rate=0.4),
        lambda: keras.layers.Dropout(0.4)(tf.ones([4, 5]), training=True),
    ),
    (
        lambda: slim.dropout(tf.ones([4, 5]), 0.7),
        lambda: keras.layers.Dropout(0.3)(tf.ones([4, 5]), training=True),
    ),
    (
        lambda: v1.glorot_uniform_initializer()([3, 4]),
        lambda: keras.initializers.GlorotUniform()([3, 4]),
    ),
    (
        lambda: v1.glorot_normal_initializer()([3, 4]),
        lambda: keras.initializers.GlorotNormal()([3, 4]),
    ),
    (
        lambda: v1.truncated_normal_initializer(stddev=0.09)([3, 4]),
        lambda: keras.initializers.TruncatedNormal(stddev=0.09)([3, 4]),
    ),
    (
        lambda: v1.variance_scaling_initializer(2.0, "fan_out")([2, 3, 4]),
        lambda: keras.initializers.VarianceScaling(2.0, "fan_out")([2, 3, 4]),
    ),
    (
        lambda: v1.orthogonal_initializer()([4, 3]),
        lambda: keras.initializers.Orthogonal()([4, 3]),
    ),
    (
        lambda: slim.xavier_initializer()([3, 4]),
        lambda: keras.initializers.GlorotUniform()([3, 4]),
    ),
    (
        lambda: slim.variance_scaling_initializer()([3, 4]),
        lambda: slim.variance_scaling_initializer()([3, 4]),  # Keras has no such truncation
    ),
]
TF1_OPS = [tf1 for tf1, _ in OPS]
KERAS_OPS = [native for _, native in OPS]


def in_eager(ops):
    return [op().numpy() for op in ops]


def in_session(ops):
    with tf.Graph().as_default(), v1.Session() as session:
        return session.run([op() for op in ops])


def in_function(ops):
    return [out.numpy() for out in tf.function(lambda: [op() for op in ops], autograph=False)()]


def in_decorated(ops):
    class Module(tf.Module):
        @track_tf1_style_variables
        def __call__(self):
            return [op() for op in ops]

    return [out.numpy() for out in Module()()]


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(
    ("run", "ops"),
    [
        (in_eager, TF1_OPS),
        (in_session, TF1_OPS),
        (in_function, TF1_OPS),
        (in_decorated, TF1_OPS),
        (in_eager, KERAS_OPS),
        (in_function, KERAS_OPS),
        (in_decorated, KERAS_OPS),
    ],
    ids=["eager", "session", "function", "decorated", "eager-k", "function-k", "decorated-k"],
)
def test_ops_draw_what_tensorflow_1_draws(mode, run, ops):
    tool = DeterministicRandomTestTool(mode=mode)
    with tool.scope():
        drawn = run(ops)
    assert tool.operation_seed == (len(ops) if mode == "num_random_ops" else 0)
    for number, value in enumerate(drawn):
        np.testing.assert_allclose(
            value, GOLDENS[f"{mode}/ops/{number}"], **ROUNDING, err_msg=f"op {number}"
        )


class Network(keras.layers.Layer):
    """`network` of tools/record_random_tool.py."""

    @track_tf1_style_variables
    def call(self, inputs):
        l2 = slim.l2_regularizer(0.01)
        with v1.variable_scope("net"):
            outputs = slim.conv2d(inputs, 3, [3, 3], padding="VALID", weights_regularizer=l2)
            outputs = slim.dropout(slim.flatten(outputs), 0.6, is_training=True)
            kernel = v1.get_variable("kernel", [outputs.shape[-1], 6], regularizer=l2)
            outputs = tf.nn.dropout(tf.nn.relu(tf.matmul(outputs, kernel)), rate=0.3)
            initializer = v1.truncated_normal_initializer(stddev=0.2)
            return slim.fully_connected(outputs, 4, None, weights_initializer=initializer)


class NativeNetwork(keras.layers.Layer):
    """The same in Keras alone."""

    def __init__(self):
        super().__init__()
        l2 = keras.regularizers.L2(0.005)  # tf-slim's halves the sum of squares
        self.conv = keras.layers.Conv2D(3, 3, activation="relu", kernel_regularizer=l2)
        self.flatten = keras.layers.Flatten()
        self.dropout_1 = keras.layers.Dropout(0.4)
        self.dense = keras.layers.Dense(6, activation="relu", use_bias=False, kernel_regularizer=l2)
        self.dropout_2 = keras.layers.Dropout(0.3)
        self.logits = keras.layers.Dense(
            4, kernel_initializer=keras.initializers.TruncatedNormal(stddev=0.2)
        )

    def call(self, inputs):
        outputs = self.dropout_1(self.flatten(self.conv(inputs)), training=True)
        return self.logits(self.dropout_2(self.dense(outputs), training=True))


def network_goldens(mode):
    prefix = f"{mode}/network/"
    return {key.removeprefix(prefix): GOLDENS[key] for key in GOLDENS if key.startswith(prefix)}


@pytest.mark.parametrize("mode", MODES)
def test_a_decorated_network_equals_the_graph_of_tensorflow_1(mode):
    golden = network_goldens(mode)
    with DeterministicRandomTestTool(mode=mode).scope():
        inputs = tf.random.normal([2, 5, 5, 2])
        network = Network()
        outputs = [network(inputs) for _ in range(2)]
    for name, variable in tf1_variables(network).items():
        np.testing.assert_allclose(variable, golden.pop(name), **ROUNDING, err_msg=name)
    np.testing.assert_allclose(tf.add_n(network.losses), golden.pop("loss"), rtol=1e-5)
    # The second call is the session's second run: dropout draws on.
    np.testing.assert_allclose(outputs, golden.pop("outputs"), rtol=1e-4, atol=1e-5)
    assert not golden
    assert np.abs(outputs[0] - outputs[1]).max() > 0.01


@pytest.mark.parametrize("compiled", [False, True], ids=["eager", "function"])
def test_a_native_network_equals_the_graph_of_tensorflow_1(compiled):
    golden = network_goldens("num_random_ops")
    with DeterministicRandomTestTool(mode="num_random_ops").scope():
        inputs = tf.random.normal([2, 5, 5, 2])
        network = NativeNetwork()
        call = tf.function(network, autograph=False) if compiled else network
        outputs = call(inputs)
        second = call(inputs)
    np.testing.assert_allclose(network.dense.kernel, golden["net/kernel"], **ROUNDING)
    np.testing.assert_allclose(outputs, golden["outputs"][0], rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(tf.add_n(network.losses), golden["loss"], rtol=1e-5)
    # As one function it runs on, as the graph does; in eager mode each call is new ops.
    same = np.allclose(second, golden["outputs"][1], rtol=1e-4, atol=1e-5)
    assert same is compiled


def test_other_generators():
    """Keras's own numbers are not TF1's: from its stateless ops, whatever the seed."""
    of_tf1 = GOLDENS["num_random_ops/ops/10"]
    for seed in (42, keras.random.SeedGenerator(42)):
        assert not np.allclose(keras.initializers.GlorotUniform(seed)([3, 4]), of_tf1)

    @tf.function(jit_compile=True, autograph=False)
    def compiled():
        return tf.random.uniform([3, 2])

    with DeterministicRandomTestTool().scope(), pytest.raises(ShimError, match="XLA"):
        compiled()


def test_beta_and_binomial_follow_the_tool():
    def ops():
        return keras.random.beta([3], 2.0, 3.0), keras.random.binomial([3], 9.0, 0.4)

    tool = DeterministicRandomTestTool(mode="num_random_ops")
    with tool.scope():
        first, second = ops(), ops()
    assert tool.operation_seed == 4
    with DeterministicRandomTestTool(mode="num_random_ops").scope():
        again = tf.function(ops)()
    np.testing.assert_array_equal(first[0], again[0])
    np.testing.assert_array_equal(first[1], again[1])
    assert not np.allclose(first[0], second[0])


# The cells of TensorFlow's guide "Validate correctness and numerical equivalence".


def three_uniforms():
    return [tf.random.uniform(shape) * 3 for shape in [(3, 1), (3, 3), (3, 3)]]


@pytest.mark.parametrize("mode", MODES)
def test_session_and_eager(mode):
    with DeterministicRandomTestTool(mode=mode).scope():
        graph = tf.Graph()
        with graph.as_default(), v1.Session(graph=graph) as session:
            in_graph = session.run(three_uniforms())
    with DeterministicRandomTestTool(mode=mode).scope():
        eager = three_uniforms()
    for one, other in zip(in_graph, eager, strict=True):
        np.testing.assert_array_equal(one, other)
    assert np.array_equal(eager[1], eager[2]) is (mode == "constant")


def test_the_order_of_ops_counts_unless_the_operation_seed_is_set():
    tool = DeterministicRandomTestTool(mode="num_random_ops")
    with tool.scope():
        seeds = [tool.operation_seed]
        a = tf.random.uniform((3, 1))
        seeds.append(tool.operation_seed)
        b = tf.random.uniform((3, 3))
        seeds.append(tool.operation_seed)
    assert seeds == [0, 1, 2]
    with DeterministicRandomTestTool(mode="num_random_ops").scope():
        b_prime = tf.random.uniform((3, 3))
        a_prime = tf.random.uniform((3, 1))
    assert not np.allclose(a, a_prime)
    assert not np.allclose(b, b_prime)
    tool = DeterministicRandomTestTool(mode="num_random_ops")
    with tool.scope():
        tool.operation_seed = 1
        b_prime = tf.random.uniform((3, 3))
        tool.operation_seed = 0
        a_prime = tf.random.uniform((3, 1))
        with pytest.raises(ValueError) as error:
            tf.random.uniform((3, 1))
        np.testing.assert_array_equal(a, a_prime)
        np.testing.assert_array_equal(b, b_prime)
        # What to do is in the message, and works.
        assert "Operation seed 1 was used before" in str(error.value)
        assert "Accepted: a whole number other than 0-1" in str(error.value)
        assert "with room after it (2 or more)" in str(error.value)
        tool.operation_seed = 2
        tf.random.uniform((3, 1))
        assert tool.operation_seed == 3


def test_a_seed_that_is_given_counts_for_nothing():
    def op(seed):
        return tf.random.uniform([2], seed=seed), keras.random.uniform([2], seed=seed)

    with DeterministicRandomTestTool().scope():
        np.testing.assert_array_equal(op(1), op(2))


def test_seed_zero_is_a_seed():
    """TensorFlow's kernels draw from the clock at (0, 0), and its get_seed avoids it so."""
    drawn = []
    for _ in range(2):
        with DeterministicRandomTestTool(seed=0).scope():
            drawn.append(tf.random.uniform([2]))
    np.testing.assert_array_equal(*drawn)
    expected = tf.raw_ops.RandomUniform(shape=[2], dtype=tf.float32, seed=0, seed2=2**31 - 1)
    np.testing.assert_array_equal(drawn[0], expected)


def test_wrong_arguments():
    with pytest.raises(ArgumentError, match="(?s)'num_random_op'.*Nearest:  num_random_ops"):
        DeterministicRandomTestTool(mode="num_random_op")
    for seed in (None, 1.5, True, -1):
        with pytest.raises(ArgumentError, match="0 or more"):
            DeterministicRandomTestTool(seed=seed)
    tool = DeterministicRandomTestTool()
    with pytest.raises(ArgumentError, match="operation_seed"):
        tool.operation_seed = "1"


# Scopes.


def what_is_replaced():
    return (
        random_seed.get_seed,
        keras_backend.compute_output_spec,
        *(getattr(keras_random, name) for name in ("uniform", "normal", "dropout", "beta")),
    )


def test_a_scope_leaves_nothing_behind():
    before = what_is_replaced()
    tf.random.set_seed(7)
    expected = tf.random.uniform([4])
    tf.random.set_seed(7)
    with pytest.raises(KeyError), DeterministicRandomTestTool().scope():
        assert all(a is not b for a, b in zip(before, what_is_replaced(), strict=True))
        tf.random.uniform([4])
        raise KeyError
    assert what_is_replaced() == before
    np.testing.assert_array_equal(tf.random.uniform([4]), expected)


def test_nested_scopes():
    def draw(count):
        return [tf.random.uniform([2]).numpy() for _ in range(count)]

    with DeterministicRandomTestTool(mode="num_random_ops").scope():
        expected = draw(4)
    outer = DeterministicRandomTestTool(mode="num_random_ops")
    inner = DeterministicRandomTestTool(mode="num_random_ops")
    with outer.scope():
        drawn = draw(1)
        with inner.scope():
            np.testing.assert_array_equal(draw(3), expected[:3])
        drawn += draw(1)
        with outer.scope():  # the same tool counts on
            drawn += draw(2)
    np.testing.assert_array_equal(drawn, expected)


def test_scopes_of_two_threads_that_overlap():
    before = what_is_replaced()
    entered, leave = threading.Event(), threading.Event()

    def other():
        with DeterministicRandomTestTool(seed=7).scope():
            entered.set()
            leave.wait(10)

    thread = threading.Thread(target=other)
    with DeterministicRandomTestTool().scope():
        thread.start()
        assert entered.wait(10)
    assert what_is_replaced() != before
    assert random_seed.get_seed(None) == (7, 0)  # the other thread's is open
    leave.set()
    thread.join()
    assert what_is_replaced() == before


def test_symbolic_calls_count_nothing():
    """Keras makes a model's ops once for their shapes, in a graph that it throws away."""
    tool = DeterministicRandomTestTool(mode="num_random_ops")
    with tool.scope():
        inputs = keras.Input([5, 5, 5])
        model = keras.Model(inputs, FullyNativeModel(10)(inputs, training=True))
        assert tool.operation_seed == 2  # its kernels; not the dropout
        model(tf.ones([2, 5, 5, 5]))
        assert tool.operation_seed == 3


# The four stages of the model mapping guide's "Incremental migration to native TF2".


class CompatModel(keras.layers.Layer):
    def __init__(self, units, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.units = units

    @track_tf1_style_variables
    def call(self, inputs, training=None):
        with v1.variable_scope("model"):
            out = layers.conv2d(inputs, 3, 3, kernel_regularizer="l2")
            out = layers.flatten(out)
            out = layers.dropout(out, training=training)
            return layers.dense(out, self.units, kernel_regularizer="l2")


class PartiallyMigratedModel(keras.layers.Layer):
    def __init__(self, units, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.units = units
        self.conv_layer = keras.layers.Conv2D(3, 3, kernel_regularizer="l2")

    @track_tf1_style_variables
    def call(self, inputs, training=None):
        with v1.variable_scope("model"):
            out = self.conv_layer(inputs)
            out = layers.flatten(out)
            out = layers.dropout(out, training=training)
            return layers.dense(out, self.units, kernel_regularizer="l2")


class FullyNativeModel(keras.layers.Layer):
    """The guide's, which drops the dropout, and with it where `training` says so."""

    def __init__(self, units, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.units = units
        self.conv_layer = keras.layers.Conv2D(3, 3, kernel_regularizer="l2")
        self.flatten_layer = keras.layers.Flatten()
        self.dropout_layer = keras.layers.Dropout(0.5)
        self.dense_layer = keras.layers.Dense(self.units, kernel_regularizer="l2")

    def call(self, inputs, training=None):
        out = self.conv_layer(inputs)
        out = self.flatten_layer(out)
        out = self.dropout_layer(out, training=training)
        return self.dense_layer(out)


class NearlyFullyNativeModel(FullyNativeModel):
    @track_tf1_style_variables
    def call(self, inputs, training=None):
        with v1.variable_scope("model"):
            return super().call(inputs, training)


STAGES = [CompatModel, PartiallyMigratedModel, NearlyFullyNativeModel, FullyNativeModel]


def run_stage(stage, mode, training):
    random_tool = DeterministicRandomTestTool(mode=mode)
    with random_tool.scope():
        keras.utils.set_random_seed(42)
        layer = stage(10)
        inputs = tf.random.normal(shape=(10, 5, 5, 5))
        output = layer(inputs, training=training)
        loss = tf.math.add_n(layer.losses)
    return output.numpy(), float(loss), random_tool.operation_seed


@pytest.mark.parametrize("training", [None, True])
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("stage", STAGES)
def test_migration_by_stages(stage, mode, training):
    """Each stage equals TensorFlow 1.15.5's graph, hence every other stage.

    The loss is not the guide's printed 0.1824967: Keras 2 drew there by stateless ops, seeded by
    Python's `random` after `set_random_seed(42)`, whatever the tool said.
    """
    prefix = f"{mode}/guide/{bool(training)}"
    output, loss, count = run_stage(stage, mode, training)
    np.testing.assert_allclose(output, GOLDENS[f"{prefix}/outputs"], rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(loss, GOLDENS[f"{prefix}/loss"], rtol=1e-6)
    assert count == (0 if mode == "constant" else 4 if training else 3)


def test_a_module_makes_its_losses_under_the_tool_too():
    class Module(tf.Module):
        @track_tf1_style_variables
        def __call__(self, inputs):
            return layers.dense(inputs, 3, kernel_regularizer="l2")

    with DeterministicRandomTestTool(mode="num_random_ops").scope():
        module = Module()
        output = module(tf.ones([1, 4]))
    with DeterministicRandomTestTool(mode="num_random_ops").scope():
        dense = keras.layers.Dense(3, kernel_regularizer="l2")
        np.testing.assert_allclose(output, dense(tf.ones([1, 4])), rtol=1e-6)
    np.testing.assert_allclose(regularization_losses(module), dense.losses, rtol=1e-6)
