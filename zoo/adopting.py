"""Variables that take over the memory of an array they are given, instead of copying it."""

from __future__ import annotations

from collections.abc import Mapping

import keras
import numpy as np
import tensorflow as tf

_ALIGNMENT = 64  # bytes: EIGEN_MAX_ALIGN_BYTES, what TensorFlow's kernels expect of a tensor
_LARGE = 1 << 24  # bytes


def adopting(variables: Mapping[str, keras.Variable]) -> dict[str, Adopting]:
    """The same variables for `zoo.checkpoints.assign`, each to be given arrays of its own."""
    return {name: Adopting(variable) for name, variable in variables.items()}


class Adopting:
    """A variable that adopts the memory of a large array that it is assigned, where it can.

    TensorFlow would copy a NumPy array twice (once lest the tensor change with the array), and
    one matrix may be most of a checkpoint: three quarters of VGG-16's. Smaller arrays are
    copied: TensorFlow puts them where initial values were, memory that it does not give back.

    Attributes:
        shape, dtype: the variable's.
    """

    def __init__(self, variable: keras.Variable) -> None:
        self.shape, self.dtype = variable.shape, variable.dtype
        self._variable = variable

    def assign(self, values: np.ndarray) -> None:
        """Sets the variable; the array is not to be changed afterwards."""
        if values.nbytes >= _LARGE and values.dtype == np.float32 and _can_be_adopted(values):
            values = tf.experimental.dlpack.from_dlpack(values.__dlpack__())
        self._variable.assign(values)


def _can_be_adopted(values: np.ndarray) -> bool:
    """Whether a tensor may lie there, and the array has the memory for itself."""
    memory = values if values.base is None else values.base
    return (
        values.flags.carray
        and values.ctypes.data % _ALIGNMENT == 0
        and isinstance(memory, np.ndarray)
        and memory.flags.owndata
        and memory.nbytes <= values.nbytes + _ALIGNMENT
    )
