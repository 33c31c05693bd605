"""What is Inception's own: the arg scope, the auxiliary logits, Inception V2's options."""

import numpy as np
import pytest
import tensorflow as tf

from zoo.errors import ArgumentError, InputShapeError
from zoo.shim import skip_initializers, tf1_variables


def test_the_small_image_of_inception_v1_reduces_the_window(make, run, images, relative_difference):
    network = make("inception_v1", (100, 130, 3), num_classes=10)
    _, end_points = run(network, images(2, 100, 130, 3))
    assert end_points["Mixed_5c"].shape[1:3] == (4, 5)
    mean = np.mean(end_points["Mixed_5c"], axis=(1, 2), keepdims=True)
    assert relative_difference(end_points["AvgPool_0a_7x7"], mean) < 1e-5


def test_without_batch_norm_there_are_biases(adapter, trace):
    cls, _ = adapter("inception_v1")
    network = cls(use_batch_norm=False, final_endpoint="Conv2d_1a_7x7")
    trace(network, 1, 64, 64, 3)
    assert list(tf1_variables(network)) == [
        "InceptionV1/Conv2d_1a_7x7/weights",
        "InceptionV1/Conv2d_1a_7x7/biases",
    ]


def test_the_arg_scope_takes_effect(make, images):
    batch = images(2, 64, 64, 3)
    arguments = {"final_endpoint": "Conv2d_1a_7x7", "batch_norm_scale": True}
    network = make("inception_v1", (64, 64, 3), batch_norm_decay=0.75, **arguments)
    variables = {name.rpartition("/")[2]: v for name, v in tf1_variables(network).items()}
    assert "gamma" in variables
    before = np.asarray(variables["moving_mean"])
    mean = tf.reduce_mean(tf.nn.conv2d(batch, variables["weights"].value, 2, "SAME"), [0, 1, 2])
    network(batch, training=True)
    # Ioffe and Szegedy: moving = decay * moving + (1 - decay) * batch statistic.
    np.testing.assert_allclose(variables["moving_mean"], 0.75 * before + 0.25 * mean, atol=1e-5)


@pytest.mark.slow
def test_no_auxiliary_logits(adapter, trace):
    cls, _ = adapter("inception_v3")
    network = cls(create_aux_logits=False)
    _, end_points = trace(network, 1, 139, 139, 3)
    assert "AuxLogits" not in end_points
    assert not [n for n in tf1_variables(network) if n.startswith(network.auxiliary)]
    assert len(tf1_variables(network)) == 378  # 388 less the auxiliary classifier's 10


def test_too_small_for_the_auxiliary_logits(adapter, trace):
    cls, _ = adapter("inception_v3")
    with pytest.raises(InputShapeError, match="create_aux_logits=False"):
        trace(cls(), 1, 100, 100, 3)


def test_inception_v2_with_a_plain_first_convolution(adapter, trace):
    cls, _ = adapter("inception_v2")
    network = cls(use_separable_conv=False, final_endpoint="Conv2d_1a_7x7")
    trace(network, 1, 64, 64, 3)
    shapes = {name: tuple(v.shape) for name, v in tf1_variables(network).items()}
    assert shapes == {
        "InceptionV2/Conv2d_1a_7x7/weights": (7, 7, 3, 64),
        "InceptionV2/Conv2d_1a_7x7/BatchNorm/beta": (64,),
        "InceptionV2/Conv2d_1a_7x7/BatchNorm/moving_mean": (64,),
        "InceptionV2/Conv2d_1a_7x7/BatchNorm/moving_variance": (64,),
    }


@pytest.mark.slow
def test_inception_v2_with_channels_first_computes_the_same(
    make, run, trace, images, relative_difference
):
    plain = {"use_separable_conv": False, "num_classes": 10}
    last = make("inception_v2", (64, 96, 3), final_endpoint="Mixed_4a", **plain)
    batch = images(2, 64, 96, 3)
    expected, _ = run(last, batch)

    cls = type(last)
    first = cls(final_endpoint="Mixed_4a", data_format="NCHW", **plain)
    batch = np.ascontiguousarray(batch.transpose(0, 3, 1, 2))
    variables = tf1_variables(last)
    compiled = tf.function(first, jit_compile=True)  # TensorFlow's own CPU kernels lack NCHW
    with skip_initializers():
        compiled(tf.constant(batch))
    assert list(tf1_variables(first)) == list(variables)
    for name, variable in tf1_variables(first).items():
        variable.assign(variables[name])
    got = np.asarray(compiled(tf.constant(batch))).transpose(0, 2, 3, 1)
    assert relative_difference(got, np.asarray(expected)) < 1e-5

    # The whole network with its head: the same maps, their channels before height and width.
    _, maps = trace(cls(**plain), 2, 64, 96, 3)
    _, turned = trace(cls(data_format="NCHW", **plain), 2, 3, 64, 96)
    for name, value in maps.items():
        order = (0, 3, 1, 2) if len(value.shape) == 4 else range(len(value.shape))
        assert tuple(turned[name].shape) == tuple(value.shape[axis] for axis in order), name


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"data_format": "NCWH"}, "'NHWC' or 'NCHW'"),
        ({"data_format": "NCHW"}, "use_separable_conv=False"),
    ],
)
def test_inception_v2_refuses_formats_it_cannot_serve(arguments, said, adapter, trace):
    cls, _ = adapter("inception_v2")
    with pytest.raises(ArgumentError, match=said):
        trace(cls(**arguments), 1, 64, 64, 3)
