"""Average and max pooling in 1, 2 and 3 dimensions."""

from __future__ import annotations

from tensorflow.python.layers import pooling

from zoo.shim.layers.base import Mended, functional


class AveragePooling1D(Mended, pooling.AveragePooling1D):
    """`tf.compat.v1.layers.AveragePooling1D`, inputs of shape (batch, length, channels)."""


class AveragePooling2D(Mended, pooling.AveragePooling2D):
    """`tf.compat.v1.layers.AveragePooling2D`, inputs of shape (batch, height, width, channels)."""


class AveragePooling3D(Mended, pooling.AveragePooling3D):
    """`tf.compat.v1.layers.AveragePooling3D`, inputs (batch, depth, height, width, channels)."""


class MaxPooling1D(Mended, pooling.MaxPooling1D):
    """`tf.compat.v1.layers.MaxPooling1D`, inputs of shape (batch, length, channels)."""


class MaxPooling2D(Mended, pooling.MaxPooling2D):
    """`tf.compat.v1.layers.MaxPooling2D`, inputs of shape (batch, height, width, channels)."""


class MaxPooling3D(Mended, pooling.MaxPooling3D):
    """`tf.compat.v1.layers.MaxPooling3D`, inputs (batch, depth, height, width, channels)."""


average_pooling1d = functional(AveragePooling1D, pooling.average_pooling1d)
average_pooling2d = functional(AveragePooling2D, pooling.average_pooling2d)
average_pooling3d = functional(AveragePooling3D, pooling.average_pooling3d)
max_pooling1d = functional(MaxPooling1D, pooling.max_pooling1d)
max_pooling2d = functional(MaxPooling2D, pooling.max_pooling2d)
max_pooling3d = functional(MaxPooling3D, pooling.max_pooling3d)
