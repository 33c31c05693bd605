"""From nodes to Keras layers, applied to Keras's symbolic tensors."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable, Mapping, Sequence

import keras
import numpy as np

from zoo.errors import ConversionError
from zoo.native.nodes import Constant, Node, Reader, in_order
from zoo.native.weight_map import Entry, entry_of

logger = logging.getLogger("zoo")

_STATISTICS = ("moving_mean", "moving_variance")

# Keras's arguments for regularizers are named after the weight, but for these.
_REGULARIZERS = {
    ("DepthwiseConv2D", "kernel"): "depthwise_regularizer",
    ("SeparableConv2D", "depthwise_kernel"): "depthwise_regularizer",
    ("SeparableConv2D", "pointwise_kernel"): "pointwise_regularizer",
}


class Emitter:
    """Makes the Keras layers of nodes, each once, under names taken from their TF1 scopes.

    Args:
        taken: names that layers of the model have already; the new ones are added.
        regularizers: TF1 name -> Keras regularizer.
        trainable: TF1 name -> whether the variable is trained.
        dtype: Keras dtype policy of the layers.
    """

    def __init__(
        self,
        taken: set[str],
        regularizers: Mapping[str, keras.regularizers.Regularizer],
        trainable: Mapping[str, bool],
        dtype,
    ) -> None:
        self._taken = taken
        self._regularizers = regularizers
        self._trainable = trainable
        self._dtype = dtype
        self._layers: dict[object, keras.layers.Layer] = {}

    def apply(self, outputs: Sequence[Node], inputs: Mapping[Node, object]) -> list:
        """Keras's symbolic tensors of the outputs, given those of the "Input" nodes."""
        tensors = dict(inputs)
        for node in in_order(outputs):
            if node not in tensors:
                tensors[node] = self._apply(node, [tensors[source] for source in node.inputs])
        return [tensors[node] for node in outputs]

    def _apply(self, node: Node, tensors: list):
        if node.kind.startswith("ops."):
            return getattr(keras.ops, node.kind.removeprefix("ops."))(*tensors, **node.config)
        if not hasattr(keras.layers, node.kind):
            raise ConversionError(
                "A part of TF1's way to dilate a convolution stands alone.",
                received=f"{node.kind} {node.scope}",
                next_step="convert up to the point before it with to_native(model, until=...).",
            )
        layer = self._layer(node)
        several = len(tensors) > 1
        return layer(tensors if several else tensors[0])

    def _layer(self, node: Node) -> keras.layers.Layer:
        # TF1 code may use the same variables in two places: one layer, applied twice.
        key = (node.kind, node.names) if node.names else node
        if key not in self._layers:
            self._layers[key] = self._new_layer(node)
        return self._layers[key]

    def _new_layer(self, node: Node) -> keras.layers.Layer:
        arguments = dict(node.config)
        for name, weight in node.weights.items():
            if len(weight.names) == 1 and weight.names[0] in self._regularizers:
                argument = _REGULARIZERS.get((node.kind, name), f"{name}_regularizer")
                arguments[argument] = self._regularizers[weight.names[0]]
        if self._is_untrained(node):
            arguments["trainable"] = False
        layer = getattr(keras.layers, node.kind)
        return layer(**arguments, name=self._name(node.scope), dtype=self._dtype)

    def _is_untrained(self, node: Node) -> bool:
        flags = [
            self._trainable[name]
            for weight_name, weight in node.weights.items()
            if weight_name not in _STATISTICS and not isinstance(weight, Constant)
            for name in weight.names
            if not name.endswith(_STATISTICS)
        ]
        if any(flags) and not all(flags):
            logger.warning(
                "%s has variables that are trained and others that are not; its Keras layer "
                "trains all of them.",
                node.scope,
            )
        return bool(flags) and not any(flags)

    def _name(self, scope: str) -> str:
        base = layer_name(scope)
        name, number = base, 0
        while name in self._taken:
            number += 1
            name = f"{base}_{number}"
        self._taken.add(name)
        return name

    def fill(self, outputs: Iterable[Node], read: Reader) -> list[Entry]:
        """Gives the layers their values, one weight at a time, and says where they are from."""
        entries = []
        for node in in_order(outputs):
            if not node.weights:
                continue
            layer = self._layer(node)
            for name, weight in node.weights.items():
                variable = getattr(layer, name)
                value = np.asarray(weight.value(read))
                variable.assign(value.reshape(variable.shape))
                entries.append(entry_of(layer, name, weight))
        return list(dict.fromkeys(entries))


def layer_name(scope: str) -> str:
    """The name of a scope's layer. Keras keeps '/' for its paths, and PyTorch '.' for its own."""
    return re.sub(r"[^0-9A-Za-z_>-]", "_", scope.replace("/", "-")).lstrip("_->") or "layer"
