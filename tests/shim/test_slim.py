"""tf-slim in decorated methods, as in TF1: scopes of arguments, end points, losses, batch norm.

Expected names are those that TF-Slim gives in TF 1.15; expected values are arithmetic.
"""

import keras
import numpy as np
import pytest
import tensorflow as tf
import tf_slim as slim
from running import Running

from zoo.shim import tf1_variables, track_tf1_style_variables

v1 = tf.compat.v1

X = np.ones((2, 3), np.float32)
IMAGES = np.random.RandomState(0).rand(2, 8, 8, 3).astype(np.float32)
ROWS = np.arange(12, dtype=np.float32).reshape(4, 3)  # mean 4.5, 5.5, 6.5, biased variance 11.25


@pytest.fixture
def eagerly():
    tf.config.run_functions_eagerly(True)
    yield
    tf.config.run_functions_eagerly(False)


# ----- layers -----


class Net(keras.layers.Layer):
    """repeat, stack, separable and transposed convolutions, and the end points of one call."""

    @track_tf1_style_variables
    def call(self, images):
        with v1.variable_scope("net") as scope:
            ends = scope.name + "_end_points"
            with slim.arg_scope([slim.conv2d, slim.separable_conv2d], outputs_collections=ends):
                net = slim.repeat(images, 2, slim.conv2d, 4, [3, 3], scope="conv1")
                net = slim.stack(net, slim.conv2d, [(4, [3, 3]), (5, [1, 1])], scope="conv2")
                net = slim.separable_conv2d(net, 6, [3, 3], 2, scope="separable")
                net = slim.separable_conv2d(net, None, [3, 3], 1, scope="depthwise")
            net = slim.conv2d_transpose(net, 3, 3, stride=2, scope="up")
            self.end_points = list(slim.utils.convert_collection_to_dict(ends))
        return net


END_POINTS = [
    "net/conv1/conv1_1",
    "net/conv1/conv1_2",
    "net/conv2/conv2_1",
    "net/conv2/conv2_2",
    "net/separable",
    "net/depthwise",
]


def check_net(layer):
    for images in (IMAGES, IMAGES[:1], IMAGES[:, :6]):
        assert layer(images).shape[1:3] == (2 * images.shape[1], 2 * images.shape[2])
        assert layer.end_points == END_POINTS
    weights = ["weights"] * 4 + ["depthwise_weights"] * 2
    expected = []
    for scope, name in zip(END_POINTS, weights, strict=True):
        expected += [f"{scope}/{name}", f"{scope}/biases"]
    expected.insert(9, "net/separable/pointwise_weights")
    assert list(tf1_variables(layer)) == [*expected, "net/up/weights", "net/up/biases"]


def test_names_and_end_points_of_each_call():
    check_net(Net())


def test_names_and_end_points_line_by_line(eagerly):
    check_net(Net())


def test_a_separable_convolution_is_two():
    layer = Running(
        lambda x: slim.separable_conv2d(x, 5, [3, 3], 2, activation_fn=None, scope="sep")
    )
    output = layer(IMAGES)
    depthwise, pointwise, _ = layer.weights
    expected = tf.nn.conv2d(
        tf.nn.depthwise_conv2d(IMAGES, depthwise._value, [1, 1, 1, 1], "SAME"),
        pointwise._value,
        1,
        "SAME",
    )
    np.testing.assert_allclose(output, expected, rtol=1e-4, atol=1e-6)


def test_arg_scopes_nest_and_are_overridden():
    def code(x):
        with slim.arg_scope(
            [slim.fully_connected],
            activation_fn=None,
            weights_initializer=v1.constant_initializer(2.0),
            biases_initializer=v1.ones_initializer(),
        ) as scope:
            pass
        with slim.arg_scope(scope):
            with slim.arg_scope([slim.fully_connected], biases_initializer=None):
                x = slim.fully_connected(x, 3)
            return slim.fully_connected(x, 1, biases_initializer=v1.zeros_initializer())

    layer = Running(code)
    np.testing.assert_array_equal(layer(X), np.full((2, 1), 36.0))
    assert list(tf1_variables(layer)) == [
        "fully_connected/weights",
        "fully_connected_1/weights",
        "fully_connected_1/biases",
    ]


# ----- losses -----


def test_losses_of_slim():
    def code(x):
        logits = slim.fully_connected(
            x,
            4,
            activation_fn=None,
            weights_initializer=v1.zeros_initializer(),
            weights_regularizer=lambda weights: tf.reduce_sum(weights) + 2.0,
        )
        slim.losses.softmax_cross_entropy(logits, tf.one_hot([1, 2], 4))
        slim.losses.mean_squared_error(logits, tf.ones_like(logits))
        return (
            tf.stack(slim.losses.get_losses()),
            slim.losses.get_total_loss(),
            slim.losses.get_total_loss(add_regularization_losses=False),
        )

    layer = Running(code)
    for x in (X, X, np.ones((2, 3), np.float32) * 2):
        losses, total, without = layer(x)
        np.testing.assert_allclose(losses, [np.log(4), 1.0], rtol=1e-6)
        np.testing.assert_allclose(total, np.log(4) + 1 + 2, rtol=1e-6)
        np.testing.assert_allclose(without, np.log(4) + 1, rtol=1e-6)


def test_losses_do_not_reach_the_default_graph():
    Running(lambda x: slim.losses.absolute_difference(x, 2 * x))(X)
    assert slim.losses.get_losses() == []


# ----- looking variables up -----


def test_variables_are_found_by_scope_name_and_suffix():
    found = {}

    def names(variables):
        return [variable.op.name for variable in variables]

    def code(x):
        with v1.variable_scope("net"):
            x = slim.fully_connected(x, 4, normalizer_fn=slim.batch_norm, scope="first")
            x = slim.fully_connected(x, 2, scope="last")
        v1.get_variable("other", [])
        found["model"] = names(slim.get_model_variables("net"))
        found["last"] = names(slim.get_model_variables("net/last"))
        found["suffix"] = names(slim.get_model_variables(suffix="weights"))
        found["both"] = names(slim.get_model_variables("net/first", "beta"))
        found["variables"] = names(slim.get_variables())[-1:]
        found["trainable"] = names(slim.get_trainable_variables("net/first"))
        found["by_name"] = names(slim.get_variables_by_name("weights", "net/last"))
        found["by_suffix"] = names(slim.get_variables_by_suffix("biases"))
        found["restore"] = names(slim.get_variables_to_restore(exclude=["net/first"]))
        unique = slim.get_unique_variable("net/last/weights")
        found["unique"] = slim.get_variable_full_name(unique)
        with pytest.raises(ValueError, match="not found|Couldn't find|not uniquely"):
            slim.get_unique_variable("net/nowhere")
        return x

    layer = Running(code)
    layer(X)
    layer(np.ones((5, 3), np.float32))
    first = [
        "net/first/weights",
        "net/first/BatchNorm/beta",
        "net/first/BatchNorm/moving_mean",
        "net/first/BatchNorm/moving_variance",
    ]
    last = ["net/last/weights", "net/last/biases"]
    assert found == {
        "model": [*first, *last],
        "last": last,
        "suffix": ["net/first/weights", "net/last/weights"],
        "both": ["net/first/BatchNorm/beta"],
        "variables": ["other"],
        "trainable": first[:2],
        "by_name": ["net/last/weights"],
        "by_suffix": ["net/last/biases"],
        "restore": [*last, "other"],
        "unique": "net/last/weights",
    }


def test_variables_of_slim_itself():
    def code(x):
        weights = slim.variable(
            "w", [3], initializer=v1.ones_initializer(), regularizer=tf.nn.l2_loss
        )
        scale = slim.model_variable("scale", [], initializer=v1.constant_initializer(2.0))
        assert [v.op.name for v in slim.get_model_variables()] == ["scale"]
        return x * weights * scale

    layer = Running(code)
    np.testing.assert_array_equal(layer(X), 2 * X)
    assert [float(loss) for loss in layer.losses] == [1.5]


# ----- batch norm, in all of tf-slim's own ways -----

WAYS = {
    "fused": (ROWS.reshape(4, 1, 1, 3), {}),
    "rank 2": (ROWS, {}),
    "in place": (ROWS.reshape(4, 1, 1, 3), {"updates_collections": None}),
    "in place, rank 2": (ROWS, {"updates_collections": None}),
    "in place, rank 3": (ROWS.reshape(4, 1, 3), {"updates_collections": None}),
    "a collection": (ROWS, {"updates_collections": "mine"}),
    "not fused": (ROWS, {"fused": False}),
    "not fused, in place": (ROWS, {"fused": False, "updates_collections": None}),
    "weights": (ROWS, {"batch_weights": [1.0, 1.0, 1.0, 1.0]}),
}


def batch_norm(options):
    def code(x, training):
        with v1.variable_scope("net"):
            return slim.batch_norm(x, decay=0.5, is_training=training, epsilon=0.0, **options)

    return Running(code)


@pytest.mark.parametrize("way", WAYS)
def test_batch_norm_moves_its_averages_once_a_training_call(way):
    inputs, options = WAYS[way]
    layer = batch_norm(options)
    # The fused kernel raises epsilon to 1.001e-5.
    np.testing.assert_allclose(layer(inputs), inputs, rtol=1e-4)
    outputs = layer(inputs, training=True)
    np.testing.assert_allclose(
        np.reshape(outputs, (4, 3)), (ROWS - ROWS.mean(0)) / ROWS.std(0), rtol=1e-4, atol=1e-5
    )
    mean = tf1_variables(layer)["net/BatchNorm/moving_mean"]
    np.testing.assert_allclose(mean, 0.5 * ROWS.mean(0), rtol=1e-6)


@pytest.mark.parametrize("way", WAYS)
def test_batch_norm_of_a_frozen_layer_is_as_at_inference(way):
    inputs, options = WAYS[way]
    layer = batch_norm(options)
    layer(inputs)
    layer.trainable = False
    np.testing.assert_allclose(layer(inputs, training=True), inputs, rtol=1e-4)
    mean = tf1_variables(layer)["net/BatchNorm/moving_mean"]
    np.testing.assert_array_equal(mean, np.zeros(3))
    layer.trainable = True
    layer(inputs, training=True)
    np.testing.assert_allclose(mean, 0.5 * ROWS.mean(0), rtol=1e-6)


@pytest.mark.parametrize("training_first", [False, True])
def test_zero_debiased_batch_norm(training_first):
    def code(x, training):
        with v1.variable_scope("net"):
            return slim.batch_norm(x, decay=0.9, zero_debias_moving_mean=True, is_training=training)

    layer = Running(code)
    layer(ROWS, training=training_first)
    for _ in range(2 - training_first):
        layer(ROWS, training=True)
    layer(ROWS)
    values = {name: variable.numpy() for name, variable in tf1_variables(layer).items()}
    # The names are those that TF 1.15.5 gives. The biased mean is (1 - 0.9^2) of the batch's,
    # the mean without that bias is the batch's; the kernel's variance is the unbiased 15.
    assert list(values) == [
        "net/BatchNorm/beta",
        "net/BatchNorm/moving_mean",
        "net/BatchNorm/moving_variance",
        "net/BatchNorm/net/BatchNorm/moving_mean/biased",
        "net/BatchNorm/net/BatchNorm/moving_mean/local_step",
    ]
    _, mean, variance, biased, step = values.values()
    np.testing.assert_allclose(biased, (1 - 0.81) * ROWS.mean(0), rtol=1e-5)
    np.testing.assert_allclose(mean, ROWS.mean(0), rtol=1e-5)
    np.testing.assert_allclose(variance, np.full(3, 0.81 + 0.19 * 15), rtol=1e-5)
    assert step == 2


def test_zero_debiased_batch_norms_of_default_names():
    def code(x, training):
        for _ in range(2):
            x = slim.batch_norm(x, zero_debias_moving_mean=True, is_training=training)
        return x

    layer = Running(code)
    layer(ROWS)
    layer(ROWS, training=True)
    scopes = {name.partition("/")[0] for name in tf1_variables(layer)}
    assert scopes == {"BatchNorm", "BatchNorm_1"} and len(layer.weights) == 10


def test_a_normalizer_function_takes_its_parameters_from_the_scope():
    def code(x, training):
        with slim.arg_scope([slim.batch_norm], is_training=training, decay=0.5, scale=True):
            with slim.arg_scope([slim.conv2d], normalizer_fn=slim.batch_norm):
                return slim.conv2d(x, 2, 1, weights_initializer=v1.ones_initializer())

    layer = Running(code)
    layer(IMAGES)
    layer(IMAGES, training=True)
    made = tf1_variables(layer)
    assert "Conv/BatchNorm/gamma" in made and "Conv/biases" not in made
    mean = IMAGES.sum(-1).mean()
    np.testing.assert_allclose(made["Conv/BatchNorm/moving_mean"], [mean / 2] * 2, rtol=1e-5)


def test_updates_need_no_collection_and_leave_none():
    counts = []

    def code(x, training):
        x = slim.batch_norm(x, is_training=training)
        counts.append(len(v1.get_collection(v1.GraphKeys.UPDATE_OPS)))
        return x

    layer = Running(code)
    for training in (False, True):
        layer(ROWS, training=training)
        layer(ROWS[:2], training=training)
    assert counts[:2] == [0, 0] and set(counts[2:]) == {2}
    assert v1.get_collection(v1.GraphKeys.UPDATE_OPS) == []
