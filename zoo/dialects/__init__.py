"""The names and layouts that other libraries give the same network's weights.

    zoo.convert("inception_v3.ckpt", to="timm", output="inception_v3.safetensors")
    zoo.load("inception_v3", source="hf://timm/inception_v3.tf_in1k")

One file a library holds its tables: timm, transformers, keras_applications. A `Counterpart` is one
network there, which makes a `WeightMap` of the TF1 variables' names and shapes.
"""

from zoo.dialects.converting import Conversion, convert
from zoo.dialects.recognition import DIALECTS, Dialect, Recognition, recognise
from zoo.dialects.translation import look_at, open_checkpoint, open_weights

__all__ = [
    "DIALECTS",
    "Conversion",
    "Dialect",
    "Recognition",
    "convert",
    "look_at",
    "open_checkpoint",
    "open_weights",
    "recognise",
]
