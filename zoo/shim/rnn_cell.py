"""`tf.compat.v1.nn.rnn_cell`, whose names raise AttributeError with Keras 3.

TensorFlow itself still carries TF1's cells; here they are under their public names, for
`tf.compat.v1.nn.dynamic_rnn` and the other functions of `tf.compat.v1.nn`, which are still there.
"""

from tensorflow.python.keras.layers.legacy_rnn.rnn_cell_impl import (
    BasicLSTMCell,
    BasicRNNCell,
    DeviceWrapper,
    DropoutWrapper,
    GRUCell,
    LSTMCell,
    LSTMStateTuple,
    MultiRNNCell,
    ResidualWrapper,
    RNNCell,
)

__all__ = [
    "BasicLSTMCell",
    "BasicRNNCell",
    "DeviceWrapper",
    "DropoutWrapper",
    "GRUCell",
    "LSTMCell",
    "LSTMStateTuple",
    "MultiRNNCell",
    "RNNCell",
    "ResidualWrapper",
]
