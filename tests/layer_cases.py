"""The layers and networks that TensorFlow 1.15.5 was recorded on, for both sides.

tools/record_layers.py runs this file in Python 3.7 with TensorFlow 1.15.5's own
`tf.compat.v1.layers`, the tests with `zoo.shim.layers`.
"""

import zlib

import numpy as np
import recipe

CLASSES = {
    "conv1d": "Conv1D",
    "conv2d": "Conv2D",
    "conv3d": "Conv3D",
    "conv2d_transpose": "Conv2DTranspose",
    "conv3d_transpose": "Conv3DTranspose",
    "separable_conv1d": "SeparableConv1D",
    "separable_conv2d": "SeparableConv2D",
    "dense": "Dense",
    "flatten": "Flatten",
    "dropout": "Dropout",
    "batch_normalization": "BatchNormalization",
    "average_pooling1d": "AveragePooling1D",
    "average_pooling2d": "AveragePooling2D",
    "average_pooling3d": "AveragePooling3D",
    "max_pooling1d": "MaxPooling1D",
    "max_pooling2d": "MaxPooling2D",
    "max_pooling3d": "MaxPooling3D",
}

LINE, IMAGE, VOLUME = (2, 9, 4), (2, 7, 8, 3), (2, 4, 5, 6, 2)

# Name of the case: the function, the shape of its input, its other arguments.
CASES = {
    "conv1d": ("conv1d", LINE, {"filters": 3, "kernel_size": 3, "kernel_regularizer": "l2"}),
    "conv1d_causal": (
        "conv1d",
        LINE,
        {"filters": 3, "kernel_size": 2, "padding": "causal", "dilation_rate": 2},
    ),
    "conv2d": ("conv2d", IMAGE, {"filters": 4, "kernel_size": 3, "activation": "relu"}),
    "conv2d_same": (
        "conv2d",
        IMAGE,
        {
            "filters": 4,
            "kernel_size": [3, 2],
            "strides": 2,
            "padding": "same",
            "use_bias": False,
            "kernel_regularizer": "l1",
        },
    ),
    "conv2d_dilated": (
        "conv2d",
        IMAGE,
        {
            "filters": 4,
            "kernel_size": 3,
            "padding": "SAME",
            "dilation_rate": [2, 1],
            "activation": "softplus",
            "bias_regularizer": "l2",
        },
    ),
    "conv2d_not_trainable": (
        "conv2d",
        IMAGE,
        {"filters": 2, "kernel_size": 1, "trainable": False, "kernel_regularizer": "l2"},
    ),
    "conv3d": (
        "conv3d",
        VOLUME,
        {"filters": 3, "kernel_size": 2, "strides": [1, 2, 1], "kernel_regularizer": "l1_l2"},
    ),
    "conv2d_transpose": (
        "conv2d_transpose",
        IMAGE,
        {"filters": 4, "kernel_size": 3, "strides": 2, "padding": "same", "activation": "tanh"},
    ),
    "conv2d_transpose_valid": (
        "conv2d_transpose",
        IMAGE,
        {"filters": 2, "kernel_size": [2, 3], "kernel_regularizer": "l2", "name": "up"},
    ),
    "conv2d_transpose_channels_first": (
        "conv2d_transpose",
        IMAGE,
        {"filters": 2, "kernel_size": 3, "strides": 2, "data_format": "channels_first"},
    ),
    "conv3d_transpose": (
        "conv3d_transpose",
        VOLUME,
        {"filters": 3, "kernel_size": 3, "strides": [1, 2, 2], "kernel_regularizer": "l2"},
    ),
    "conv3d_transpose_same": (
        "conv3d_transpose",
        VOLUME,
        {"filters": 2, "kernel_size": 2, "strides": 2, "padding": "same", "use_bias": False},
    ),
    "separable_conv1d": (
        "separable_conv1d",
        LINE,
        {
            "filters": 5,
            "kernel_size": 3,
            "strides": 2,
            "padding": "same",
            "depth_multiplier": 2,
            "depthwise_regularizer": "l2",
            "pointwise_regularizer": "l1",
        },
    ),
    "separable_conv2d": (
        "separable_conv2d",
        IMAGE,
        {
            "filters": 5,
            "kernel_size": 3,
            "dilation_rate": 2,
            "activation": "sigmoid",
            "pointwise_regularizer": "l2",
        },
    ),
    "dense": ("dense", (3, 5), {"units": 4, "kernel_regularizer": "l2", "bias_regularizer": "l1"}),
    "dense_activity": (
        "dense",
        (3, 5),
        {"units": 4, "activity_regularizer": "l2", "kernel_regularizer": "l1"},
    ),
    "dense_rank_3": ("dense", LINE, {"units": 3, "activation": "elu", "use_bias": False}),
    "flatten": ("flatten", IMAGE, {}),
    "flatten_channels_first": ("flatten", IMAGE, {"data_format": "channels_first"}),
    "dropout": ("dropout", IMAGE, {"rate": 0.3, "seed": 3, "training": True}),
    "dropout_noise_shape": (
        "dropout",
        IMAGE,
        {"seed": 5, "noise_shape": [None, 1, 1, 3], "training": True},
    ),
    "dropout_in_inference": ("dropout", IMAGE, {}),
    "batch_normalization": (
        "batch_normalization",
        IMAGE,
        {"training": True, "gamma_regularizer": "l2", "beta_regularizer": "l1"},
    ),
    "batch_normalization_in_inference": ("batch_normalization", IMAGE, {"epsilon": 0.01}),
    "average_pooling1d": ("average_pooling1d", LINE, {"pool_size": 3, "strides": 2}),
    "average_pooling1d_channels_first": (
        "average_pooling1d",
        LINE,
        {"pool_size": 2, "strides": 2, "data_format": "channels_first"},
    ),
    "average_pooling2d": (
        "average_pooling2d",
        IMAGE,
        {"pool_size": [2, 3], "strides": 2, "padding": "same"},
    ),
    "average_pooling3d": ("average_pooling3d", VOLUME, {"pool_size": 2, "strides": 1}),
    "average_pooling3d_channels_first": (
        "average_pooling3d",
        VOLUME,
        {"pool_size": 2, "strides": 1, "data_format": "channels_first"},
    ),
    "max_pooling1d": ("max_pooling1d", LINE, {"pool_size": 2, "strides": 3, "padding": "same"}),
    "max_pooling2d": ("max_pooling2d", IMAGE, {"pool_size": 3, "strides": [2, 1]}),
    "max_pooling3d": (
        "max_pooling3d",
        VOLUME,
        {"pool_size": [2, 1, 2], "strides": 2, "padding": "same"},
    ),
}

weights = recipe.weights


def inputs(case):
    """The case's input, without ties that would leave max pooling's gradient open."""
    return numbers(case, CASES[case][1])


def numbers(key, shape):
    """Normal float32 numbers by a name."""
    rng = np.random.RandomState(zlib.crc32(key.encode()) & 0xFFFFFFFF)
    return rng.normal(0, 1, shape).astype(np.float32)


def apply_function(layers, case, x):
    """The case's layer in functional style."""
    function, _, arguments = CASES[case]
    return getattr(layers, function)(x, **arguments)


def make_object(layers, case):
    """The case's layer in object style, and the arguments of its call."""
    function, _, arguments = CASES[case]
    arguments = dict(arguments)
    call = {"training": arguments.pop("training")} if "training" in arguments else {}
    return getattr(layers, CLASSES[function])(**arguments), call


def numbering(v1, layers, x):
    """Many layers of one kind and another, named by hand and by number, in and out of scopes.

    Both styles of layer are in it, and reuse in each of its forms.
    """
    before = layers.Conv2D(2, 1)
    named = layers.Conv2D(2, 1, name="by_hand")
    x = layers.conv2d(x, 2, 1)
    x = before(x)
    x = layers.conv2d(x, 2, 1)
    x = layers.batch_normalization(x)
    x = layers.max_pooling2d(x, 1, 1)
    with v1.variable_scope("a"):
        x = layers.conv2d(x, 2, 1)
        x = named(x)
        x = layers.separable_conv2d(x, 2, 1, trainable=False)
        x = layers.Conv2D(2, 1)(x)
        with v1.variable_scope("b"):
            x = layers.conv2d(x, 2, 1)
            x = layers.conv2d(x, 2, 1, name="mine")
            x = layers.conv2d(x, 2, 1, name="mine", reuse=True)
            x = before(x)
    with v1.variable_scope("a", reuse=True):
        x = layers.conv2d(x, 2, 1)
        x = named(x)
    with v1.variable_scope("a", reuse=v1.AUTO_REUSE):
        x = layers.conv2d(x, 2, 1)
        x = layers.conv2d(x, 2, 1)
        x = layers.dense(x, 2)
        x = layers.batch_normalization(x)
    with v1.variable_scope(None, default_name="a"):
        x = layers.dense(x, 2)
        x = layers.dense(x, 2)
    x = layers.conv2d_transpose(x, 2, 1)
    x = layers.conv2d(x, 2, 1)
    return x


def network(v1, layers, x, training):
    """Convolution, batch norm, activation, pooling and dense, to be trained for some steps."""
    with v1.variable_scope("net"):
        x = layers.conv2d(x, 4, 3, padding="same", use_bias=False, kernel_regularizer="l2")
        x = layers.batch_normalization(x, momentum=0.9, training=training)
        x = layers.separable_conv2d(x, 5, 3, activation="relu", pointwise_regularizer="l2")
        x = layers.batch_normalization(x, momentum=0.8, fused=False, training=training)
        x = layers.max_pooling2d(x, 2, 2)
        x = layers.flatten(x)
        x = layers.dense(x, 6, activation="tanh", kernel_constraint="non_neg")
        return layers.dense(x, 3, kernel_regularizer="l1")


STEPS = 3
LEARNING_RATE = 0.05


def batches():
    """Images and targets of each training step."""
    images = numbers("network", (STEPS, 4, 8, 8, 3))
    return images, numbers("network/targets", (STEPS, 4, 3))
