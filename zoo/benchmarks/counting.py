"""Multiplications and values moved, counted from a TF1 graph of one image."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from zoo.benchmarks.roofline import Roofline

if TYPE_CHECKING:
    import tensorflow as tf


@dataclass(frozen=True)
class Layer:
    """An operation that multiplies: a convolution, a matrix product, or a gradient of one.

    Attributes:
        multiplications: of one image.
        values: of one image, that it reads and writes.
        weights: values that it reads or writes once a batch.
    """

    multiplications: int
    values: int
    weights: int


# Type -> its inputs, the graph's order: what goes with the batch, and where the weights are.
# -1 is the output. A gradient has its kernel's shape where the kernel is.
_CONVOLUTIONS = {
    "Conv2D": ((0, -1), 1),
    "Conv3D": ((0, -1), 1),
    "DepthwiseConv2dNative": ((0, -1), 1),
    "Conv2DBackpropInput": ((2, -1), 1),
    "Conv3DBackpropInputV2": ((2, -1), 1),
    "DepthwiseConv2dNativeBackpropInput": ((2, -1), 1),
    "Conv2DBackpropFilter": ((2, 0), -1),
    "Conv3DBackpropFilterV2": ((2, 0), -1),
    "DepthwiseConv2dNativeBackpropFilter": ((2, 0), -1),
}


def layers(results: Iterable[tf.Operation]) -> list[Layer]:
    """What multiplies on the way to these operations of a graph, for a batch of one image.

    Shapes are known throughout. Element-wise operations, pooling and normalization are left out:
    at best they run within these, as compilers fuse them.
    """
    return [
        _matrix_product(op) if op.type == "MatMul" else _convolution(op)
        for op in _needed(results)
        if op.type == "MatMul" or op.type in _CONVOLUTIONS
    ]


def multiplications(counted: Sequence[Layer]) -> int:
    return sum(layer.multiplications for layer in counted)


def least_seconds(counted: Sequence[Layer], batch: int, itemsize: int, line: Roofline) -> float:
    """What the roofline allows for a batch: the sum over the layers."""
    return sum(
        line.time(
            operations=2 * batch * layer.multiplications,
            bytes=itemsize * (batch * layer.values + layer.weights),
        )
        for layer in counted
    )


def _needed(results: Iterable[tf.Operation]) -> list[tf.Operation]:
    """The operations that these are computed from, in the graph's order; it may hold others, such
    as auxiliary logits.

    What only has to run before, as the gradient of the images has by TF1's way to build gradients,
    is none of them; a group (NoOp) stands for its members.
    """
    left = list(results)
    graph, found = left[0].graph, set()
    while left:
        op = left.pop()
        if op not in found:
            found.add(op)
            left += [tensor.op for tensor in op.inputs]
            left += op.control_inputs if op.type == "NoOp" else []
    return [op for op in graph.get_operations() if op in found]


def _convolution(op: tf.Operation) -> Layer:
    (moved, other), kernel = _CONVOLUTIONS[op.type]
    weights = _shape(op, kernel)
    # Each value of the forward output is made of as many products as the kernel has for it.
    forward_output = _shape(op, moved if "Backprop" in op.type else other)
    products = weights[:-2] if op.type.startswith("Depthwise") else weights[:-1]
    return Layer(
        math.prod(forward_output) * math.prod(products),
        math.prod(_shape(op, moved)) + math.prod(_shape(op, other)),
        math.prod(weights),
    )


def _matrix_product(op: tf.Operation) -> Layer:
    one, other, product = _shape(op, 0), _shape(op, 1), _shape(op, -1)
    inner = one[0] if op.get_attr("transpose_a") else one[1]
    # Weights are the largest of the three where the batch is one image.
    first, second, weights = sorted(map(math.prod, (one, other, product)))
    return Layer(math.prod(product) * inner, first + second, weights)


def _shape(op: tf.Operation, number: int) -> tuple[int, ...]:
    tensor = op.outputs[0] if number == -1 else op.inputs[number]
    return tuple(tensor.shape.as_list())
