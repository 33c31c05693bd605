"""Convolutions over the whole of their input as matrix products: a form for inference alone.

Slim's networks have fully connected layers as convolutions, which take images of any size. For one
size these are matrix products, which TensorFlow computes several times as fast on a CPU where
there is more than one image.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable

import numpy as np

from zoo.native.nodes import Node, Reader, rebuilt


@dataclasses.dataclass(frozen=True, eq=False)
class Matrix:
    """A convolution's kernel as the matrix of a product."""

    kernel: object

    @property
    def names(self) -> tuple[str, ...]:
        return self.kernel.names

    def value(self, read: Reader) -> np.ndarray:
        kernel = self.kernel.value(read)
        return kernel.reshape(-1, kernel.shape[-1])


def with_products(outputs: Iterable[Node]) -> list[Node]:
    """The same function with convolutions whose kernel covers all of the input as products."""
    return rebuilt(outputs, _product)


def _product(node: Node) -> Node:
    if not _covers_its_input(node):
        return node
    (source,) = node.inputs
    values, filters = math.prod(source.shape[1:]), node.config["filters"]
    flat = Node("Flatten", f"{node.scope}/Flatten", (source,), shape=(None, values))
    config = {"units": filters, "use_bias": node.config["use_bias"]}
    weights = {**node.weights, "kernel": Matrix(node.weights["kernel"])}
    product = Node("Dense", node.scope, (flat,), config, weights, (None, filters))
    places = {"target_shape": tuple(node.shape[1:])}
    return Node("Reshape", f"{node.scope}/Reshape", (product,), places, shape=node.shape)


def _covers_its_input(node: Node) -> bool:
    if node.kind not in ("Conv2D", "Conv3D") or node.config.get("groups", 1) != 1:
        return False
    size, places = tuple(node.config["kernel_size"]), tuple(node.inputs[0].shape[1:-1])
    # One output of a kernel as large as the input has no padding in it. A dilated kernel has none
    # such, but of one place, where dilation is nothing.
    return size == places and math.prod(node.shape[1:-1]) == 1
