"""What TF1 code does beside layers: recurrent cells, losses, summaries, prints, global steps.

Expected values are arithmetic written out here; expected names are those of TF 1.15.
"""

import keras
import numpy as np
import pytest
import tensorflow as tf
from running import Running

from zoo import shim
from zoo.shim import rnn_cell, tf1_variables, track_tf1_style_variables

v1 = tf.compat.v1

X = np.ones((2, 3), np.float32)
SEQUENCES = np.random.RandomState(0).normal(size=(2, 4, 3)).astype(np.float32)


# ----- recurrent networks -----


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def lstm(inputs, kernel, bias, lengths):
    """The outputs of TF1's BasicLSTMCell: gates i, j, f, o, and a forget bias of 1."""
    units = len(bias) // 4
    c = h = np.zeros((len(inputs), units))
    outputs = []
    for step in range(inputs.shape[1]):
        gates = np.concatenate([inputs[:, step], h], 1) @ kernel + bias
        i, j, f, o = np.split(gates, 4, axis=1)
        new_c = c * sigmoid(f + 1) + sigmoid(i) * np.tanh(j)
        new_h = np.tanh(new_c) * sigmoid(o)
        running = (step < np.array(lengths))[:, None]
        c, h = np.where(running, new_c, c), np.where(running, new_h, h)
        outputs.append(np.where(running, new_h, 0))
    return np.stack(outputs, 1)


@pytest.mark.parametrize("cell", ["BasicLSTMCell", "LSTMCell"])
def test_an_lstm(cell):
    def code(x):
        outputs, state = v1.nn.dynamic_rnn(
            getattr(rnn_cell, cell)(5), x, sequence_length=[4, 2], dtype=tf.float32
        )
        return outputs, state.h

    layer = Running(code)
    outputs, state = layer(SEQUENCES)
    scope = {"BasicLSTMCell": "basic_lstm_cell", "LSTMCell": "lstm_cell"}[cell]
    assert list(tf1_variables(layer)) == [f"rnn/{scope}/kernel", f"rnn/{scope}/bias"]
    kernel, bias = (variable.numpy() for variable in layer.weights)
    expected = lstm(SEQUENCES, kernel, bias, [4, 2])
    np.testing.assert_allclose(outputs, expected, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(state, [expected[0, 3], expected[1, 1]], rtol=1e-4, atol=1e-6)


CELLS = {
    "gru": (
        lambda: rnn_cell.GRUCell(3),
        [f"gru_cell/{gate}/{v}" for gate in ("gates", "candidate") for v in ("kernel", "bias")],
    ),
    "rnn": (
        lambda: rnn_cell.BasicRNNCell(3),
        ["basic_rnn_cell/kernel", "basic_rnn_cell/bias"],
    ),
    "peepholes and a projection": (
        lambda: rnn_cell.LSTMCell(4, use_peepholes=True, num_proj=3),
        [
            f"lstm_cell/{v}"
            for v in ("kernel", "bias", "w_f_diag", "w_i_diag", "w_o_diag", "projection/kernel")
        ],
    ),
    "stacked": (
        lambda: rnn_cell.MultiRNNCell(
            [
                rnn_cell.DropoutWrapper(rnn_cell.BasicRNNCell(3), output_keep_prob=0.9),
                rnn_cell.ResidualWrapper(rnn_cell.BasicRNNCell(3)),
            ]
        ),
        [
            f"multi_rnn_cell/cell_{number}/basic_rnn_cell/{v}"
            for number in (0, 1)
            for v in ("kernel", "bias")
        ],
    ),
}


@pytest.mark.parametrize("kind", CELLS)
def test_cells_of_every_kind(kind):
    make, names = CELLS[kind]
    layer = Running(lambda x: v1.nn.dynamic_rnn(make(), x, dtype=tf.float32)[0])
    for sequences in (SEQUENCES, SEQUENCES[:, :2], SEQUENCES[:1]):
        assert layer(sequences).shape == sequences.shape
    assert list(tf1_variables(layer)) == [f"rnn/{name}" for name in names]
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(layer(SEQUENCES) ** 2)
    gradients = tape.gradient(loss, layer.trainable_variables)
    assert all(np.abs(gradient).max() > 0 for gradient in gradients)


def test_static_and_dynamic_are_the_same_network():
    def code(x):
        with v1.variable_scope("net", reuse=v1.AUTO_REUSE):
            dynamic, _ = v1.nn.dynamic_rnn(rnn_cell.GRUCell(3), x, dtype=tf.float32)
            steps = tf.unstack(x, axis=1)
            static, _ = v1.nn.static_rnn(rnn_cell.GRUCell(3), steps, dtype=tf.float32)
        return dynamic, tf.stack(static, 1)

    layer = Running(code)
    dynamic, static = layer(SEQUENCES)
    np.testing.assert_allclose(dynamic, static, rtol=1e-5, atol=1e-6)
    assert len(layer.weights) == 4


@pytest.mark.parametrize("static", [False, True])
def test_both_directions(static):
    def code(x):
        cells = rnn_cell.BasicRNNCell(3), rnn_cell.BasicRNNCell(3)
        if static:
            outputs, _, _ = v1.nn.static_bidirectional_rnn(
                *cells, tf.unstack(x, axis=1), dtype=tf.float32
            )
            return tf.stack(outputs, 1)
        return tf.concat(v1.nn.bidirectional_dynamic_rnn(*cells, x, dtype=tf.float32)[0], -1)

    layer = Running(code)
    output = layer(SEQUENCES).numpy()
    assert list(tf1_variables(layer)) == [
        f"bidirectional_rnn/{way}/basic_rnn_cell/{v}"
        for way in ("fw", "bw")
        for v in ("kernel", "bias")
    ]
    kernel, bias = (variable.numpy() for variable in layer.weights[2:])
    last = np.tanh(SEQUENCES[:, -1] @ kernel[:3] + bias)  # where the way back begins
    np.testing.assert_allclose(output[:, -1, 3:], last, rtol=1e-4, atol=1e-6)


def test_a_cell_as_an_attribute_in_a_model_that_trains():
    class Encoder(keras.layers.Layer):
        def __init__(self):
            super().__init__()
            self.cell = rnn_cell.BasicRNNCell(3)

        @track_tf1_style_variables
        def call(self, inputs):
            return v1.nn.dynamic_rnn(self.cell, inputs, dtype=tf.float32)[0]

    source = keras.Input((None, 3))
    layer = Encoder()
    model = keras.Model(source, layer(source))
    model.compile(keras.optimizers.SGD(0.5), "mse")
    losses = model.fit(SEQUENCES, np.zeros((2, 4, 3)), epochs=4, verbose=0).history["loss"]
    assert losses[-1] < losses[0]
    assert model(SEQUENCES[:, :2]).shape == (2, 2, 3)
    assert list(tf1_variables(layer)) == ["rnn/basic_rnn_cell/kernel", "rnn/basic_rnn_cell/bias"]


def test_install_puts_cells_where_old_code_finds_them():
    with pytest.raises(AttributeError, match="not available with Keras 3"):
        _ = v1.nn.rnn_cell.GRUCell
    shim.install()
    try:
        assert v1.nn.rnn_cell.GRUCell is rnn_cell.GRUCell
    finally:
        shim.uninstall()
    with pytest.raises(AttributeError, match="not available with Keras 3"):
        _ = v1.nn.rnn_cell.GRUCell


# ----- other users of variables in tf.compat.v1.nn -----


def test_embeddings_and_sampled_losses():
    def code(ids):
        table = v1.get_variable("table", [10, 4])
        looked_up = v1.nn.embedding_lookup(table, ids)
        summed = v1.nn.embedding_lookup_sparse(table, tf.sparse.from_dense(ids), None)
        loss = v1.nn.nce_loss(
            v1.get_variable("weights", [10, 4]),
            v1.get_variable("biases", [10]),
            tf.cast(ids[:, :1], tf.int64),
            summed,
            3,
            10,
        )
        return looked_up, loss

    layer = Running(code)
    ids = tf.constant([[1, 2], [3, 1]])
    looked_up, loss = layer(ids)
    np.testing.assert_array_equal(looked_up, layer.weights[0].numpy()[ids])
    assert loss.shape == (2,)
    with tf.GradientTape() as tape:
        outputs = layer(ids)
    gradients = tape.gradient(outputs, layer.trainable_variables)
    assert all(isinstance(gradient, tf.IndexedSlices) for gradient in gradients)


# ----- losses -----


def test_collections_of_losses_are_the_calls_own():
    def code(x):
        scale = v1.get_variable(
            "w", [3], initializer=v1.constant_initializer(2.0), regularizer=tf.nn.l2_loss
        )
        outputs = x * scale
        v1.losses.mean_squared_error(tf.zeros_like(outputs), outputs)
        v1.losses.absolute_difference(x, outputs, weights=0.5)
        v1.losses.add_loss(tf.reduce_max(outputs))
        return (
            tf.stack(v1.losses.get_losses()),
            v1.losses.get_regularization_loss(),
            v1.losses.get_total_loss(),
        )

    layer = Running(code)
    for inputs in (X, X, np.ones((5, 3), np.float32)):
        losses, regularization, total = layer(inputs)
        np.testing.assert_allclose(losses, [4.0, 0.5, 2.0])
        np.testing.assert_allclose([regularization, total], [6.0, 12.5])
    assert v1.losses.get_losses() == []
    # The weights' alone are the layer's: the others belong to the code, as in TF1.
    assert [float(loss) for loss in layer.losses] == [6.0]


@pytest.mark.parametrize(
    ("loss", "expected"),
    [
        # Outputs 2, labels 1 or classes 0 and 1, for two rows of three.
        (lambda y: v1.losses.sparse_softmax_cross_entropy([0, 1], y), np.log(3)),
        (lambda y: v1.losses.softmax_cross_entropy(tf.one_hot([0, 1], 3), y), np.log(3)),
        (lambda y: v1.losses.huber_loss(tf.zeros_like(y), y), 1.5),
        (lambda y: v1.losses.hinge_loss(tf.zeros_like(y), y), 3.0),
        (lambda y: v1.losses.log_loss(tf.ones_like(y), y / 4, epsilon=0.0), np.log(2)),
    ],
    ids=["sparse", "softmax", "huber", "hinge", "log"],
)
def test_each_loss(loss, expected):
    def code(x):
        y = x * v1.get_variable("w", [3], initializer=v1.constant_initializer(2.0))
        loss(y)
        return v1.losses.get_total_loss()

    np.testing.assert_allclose(Running(code)(X), expected, rtol=1e-6)


# ----- what reports, checks and counts -----


def reporting(x):
    with v1.variable_scope("net"):
        scale = v1.get_variable("w", [3], initializer=v1.constant_initializer(2.0))
    v1.summary.histogram(scale.op.name, scale)
    v1.summary.scalar("mean", tf.reduce_mean(x))
    v1.summary.image("picture", tf.ones((1, 2, 2, 3)))
    for variable in v1.trainable_variables():
        v1.summary.histogram(variable.op.name, variable)
    v1.summary.merge_all()
    x = v1.Print(x, [tf.reduce_sum(x)], "the sum is ")
    checks = [
        v1.assert_equal(tf.shape(x)[-1], 3),
        v1.assert_greater(x, 0.0),
        v1.Assert(tf.reduce_all(x < 9), [x]),
    ]
    with tf.control_dependencies(checks):
        return x * scale


def test_summaries_prints_and_assertions_do_no_harm(capfd):
    layer = Running(reporting)
    np.testing.assert_array_equal(layer(X), 2 * X)
    np.testing.assert_array_equal(tf.function(lambda x: layer(x))(X), 2 * X)
    assert "the sum is [6]" in capfd.readouterr().err
    assert list(tf1_variables(layer)) == ["net/w"]
    model = keras.Sequential([layer])
    model.compile(keras.optimizers.SGD(0.0), "mse")
    model.fit(X, 2 * X, verbose=0)
    assert v1.get_collection(v1.GraphKeys.SUMMARIES) == []


@pytest.mark.parametrize("around", [False, True], ids=["eager", "in a tf.function"])
def test_an_assertion_that_does_not_hold_is_raised(around):
    layer = Running(reporting)
    call = tf.function(lambda x: layer(x)) if around else layer
    with pytest.raises(tf.errors.InvalidArgumentError):
        call(-X)


def test_a_global_step_is_a_variable_that_is_not_trained():
    def code(x):
        step = v1.train.get_or_create_global_step()
        assert v1.train.get_global_step() is step
        rate = v1.train.exponential_decay(1.0, step, 1, 0.5)
        rate = rate() if callable(rate) else rate
        return x * rate * v1.get_variable("w", [3], initializer=v1.ones_initializer())

    layer = Running(code)
    np.testing.assert_array_equal(layer(X), X)
    step = tf1_variables(layer)["global_step"]
    assert (step.dtype, step.trainable) == ("int64", False)
    step.assign(2)
    np.testing.assert_array_equal(layer(X), X / 4)


def test_old_ways_to_assign():
    def code(x):
        calls = v1.get_variable("calls", [], initializer=v1.zeros_initializer(), trainable=False)
        moved = v1.assign_add(calls, 1.0)
        with tf.control_dependencies([moved, calls]):
            return x * tf.identity(calls)

    layer = Running(code)
    for number in (1, 2):
        np.testing.assert_array_equal(layer(X), number * X)
    np.testing.assert_array_equal(tf.function(lambda x: layer(x))(X), 3 * X)


def test_local_variables_are_kept_and_not_trained():
    layer = Running(
        lambda x: x + v1.get_local_variable("count", [], initializer=v1.ones_initializer())
    )
    np.testing.assert_array_equal(layer(X), X + 1)
    assert [variable.trainable for variable in layer.weights] == [False]
