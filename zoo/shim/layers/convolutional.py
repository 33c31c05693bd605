"""Convolutions: in 1, 2 and 3 dimensions, transposed in 2 and 3, separable in 1 and 2."""

from __future__ import annotations

import tensorflow as tf
from tensorflow.python.layers import convolutional

from zoo.errors import ArgumentError
from zoo.shim.layers.base import InputSpec, Mended, functional


class _Convolution(Mended):
    """Refuses inputs of another rank, as TF 1.15 does; today's takes more batch dimensions."""

    def build(self, input_shape) -> None:
        rank = self.rank + 2
        if tf.TensorShape(input_shape).rank != rank:
            raise ArgumentError(
                f"{type(self).__name__} takes inputs of rank {rank}.",
                received=f"shape {tf.TensorShape(input_shape)}",
                next_step="reshape the batch dimensions into one.",
            )
        super().build(input_shape)
        self.input_spec = InputSpec(ndim=rank, axes=self.input_spec.axes)


class Conv1D(_Convolution, convolutional.Conv1D):
    """`tf.compat.v1.layers.Conv1D`, inputs of shape (batch, length, channels)."""


class Conv2D(_Convolution, convolutional.Conv2D):
    """`tf.compat.v1.layers.Conv2D`, inputs of shape (batch, height, width, channels)."""


class Conv3D(_Convolution, convolutional.Conv3D):
    """`tf.compat.v1.layers.Conv3D`, inputs of shape (batch, depth, height, width, channels)."""


class Conv2DTranspose(_Convolution, convolutional.Conv2DTranspose):
    """`tf.compat.v1.layers.Conv2DTranspose`, inputs of shape (batch, height, width, channels)."""


class Conv3DTranspose(_Convolution, convolutional.Conv3DTranspose):
    """`tf.compat.v1.layers.Conv3DTranspose`, inputs (batch, depth, height, width, channels)."""


class SeparableConv1D(_Convolution, convolutional.SeparableConv1D):
    """`tf.compat.v1.layers.SeparableConv1D`, inputs of shape (batch, length, channels)."""


class SeparableConv2D(_Convolution, convolutional.SeparableConv2D):
    """`tf.compat.v1.layers.SeparableConv2D`, inputs of shape (batch, height, width, channels)."""


conv1d = functional(Conv1D, convolutional.conv1d)
conv2d = functional(Conv2D, convolutional.conv2d)
conv3d = functional(Conv3D, convolutional.conv3d)
conv2d_transpose = functional(Conv2DTranspose, convolutional.conv2d_transpose)
conv3d_transpose = functional(Conv3DTranspose, convolutional.conv3d_transpose)
separable_conv1d = functional(SeparableConv1D, convolutional.separable_conv1d)
separable_conv2d = functional(SeparableConv2D, convolutional.separable_conv2d)
