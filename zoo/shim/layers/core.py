"""Layers that are neither convolution nor pooling: dense, flatten, dropout, batch norm."""

from __future__ import annotations

from tensorflow.python.layers import core

from zoo.shim import normalization
from zoo.shim.layers.base import Mended, functional


class Dense(Mended, core.Dense):
    """`tf.compat.v1.layers.Dense`, inputs of shape (batch, ..., features), sparse ones too."""


class Flatten(Mended, core.Flatten):
    """`tf.compat.v1.layers.Flatten`: (batch, ...) to (batch, features)."""


class Dropout(Mended, core.Dropout):
    """`tf.compat.v1.layers.Dropout`; its call takes `training`, a bool or a bool tensor."""


class BatchNormalization(Mended, normalization.BatchNormalization):
    __doc__ = normalization.BatchNormalization.__doc__


dense = functional(Dense, core.dense)
flatten = functional(Flatten, core.flatten)
dropout = functional(Dropout, core.dropout)
batch_normalization = functional(BatchNormalization, normalization.batch_normalization)
