"""zoo.to_native: what it takes, what it keeps, and what it refuses."""

import keras
import networks
import numpy as np
import pytest
import recipe
import tensorflow as tf
import tf_slim as slim
from running import Running, running

import zoo
from zoo.adapters.mobilenet_v1 import MobileNetV1
from zoo.adapters.resnet_v1 import ResNetV1_50
from zoo.errors import ArgumentError, ConversionError
from zoo.native import to_native
from zoo.shim import tf1_variables

v1 = tf.compat.v1


def same(model, native, *shape):
    images = recipe.images((2, *shape))
    expected = model.predict_on_batch(images)
    # One TensorFlow, other kernels at most: float32 rounding.
    assert networks.relative_difference(native.predict_on_batch(images), expected) < 1e-5
    return True


def kinds(model):
    return [type(layer).__name__ for layer in model.layers]


@pytest.fixture(scope="module")
def mobilenet():
    model = zoo.load("mobilenet_v1_0.25_128", weights=None, num_classes=5)
    networks.give_weights(model.network)
    return model


@pytest.fixture(scope="module")
def native(mobilenet):
    return to_native(mobilenet)


def test_layers_are_keras_own_and_named_after_scopes(native):
    assert {type(layer).__module__.split(".")[0] for layer in native.layers} == {"keras"}
    names = [layer.name for layer in native.layers]
    assert names[:4] == [
        "images",
        "MobilenetV1-Conv2d_0",
        "MobilenetV1-Conv2d_0-BatchNorm",
        "MobilenetV1-Conv2d_0-Relu6",
    ]
    assert names[-2:] == ["MobilenetV1-Logits-SpatialSqueeze", "predictions"]


def test_the_model_stays_as_it_was(mobilenet, native):
    assert tf1_variables(mobilenet)
    ours = {id(variable) for variable in mobilenet.variables}
    assert not ours & {id(variable) for variable in native.variables}
    assert same(mobilenet, native, 128, 128, 3)


def test_what_training_needs_is_kept(native):
    # Slim's mobilenet_v1_arg_scope: decay 0.9997, epsilon 0.001, weight decay 0.00004, none of
    # it on depthwise kernels; dropout keeps 0.999 by default.
    norm = native.get_layer("MobilenetV1-Conv2d_0-BatchNorm")
    assert (norm.momentum, round(norm.epsilon, 6)) == (0.9997, 0.001)
    assert native.get_layer("MobilenetV1-Logits-Dropout_1b").rate == pytest.approx(0.001)
    kernel = native.get_layer("MobilenetV1-Conv2d_0").kernel_regularizer
    assert kernel.get_config() == {"l2": pytest.approx(0.00002)}  # Keras has no factor of 1/2
    depthwise = native.get_layer("MobilenetV1-Conv2d_1_depthwise")
    assert depthwise.depthwise_regularizer is None


def test_regularization_losses_are_equal(mobilenet, native):
    assert float(sum(native.losses)) == pytest.approx(float(sum(mobilenet.losses)), rel=1e-6)
    assert len(native.losses) == len(mobilenet.losses)


def test_a_network_frozen_stays_frozen(recorded_model):
    model = recorded_model("lenet")
    model.trainable = False
    native = to_native(model)
    assert native.trainable_variables == []
    model.trainable = True
    assert to_native(model).trainable_variables


def test_a_head_of_ones_own_and_its_weights(mobilenet):
    features = zoo.load("mobilenet_v1_0.25_128", weights=None, num_classes=0)
    networks.give_weights(features.network)
    hidden = keras.layers.Flatten()(features.output)
    model = keras.Model(features.input, keras.layers.Dense(3, name="head")(hidden), name="mine")
    native = to_native(model)
    assert native.name == "mine"
    assert native.get_layer("head").kernel.numpy().any()
    assert same(model, native, 128, 128, 3)


def test_a_model_inside_another(mobilenet):
    images = keras.Input((128, 128, 3))
    model = keras.Model(images, keras.layers.Rescaling(2.0)(mobilenet(images)))
    native = to_native(model)
    assert not any(zoo.shim.runs_tf1_code(layer) for layer in native._flatten_layers())
    assert same(model, native, 128, 128, 3)


def test_in_a_sequential_model(model_of):
    network = MobileNetV1(num_classes=3, depth_multiplier=0.25)
    model = keras.Sequential([keras.Input((64, 64, 3)), network, keras.layers.Softmax()])
    networks.give_weights(network)
    assert same(model, to_native(model), 64, 64, 3)


def test_end_points(mobilenet):
    features = mobilenet.feature_extractor(["Conv2d_5_pointwise", "Conv2d_11_pointwise"])
    native = to_native(features)
    images = recipe.images((1, 128, 128, 3))
    expected, got = features.predict_on_batch(images), native.predict_on_batch(images)
    assert list(got) == ["Conv2d_5_pointwise", "Conv2d_11_pointwise"]
    for name in expected:
        assert networks.relative_difference(got[name], expected[name]) < 1e-5


def test_images_of_any_size():
    model = zoo.load(
        "mobilenet_v1_0.25_128", weights=None, num_classes=5, input_shape=(None, None, 3)
    )
    networks.give_weights(model.network)
    native = to_native(model)
    assert native.input_shape == (None, None, None, 3)
    assert same(model, native, 96, 64, 3)


@pytest.mark.slow
def test_dilated_convolutions(model_of):
    model = model_of(ResNetV1_50(num_classes=None, global_pool=False, output_stride=8), (65, 65, 3))
    native = to_native(model)
    assert {layer.dilation_rate for layer in native.layers if hasattr(layer, "dilation_rate")} == {
        (1, 1),
        (2, 2),
        (4, 4),
    }
    assert same(model, native, 65, 65, 3)


def test_mixed_precision():
    model = zoo.load("mobilenet_v1_0.25_128", weights=None, num_classes=5, dtype="mixed_bfloat16")
    networks.give_weights(model.network)
    native = to_native(model)
    layer = native.get_layer("MobilenetV1-Conv2d_0")
    assert (layer.compute_dtype, layer.variable_dtype) == ("bfloat16", "float32")
    images = recipe.images((2, 128, 128, 3))
    expected = model.predict_on_batch(images)
    # bfloat16 has 8 bits of mantissa.
    assert networks.relative_difference(native.predict_on_batch(images), expected) < 5e-2


def test_a_function_that_never_saw_keras():
    def old_network(images, is_training=False):
        with slim.arg_scope([slim.conv2d], weights_regularizer=slim.l1_regularizer(0.01)):
            net = slim.conv2d(images, 8, 3, stride=2, activation_fn=tf.nn.elu, scope="one")
        net = slim.separable_conv2d(net, 6, 3, depth_multiplier=2, scope="two")
        net = tf.nn.leaky_relu(net * 3.0 - 1.0, 0.1) / 2.0
        net = tf.concat([net, tf.nn.tanh(net)], -1)
        return slim.fully_connected(slim.flatten(net), 4, activation_fn=None, scope="three")

    model = zoo.wrap(old_network, (9, 9, 3))
    native = to_native(model)
    assert "SeparableConv2D" in kinds(native)
    assert native.get_layer("one").kernel_regularizer.get_config() == {"l1": pytest.approx(0.01)}
    assert same(model, native, 9, 9, 3)
    assert float(sum(native.losses)) == pytest.approx(float(sum(model.losses)), rel=1e-6)


def test_variables_used_twice_are_one_layer():
    def twice(images):
        with v1.variable_scope("net", reuse=v1.AUTO_REUSE):
            first = slim.conv2d(images, 3, 3, scope="conv")
            return slim.conv2d(first, 3, 3, scope="conv")

    model = running(twice, 8, 8, 3)
    native = to_native(model)
    assert kinds(native).count("Conv2D") == 1
    assert same(model, native, 8, 8, 3)


def test_dropout_of_whole_channels():
    def code(images, training):
        return slim.dropout(
            images, 0.75, noise_shape=[tf.shape(images)[0], 1, 1, 3], is_training=training
        )

    (layer,) = [
        layer
        for layer in to_native(running(code, 8, 8, 3)).layers
        if isinstance(layer, keras.layers.Dropout)
    ]
    assert (layer.rate, tuple(layer.noise_shape)) == (0.25, (None, 1, 1, None))


def test_batch_norm_in_plain_arithmetic():
    def code(images, training):
        return slim.batch_norm(
            images, is_training=training, scale=True, decay=0.8, fused=False, scope="norm"
        )

    model = running(code, 6, 6, 3)
    native = to_native(model)
    layer = native.get_layer("norm")
    assert (layer.momentum, layer.scale, layer.center) == (0.8, True, True)
    assert same(model, native, 6, 6, 3)


def test_batch_norm_that_never_uses_the_batch():
    def code(images):
        return slim.batch_norm(images, is_training=False, scope="norm")

    native = to_native(running(code, 6, 6, 3))
    assert native.get_layer("norm").trainable is False


@pytest.mark.parametrize(
    ("code", "told"),
    [
        (lambda images: tf.sort(images), "TopKV2"),
        (lambda images: tf.transpose(images, [0, 2, 1, 3]), "Transpose"),
        (lambda images: tf.reverse(images, [2]), "ReverseV2"),
        (lambda images: tf.pad(images, [[0, 0], [0, 0], [0, 0], [1, 0]]), "channels"),
        (lambda images: tf.reshape(images, [-1, 3]), "mixes the examples"),
        (lambda images: tf.reduce_mean(images, 3), "channels"),
        (lambda images: images * v1.get_variable("factor", [3]), "Mul"),
        (lambda images: tf.pad(images, [[0, 0], [1, 1], [1, 1], [0, 0]], "REFLECT"), "MirrorPad"),
    ],
)
def test_an_operation_without_counterpart(code, told):
    model = running(code, 8, 8, 3)
    with pytest.raises(ConversionError, match=told) as error:
        to_native(model)
    assert "until=" in str(error.value)


def test_training_that_is_another_network():
    def code(images, training):
        net = slim.conv2d(images, 3, 3, scope="conv")
        return tf.nn.relu(net) if training else net

    model = running(code, 8, 8, 3)
    with pytest.raises(ConversionError, match="computes something else") as error:
        to_native(model)
    assert "training=False" in str(error.value)
    assert same(model, to_native(model, training=False), 8, 8, 3)


def test_averages_that_move_otherwise():
    def code(images, training):
        with v1.variable_scope("norm"):
            mean = v1.get_variable("moving_mean", [3], trainable=False)
            variance = v1.get_variable("moving_variance", [3], trainable=False)
        if not training:
            return tf.nn.batch_normalization(images, mean, variance, None, None, 1e-3)
        batch_mean, batch_variance = tf.nn.moments(images, [0, 1, 2])
        with tf.control_dependencies([mean.assign(batch_mean), variance.assign(batch_variance)]):
            return tf.nn.batch_normalization(images, batch_mean, batch_variance, None, None, 1e-3)

    with pytest.raises(ConversionError, match="moves its averages otherwise"):
        to_native(running(code, 8, 8, 3))


def test_a_regularizer_that_is_no_norm():
    def code(images):
        return slim.conv2d(images, 3, 3, weights_regularizer=tf.reduce_max, scope="conv")

    with pytest.raises(ConversionError, match="regularizer"):
        to_native(running(code, 8, 8, 3))


@pytest.mark.parametrize("what", [keras.Sequential([keras.layers.Dense(1)]), Running(abs), 3])
def test_only_models_of_tf1_code(what):
    with pytest.raises(ArgumentError, match="run TF1 code"):
        to_native(what)


def test_a_compiled_model_stays_compiled(mobilenet):
    mobilenet.compile("sgd", "sparse_categorical_crossentropy")
    native = to_native(mobilenet)
    images, labels = recipe.images((2, 128, 128, 3)), np.array([1, 2])
    assert np.isfinite(native.train_on_batch(images, labels))
