"""Expected: TF-Slim's nets/mobilenet_v1.md, column "Million MACs", and arithmetic by hand."""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import pytest
import tensorflow as tf

from zoo.benchmarks import counting, tensorflow_forms
from zoo.benchmarks.counting import Layer
from zoo.benchmarks.forms import Setting
from zoo.benchmarks.roofline import Ceilings, Roofline

v1 = tf.compat.v1


def counted(name: str, work: str) -> list[Layer]:
    facts = tensorflow_forms.facts(Setting(name, work))
    return [Layer(*layer) for layer in facts["layers"]]


def test_multiplications_are_the_published_ones():
    setting = Setting("mobilenet_v1_0.25_128")
    facts = tensorflow_forms.facts(setting)
    layers = [Layer(*layer) for layer in facts["layers"]]
    # 14 million MACs and 0.47 million parameters, which leave moving averages out
    assert round(counting.multiplications(layers) / 1e6) == 14
    assert round(sum(layer.weights for layer in layers) / 1e6, 2) == 0.46
    assert facts["has_dropout"] and facts["parameters"] > 470_000


def test_a_training_step_has_two_gradients_a_layer_and_none_of_the_images():
    forward = counted("lenet", "inference")
    assert [layer.multiplications for layer in forward] == [
        28 * 28 * 32 * 25,
        14 * 14 * 64 * 25 * 32,
        7 * 7 * 64 * 1024,
        1024 * 10,
    ]
    first, *rest = (layer.multiplications for layer in forward)
    step = counted("lenet", "training")
    assert counting.multiplications(step) == 2 * first + 3 * sum(rest)
    assert sorted(layer.weights for layer in step) == sorted(
        [800] * 2 + [51200] * 3 + [3211264] * 3 + [10240] * 3
    )


def counted_by_hand(function, *shapes) -> list[Layer]:
    with tf.Graph().as_default():
        result = function(*(v1.placeholder(tf.float32, shape) for shape in shapes))
        tf.matmul(tf.ones([3, 3]), tf.ones([3, 3]))  # Nobody asks for it.
    return counting.layers([result.op])


@pytest.mark.parametrize(
    ("function", "shapes", "layer"),
    [
        (lambda x, k: tf.nn.conv2d(x, k, 2, "SAME"), [(1, 8, 8, 3), (3, 3, 3, 5)],
         Layer(4 * 4 * 5 * 27, 192 + 80, 135)),
        # Two groups: a kernel sees half of the channels.
        (lambda x, k: tf.nn.conv2d(x, k, 1, "SAME"), [(1, 8, 8, 4), (3, 3, 2, 6)],
         Layer(8 * 8 * 6 * 18, 256 + 384, 108)),
        (lambda x, k: tf.nn.depthwise_conv2d(x, k, [1, 1, 1, 1], "SAME"),
         [(1, 8, 8, 4), (3, 3, 4, 2)], Layer(8 * 8 * 8 * 9, 256 + 512, 72)),
        (lambda x, k: tf.nn.conv3d(x, k, [1, 1, 1, 1, 1], "SAME"),
         [(1, 4, 8, 8, 3), (2, 3, 3, 3, 5)], Layer(4 * 8 * 8 * 5 * 54, 768 + 1280, 270)),
        (lambda x, k: tf.matmul(x, k, transpose_b=True), [(1, 7), (5, 7)], Layer(35, 12, 35)),
    ],
)  # fmt: skip
def test_layers_by_hand(function, shapes, layer):
    assert counted_by_hand(function, *shapes) == [layer]


def test_the_least_time_is_the_sum_of_the_layers():
    line = Roofline(Ceilings("numpy", "float32", "cpu", 1000.0, 100.0))
    layers = [Layer(500, 1, 0), Layer(5, 20, 40)]
    # Two images: 2000 operations at 1000 a second; 4 * (40 + 40) bytes at 100 a second.
    assert counting.least_seconds(layers, 2, 4, line) == pytest.approx(2.0 + 3.2)
