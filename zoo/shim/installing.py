"""`install`: TF1's own names for what zoo.shim has, so that old code and guides run as written.

Nothing is patched unless `install()` is called, and `uninstall()` puts everything back.
"""

from __future__ import annotations

import tensorflow as tf

from zoo.shim import layers, rnn_cell
from zoo.shim.decorator import track_tf1_style_variables
from zoo.shim.nested import get_or_create_layer, make_template
from zoo.shim.patches import Patches
from zoo.shim.random_tool import DeterministicRandomTestTool

_patches = Patches()


def install() -> None:
    """Makes TF1's names resolve to zoo's; does nothing where that is so already.

    - `tf.compat.v1.keras.utils.track_tf1_style_variables`, `.get_or_create_layer` and
      `.DeterministicRandomTestTool` (`tf.keras.utils` is the same module)
    - `tf.compat.v1.layers`, whole
    - `tf.compat.v1.make_template`
    - `tf.compat.v1.nn.rnn_cell`, whole
    """
    if _patches:
        return
    v1 = tf.compat.v1
    for tool in (track_tf1_style_variables, get_or_create_layer, DeterministicRandomTestTool):
        _patches.put(v1.keras.utils, tool.__name__, tool)
    _patches.put(v1, "layers", layers)
    _patches.put(v1, "make_template", make_template)
    _patches.put(v1.nn, "rnn_cell", rnn_cell)


def uninstall() -> None:
    """Puts back what `install` replaced; does nothing where nothing is."""
    _patches.restore()
