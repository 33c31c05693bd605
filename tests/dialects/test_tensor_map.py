"""Layouts, against NumPy's and the definition of a convolution."""

import numpy as np
import pytest

from zoo.dialects.tensor_map import CONV, DENSE, DEPTHWISE, FLAT, SAME


@pytest.mark.parametrize(
    ("layout", "slim", "peer"),
    [
        (SAME, (4,), (4,)),
        (CONV, (3, 5, 2, 7), (7, 2, 3, 5)),
        (DEPTHWISE, (3, 5, 4, 2), (8, 1, 3, 5)),
        (FLAT, (7, 7, 2, 3), (98, 3)),
        (FLAT, (6, 3), (6, 3)),
        (DENSE, (1, 1, 6, 3), (3, 6)),
        (DENSE, (6, 3), (3, 6)),
    ],
)
def test_there_and_back(layout, slim, peer):
    array = np.random.RandomState(0).normal(size=slim)
    assert layout.peer_shape(slim) == peer == layout.to_peer(array).shape
    assert layout.slim_shape(peer, slim) == slim
    np.testing.assert_array_equal(layout.to_slim(layout.to_peer(array), slim), array)


def test_shapes_of_large_arrays_take_no_memory():
    assert DENSE.peer_shape((1, 1, 1 << 40, 1 << 10)) == (1 << 10, 1 << 40)
    assert CONV.peer_shape((1 << 20, 1 << 20, 1 << 9, 2)) == (2, 1 << 9, 1 << 20, 1 << 20)


def test_each_channel_keeps_its_own_depthwise_kernels():
    kernel = np.arange(3 * 5 * 4 * 2).reshape(3, 5, 4, 2)
    turned = DEPTHWISE.to_peer(kernel)
    for channel in range(4):
        for place in range(2):
            np.testing.assert_array_equal(
                turned[2 * channel + place, 0], kernel[:, :, channel, place]
            )


def test_more_classes_do_not_matter():
    assert DENSE.slim_shape((1000, 6), (1, 1, 6, 1001)) == (1, 1, 6, 1000)
    assert FLAT.slim_shape((6, 1000), (1, 1, 6, 1001)) == (1, 1, 6, 1000)
