"""TF1 regularizers as Keras's: sums of L1 and L2 norms, whoever wrote them."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import keras
import numpy as np
import tensorflow as tf

from zoo.errors import ConversionError

# A weight of any shape will do: a sum over all of it is what an L1 or L2 norm is.
_PROBE = np.array([0.5, -1.5, 2.0, -0.25, 3.0], np.float32)


def as_keras(regularizers: Mapping[str, Callable]) -> dict[str, keras.regularizers.Regularizer]:
    """Name of a variable -> the Keras regularizer that gives the same loss.

    Slim's `l2_regularizer(scale)` is `scale * sum(w ** 2) / 2`, Keras's `L2(l2)` is
    `l2 * sum(w ** 2)`: the factor is found by asking the function itself.

    Raises:
        ConversionError: a regularizer is no weighted sum of the two norms.
    """
    known: dict[int, keras.regularizers.Regularizer] = {}
    for name, regularizer in regularizers.items():
        if id(regularizer) not in known:
            known[id(regularizer)] = _l1_l2(name, regularizer)
    return {name: known[id(regularizer)] for name, regularizer in regularizers.items()}


def _l1_l2(name: str, regularizer: Callable) -> keras.regularizers.Regularizer:
    def loss(values) -> float:
        return float(regularizer(tf.constant(values, tf.float32)))

    # a + b at 1, and 2 a + 4 b at 2
    once, twice = loss([1.0]), loss([2.0])
    l2 = (twice - 2 * once) / 2
    l1 = once - l2
    expected = l1 * np.abs(_PROBE).sum() + l2 * np.square(_PROBE).sum()
    if not np.isclose(loss(_PROBE), expected, rtol=1e-4, atol=1e-12):
        raise ConversionError(
            "A regularizer has no counterpart in Keras.",
            received=f"that of {name}",
            accepted="weighted sums of an L1 and an L2 norm",
            next_step="convert what serves inference alone: to_native(model, training=False).",
        )
    # Rounding in float32 is not to leave a trace of the norm that is not there.
    l1, l2 = (0.0 if abs(part) < 1e-6 * abs(once) else part for part in (l1, l2))
    if not l1:
        return keras.regularizers.L2(_round(l2))
    return keras.regularizers.L1(_round(l1)) if not l2 else keras.regularizers.L1L2(l1, l2)


def _round(value: float) -> float:
    """Float32 has seven digits: 0.0000199999995 was 0.00002."""
    return float(f"{value:.7g}")
