"""The chain of layers that VGG, AlexNet and OverFeat are."""

import numpy as np
import pytest

from zoo.errors import InputShapeError


@pytest.mark.parametrize(
    ("arch", "size"), [("vgg_16", 200), ("alexnet_v2", 190), ("overfeat", 200)]
)
def test_too_small_for_the_classifier_says_what_to_pass(arch, size, adapter, trace):
    cls, _ = adapter(arch)
    with pytest.raises(InputShapeError, match="fc_conv_padding='SAME'"):
        trace(cls(), 1, size, size, 3)


def test_dropout_after_fc6_and_fc7_in_training(make, run, images):
    network = make("alexnet_v2", (224, 224, 3), num_classes=10, dropout_keep_prob=0.5)
    batch = images(2, 224, 224, 3)
    still = [np.asarray(run(network, batch)[0]) for _ in range(2)]
    np.testing.assert_array_equal(*still)
    (first, before), (second, again) = (run(network, batch, training=True) for _ in range(2))
    assert np.abs(first - second).max() > 0.1
    # The end points are before dropout, as the original's are: fc6 is the same each time.
    np.testing.assert_array_equal(before["alexnet_v2/fc6"], again["alexnet_v2/fc6"])
