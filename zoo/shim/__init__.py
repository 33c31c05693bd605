"""TF1-style code inside Keras 3: variables, regularization losses, batch norm, tf-slim.

>>> import keras, tensorflow as tf
>>> from zoo.shim import track_tf1_style_variables, tf1_variables
"""

import warnings

from zoo.environment import check_environment

check_environment()

from zoo.shim import layers, rnn_cell  # noqa: E402
from zoo.shim.decorator import (  # noqa: E402
    regularization_losses,
    regularizers,
    run_skipped_initializers,
    runs_tf1_code,
    tf1_variables,
    track_tf1_style_variables,
)
from zoo.shim.installing import install, uninstall  # noqa: E402
from zoo.shim.nested import get_or_create_layer, make_template  # noqa: E402
from zoo.shim.network import TF1Layer, TF1Network  # noqa: E402
from zoo.shim.random_tool import DeterministicRandomTestTool  # noqa: E402
from zoo.shim.slim_repair import repair_tf_slim, restore_tf_slim  # noqa: E402
from zoo.shim.store import skip_initializers  # noqa: E402

# What it mends is broken outright on today's TensorFlow, so no working code can depend on it.
repair_tf_slim()

# TensorFlow's legacy layers, which tf-slim stands on, warn of what they do themselves, and its
# recurrent cells of a replacement that Keras 3 does not have.
warnings.filterwarnings(
    "ignore",
    message=r"`(layer\.(apply|updates|add_variable)|tf\.layers\.|tf\.nn\.rnn_cell\.)",
    module=r"tensorflow\.python\.keras\.",
)

__all__ = [
    "DeterministicRandomTestTool",
    "TF1Layer",
    "TF1Network",
    "get_or_create_layer",
    "install",
    "layers",
    "make_template",
    "regularization_losses",
    "regularizers",
    "repair_tf_slim",
    "restore_tf_slim",
    "rnn_cell",
    "run_skipped_initializers",
    "runs_tf1_code",
    "skip_initializers",
    "tf1_variables",
    "track_tf1_style_variables",
    "uninstall",
]
