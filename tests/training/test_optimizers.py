"""What test_resuming.py, which holds the rules against TensorFlow 1.15.5, leaves over."""

import keras
import numpy as np
import pytest

from zoo.errors import ArgumentError
from zoo.training.optimizers import (
    Adagrad,
    Adam,
    GradientDescent,
    Momentum,
    RMSProp,
    with_slims_settings,
)


@pytest.mark.parametrize("age", [1, 30, 700, 5_000, 60_000, 300_000])
def test_adams_powers_of_any_age(age):
    """TF1 multiplies its powers by beta at each step, in float32, until they vanish."""
    powers = np.ones(2, np.float32)
    for _ in range(age):
        powers *= np.array([0.9, 0.999], np.float32)
    optimizer = Adam()
    optimizer.go_to(123)
    optimizer.set_powers(*map(float, powers))
    ours = np.array([float(power) for power in optimizer.powers()])
    # What the update takes is 1 - power.
    np.testing.assert_allclose(1 - ours, 1 - powers, rtol=1e-4)
    optimizer.go_to(124)
    ours = np.array([float(power) for power in optimizer.powers()])
    np.testing.assert_allclose(1 - ours, 1 - powers * np.array([0.9, 0.999]), rtol=1e-4)


def test_powers_of_other_betas_are_refused():
    with pytest.raises(ArgumentError, match="beta1=0.9, beta2=0.99 for"):
        Adam(beta2=0.99).set_powers(0.9**10, 0.999**10)


def test_a_beta_of_zero():
    optimizer = Adam(beta1=0.0)
    optimizer.set_powers(0.0, 0.999**7)
    np.testing.assert_allclose([float(p) for p in optimizer.powers()], [0, 0.999**7], rtol=1e-5)


@pytest.mark.parametrize(
    "optimizer",
    [
        GradientDescent(0.5),
        Momentum(0.5, 0.8, use_nesterov=True, moving_average_decay=0.9),
        RMSProp(keras.optimizers.schedules.ExponentialDecay(0.1, 4, 0.5), 0.7, 0.6, 0.5, True),
        Adam(0.5, 0.8, 0.99, 0.1, clipnorm=1.0),
        Adagrad(0.5, 0.2),
    ],
    ids=lambda optimizer: type(optimizer).__name__,
)
def test_from_its_config(optimizer):
    again = keras.optimizers.deserialize(keras.optimizers.serialize(optimizer))
    assert type(again) is type(optimizer)  # not Keras's of the same name
    assert keras.optimizers.serialize(again) == keras.optimizers.serialize(optimizer)
    assert again.slot_names == optimizer.slot_names


def test_slots_start_as_tf1_starts_them():
    """TensorFlow 1.15.5's defaults: rms at one, Adagrad's sum at 0.1, all else at nought."""
    variable = keras.Variable([1.0, 2.0])
    expected = {RMSProp: [1, 0], Momentum: [0], Adam: [0, 0], Adagrad: [0.1]}
    for kind, starts in expected.items():
        optimizer = kind()
        optimizer.build([variable])
        state = optimizer.state_of({"v": variable})
        for slot, start in zip(state.values(), starts, strict=True):
            np.testing.assert_array_equal(slot, np.full(2, start, np.float32))


def test_defaults_are_tensorflow_1_15s():
    """Of tf.train.RMSPropOptimizer and AdamOptimizer; Slim's script has its own."""
    rmsprop, adam = RMSProp(), Adam()
    assert (rmsprop.decay, rmsprop.momentum, rmsprop.epsilon) == (0.9, 0.0, 1e-10)
    assert float(adam.learning_rate) == pytest.approx(1e-3)
    assert (adam.beta1, adam.beta2, adam.epsilon) == (0.9, 0.999, 1e-8)
    slims = with_slims_settings(RMSProp), with_slims_settings(Adam)
    assert [float(one.learning_rate) for one in slims] == pytest.approx([0.01, 0.01])
    assert [one.epsilon for one in slims] == [1.0, 1.0] and slims[0].momentum == 0.9
