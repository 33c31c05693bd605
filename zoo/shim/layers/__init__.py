"""`tf.compat.v1.layers` as TensorFlow 1.15 has it, on TensorFlow 2 with Keras 3.

Keras 3 has no copy of these layers, so `tf.compat.v1.layers.conv2d` raises. TensorFlow itself
still carries all but batch normalization, for its own use. They are here under their public names
with the arguments, defaults, variable names and numbering of TF 1.15: in a method decorated with
`track_tf1_style_variables`, and in a plain `tf.Graph`.
"""

from zoo.shim.layers import experimental
from zoo.shim.layers.base import InputSpec, Layer
from zoo.shim.layers.convolutional import (
    Conv1D,
    Conv2D,
    Conv2DTranspose,
    Conv3D,
    Conv3DTranspose,
    SeparableConv1D,
    SeparableConv2D,
    conv1d,
    conv2d,
    conv2d_transpose,
    conv3d,
    conv3d_transpose,
    separable_conv1d,
    separable_conv2d,
)
from zoo.shim.layers.core import (
    BatchNormalization,
    Dense,
    Dropout,
    Flatten,
    batch_normalization,
    dense,
    dropout,
    flatten,
)
from zoo.shim.layers.pooling import (
    AveragePooling1D,
    AveragePooling2D,
    AveragePooling3D,
    MaxPooling1D,
    MaxPooling2D,
    MaxPooling3D,
    average_pooling1d,
    average_pooling2d,
    average_pooling3d,
    max_pooling1d,
    max_pooling2d,
    max_pooling3d,
)

__all__ = [
    "AveragePooling1D",
    "AveragePooling2D",
    "AveragePooling3D",
    "BatchNormalization",
    "Conv1D",
    "Conv2D",
    "Conv2DTranspose",
    "Conv3D",
    "Conv3DTranspose",
    "Dense",
    "Dropout",
    "Flatten",
    "InputSpec",
    "Layer",
    "MaxPooling1D",
    "MaxPooling2D",
    "MaxPooling3D",
    "SeparableConv1D",
    "SeparableConv2D",
    "average_pooling1d",
    "average_pooling2d",
    "average_pooling3d",
    "batch_normalization",
    "conv1d",
    "conv2d",
    "conv2d_transpose",
    "conv3d",
    "conv3d_transpose",
    "dense",
    "dropout",
    "experimental",
    "flatten",
    "max_pooling1d",
    "max_pooling2d",
    "max_pooling3d",
    "separable_conv1d",
    "separable_conv2d",
]
