"""`tf.compat.v1.layers.experimental`: variables by Keras 2's rules, outside decorated methods."""

from tensorflow.python.keras.legacy_tf_layers.base import keras_style_scope, set_keras_style

__all__ = ["keras_style_scope", "set_keras_style"]
