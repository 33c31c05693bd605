"""Rates by the formulas of Slim's train_image_classifier.py and of the cosine's paper."""

import math

import pytest

from zoo.errors import ArgumentError
from zoo.training.schedules import learning_rate


def test_slims_exponential_falls_every_two_epochs():
    rate = learning_rate("exponential", 0.01, steps_per_epoch=7, epochs=10)
    for step in (0, 13, 14, 27, 28, 69):
        assert float(rate(step)) == pytest.approx(0.01 * 0.94 ** (step // 14), rel=1e-6)


def test_the_cosine_ends_at_nothing():
    rate = learning_rate("cosine", 0.5, steps_per_epoch=5, epochs=4)
    for step in (0, 3, 10, 20):
        expected = 0.5 * (1 + math.cos(math.pi * step / 20)) / 2
        assert float(rate(step)) == pytest.approx(expected, abs=1e-7)


def test_fixed_and_unknown():
    assert learning_rate("fixed", 0.1, steps_per_epoch=1, epochs=1) == 0.1
    with pytest.raises(ArgumentError) as caught:
        learning_rate("cosin", 0.1, steps_per_epoch=1, epochs=1)
    assert caught.value.nearest == ["cosine"]
