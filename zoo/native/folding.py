"""Batch normalization folded into the layer before it: a form for inference alone."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Iterable

import numpy as np

from zoo.native.nodes import Constant, Node, Reader, Variable, in_order, rebuilt

# The weight that a scale of the output goes into, and the axes of it that are output channels.
_KERNELS = {
    "Conv2D": ("kernel", 1),
    "Conv3D": ("kernel", 1),
    "Dense": ("kernel", 1),
    "DepthwiseConv2D": ("kernel", 2),
    "SeparableConv2D": ("pointwise_kernel", 1),
}


@dataclasses.dataclass(frozen=True, eq=False)
class Normalization:
    """What a batch normalization multiplies by, and adds."""

    node: Node

    @property
    def names(self) -> tuple[str, ...]:
        return self.node.names

    def scale(self, read: Reader) -> np.ndarray:
        variance = self._value("moving_variance", read)
        return self._value("gamma", read, 1.0) / np.sqrt(variance + self.node.config["epsilon"])

    def offset(self, read: Reader) -> np.ndarray:
        mean = self._value("moving_mean", read)
        return self._value("beta", read, 0.0) - mean * self.scale(read)

    def _value(self, name: str, read: Reader, default: float = 0.0) -> np.ndarray:
        weight = self.node.weights.get(name)
        value = default if weight is None else weight.value(read)
        return np.asarray(value, np.float64)


@dataclasses.dataclass(frozen=True, eq=False)
class FoldedKernel:
    """A kernel times the scale of the normalization after it."""

    kernel: Variable | Constant
    normalization: Normalization
    channel_axes: int

    @property
    def names(self) -> tuple[str, ...]:
        return (*self.kernel.names, *self.normalization.names)

    def value(self, read: Reader) -> np.ndarray:
        kernel = self.kernel.value(read)
        scale = self.normalization.scale(read).reshape(kernel.shape[-self.channel_axes :])
        return (kernel * scale).astype(kernel.dtype)


@dataclasses.dataclass(frozen=True, eq=False)
class FoldedBias:
    """A bias, if there was one, after the normalization that follows it."""

    bias: Variable | Constant | None
    normalization: Normalization

    @property
    def names(self) -> tuple[str, ...]:
        return (*(self.bias.names if self.bias is not None else ()), *self.normalization.names)

    def value(self, read: Reader) -> np.ndarray:
        offset = self.normalization.offset(read).ravel()
        if self.bias is not None:
            offset = offset + self.bias.value(read) * self.normalization.scale(read).ravel()
        return offset.astype(np.float32)


def folded(outputs: Iterable[Node]) -> list[Node]:
    """The same function with every batch normalization that follows a linear layer in it.

    One that does not, such as those before the convolutions of ResNet V2, stays a layer.
    """
    outputs = list(outputs)
    uses = Counter(id(source) for node in in_order(outputs) for source in node.inputs)
    uses.update(id(node) for node in outputs)
    alone = {(node.kind, node.scope) for node in in_order(outputs) if uses[id(node)] == 1}

    def fold(node: Node) -> Node:
        if node.kind != "BatchNormalization":
            return node
        before = node.inputs[0]
        if before.kind not in _KERNELS or (before.kind, before.scope) not in alone:
            return node
        name, axes = _KERNELS[before.kind]
        normalization = Normalization(node)
        weights = {
            **before.weights,
            name: FoldedKernel(before.weights[name], normalization, axes),
            "bias": FoldedBias(before.weights.get("bias"), normalization),
        }
        return before.changed(config={**before.config, "use_bias": True}, weights=weights)

    return rebuilt(outputs, fold)
