"""The names and layouts that other libraries give the same network's weights.

    zoo.convert("inception_v3.ckpt", to="timm", output="inception_v3.safetensors")
    zoo.load("inception_v3", source="hf://timm/inception_v3.tf_in1k")

One file a library holds its tables: timm, transformers, keras_applications; and native, the rule by
which the models of `zoo.to_native` are named. A `Counterpart` is one network there, which makes a
`TensorMap` of the TF1 variables' names and shapes.
"""

from zoo.lazy import bound_on_use

# Name -> the module that has it, bound on first use: a file that cannot be opened is told before
# TensorFlow is imported.
_HOME = {
    "DIALECTS": "zoo.dialects.recognition",
    "Conversion": "zoo.dialects.converting",
    "Dialect": "zoo.dialects.recognition",
    "Recognition": "zoo.dialects.recognition",
    "convert": "zoo.dialects.converting",
    "look_at": "zoo.dialects.translation",
    "open_checkpoint": "zoo.dialects.translation",
    "open_weights": "zoo.dialects.opening",
    "recognise": "zoo.dialects.recognition",
}

__all__ = sorted(_HOME)
__getattr__ = bound_on_use(__name__, _HOME)
