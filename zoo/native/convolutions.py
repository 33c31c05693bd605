"""Convolutions, and products with a matrix, as Keras layers with a kernel and a bias."""

from __future__ import annotations

import numpy as np

from zoo.native.nodes import Constant, Node, Variable
from zoo.native.reading import (
    Readers,
    Reading,
    Unreadable,
    clean_scope,
    scope_of,
    shape_of,
    variables_scope,
)

reads = Readers()

_LINEAR = (
    "Conv2D",
    "Conv3D",
    "DepthwiseConv2D",
    "SeparableConv2D",
    "Conv2DTranspose",
    "Dense",
)


@reads("Conv2D")
def conv_2d(reading: Reading, op) -> Node:
    return _convolution(reading, op, rank=2)


@reads("Conv3D")
def conv_3d(reading: Reading, op) -> Node:
    return _convolution(reading, op, rank=3)


def _convolution(reading: Reading, op, rank: int) -> Node:
    images, kernel = reading.inputs(op)
    *size, channels, filters = kernel.shape
    config = {
        "filters": filters,
        "kernel_size": tuple(size),
        **_geometry(reading, op, rank, size, images),
        "groups": images.shape[-1] // channels,
        "use_bias": False,
    }
    weight = kernel_of(reading, kernel)
    source, extra = padded_input(reading, op, reading.node(images), rank)
    config |= extra
    pair = _separable(reading, op, source, weight, config)
    if pair is not None:
        return pair
    kind = f"Conv{rank}D"
    return Node(kind, _scope(op, weight), (source,), config, {"kernel": weight}, _shape(op))


@reads("DepthwiseConv2dNative")
def depthwise(reading: Reading, op) -> Node:
    images, kernel = reading.inputs(op)
    height, width, _, multiplier = kernel.shape
    config = {
        "kernel_size": (height, width),
        "depth_multiplier": multiplier,
        **_geometry(reading, op, 2, (height, width), images),
        "use_bias": False,
    }
    weight = kernel_of(reading, kernel)
    source, extra = padded_input(reading, op, reading.node(images), 2)
    weights = {"kernel": weight}
    return Node(
        "DepthwiseConv2D", _scope(op, weight), (source,), config | extra, weights, _shape(op)
    )


def _separable(reading: Reading, op, source: Node, pointwise, config: dict) -> Node | None:
    """A 1x1 convolution right after a depthwise one in the same scope: the two are one layer."""
    plain = config["kernel_size"] == (1, 1) and config["strides"] == (1, 1)
    if not plain or source.kind != "DepthwiseConv2D" or source.config["use_bias"]:
        return None
    depthwise = source.weights["kernel"]
    if not isinstance(depthwise, Variable) or not isinstance(pointwise, Variable):
        return None
    scope = variables_scope(pointwise.name)
    if scope != variables_scope(depthwise.name) or not reading.is_used_once(op.inputs[0]):
        return None
    both = {**source.config, "filters": config["filters"]}
    weights = {"depthwise_kernel": depthwise, "pointwise_kernel": pointwise}
    return Node("SeparableConv2D", scope, source.inputs, both, weights, _shape(op))


@reads("Conv2DBackpropInput")
def transposed(reading: Reading, op) -> Node:
    _, kernel, images = reading.inputs(op)
    _channels_last(op)
    height, width, filters, _ = kernel.shape
    _, *strides, _ = op.get_attr("strides")
    padding = op.get_attr("padding").decode().lower()
    inside, outside = shape_of(images)[1:3], shape_of(op.outputs[0])[1:3]
    for size, stride, small, large in zip((height, width), strides, inside, outside, strict=True):
        usual = None if small is None else small * stride
        if padding == "valid" and usual is not None:
            usual += max(size - stride, 0)
        if padding == "explicit" or usual != large:
            raise Unreadable("its padding, or its output's size, is not what Keras would make")
    config = {
        "filters": filters,
        "kernel_size": (height, width),
        "strides": tuple(strides),
        "padding": padding,
        "use_bias": False,
    }
    weight = kernel_of(reading, kernel)
    source = reading.node(images)
    weights = {"kernel": weight}
    return Node("Conv2DTranspose", _scope(op, weight), (source,), config, weights, _shape(op))


@reads("MatMul")
def matrix_product(reading: Reading, op) -> Node:
    inputs, kernel = reading.inputs(op)
    if op.get_attr("transpose_a") or op.get_attr("transpose_b"):
        raise Unreadable("a transposed matrix product is not what Dense computes")
    weight = kernel_of(reading, kernel)
    config = {"units": kernel.shape[-1], "use_bias": False}
    source = reading.node(inputs)
    return Node("Dense", _scope(op, weight), (source,), config, {"kernel": weight}, _shape(op))


@reads("BiasAdd")
def bias_add(reading: Reading, op) -> Node:
    if op.get_attr("data_format") != b"NHWC":
        _channels_last(op)
    return with_bias(reading, *op.inputs)


@reads("AddV2", "Add")
def add_of_a_variable(reading: Reading, op) -> Node | None:
    for inputs, bias in (op.inputs, tuple(op.inputs)[::-1]):
        if reading.graph.variable(bias) is not None and bias.shape.rank == 1:
            return with_bias(reading, inputs, bias)
    return None


def with_bias(reading: Reading, inputs, bias) -> Node:
    """The linear layer before, with a bias."""
    node = reading.node(inputs)
    if node.kind not in _LINEAR or node.config["use_bias"] or not reading.is_used_once(inputs):
        raise Unreadable("a bias is added where no convolution or matrix product is")
    weight = kernel_of(reading, bias)
    config = {**node.config, "use_bias": True}
    return node.changed(config=config, weights={**node.weights, "bias": weight})


def kernel_of(reading: Reading, tensor) -> Variable | Constant:
    """Where the value of a layer's weight is."""
    value = reading.graph.constant(tensor)
    return Variable(reading.variable(tensor)) if value is None else Constant(np.asarray(value))


def padded_input(reading: Reading, op, source: Node, rank: int) -> tuple[Node, dict]:
    """The input, after zeros around it where the operation itself says how many; and what
    `SpaceToBatchND` before it, TF1's way to dilate, makes of the convolution's arguments."""
    if source.kind == "SpaceToBatch":
        if op.get_attr("padding") != b"VALID" or set(_inner(op.get_attr("strides"))) != {1}:
            raise Unreadable("a convolution between space-to-batch and back that is no dilated one")
        return source, {}
    padding = op.get_attr("padding")
    if padding != b"EXPLICIT":
        return source, {}
    flat = op.get_attr("explicit_paddings")
    pads = tuple(zip(flat[::2], flat[1::2], strict=True))[1:-1]
    scope = f"{scope_of(op)}/Pad"
    return Node(f"ZeroPadding{rank}D", scope, (source,), {"padding": pads}), {"padding": "valid"}


def _geometry(reading: Reading, op, rank: int, size, images) -> dict:
    _channels_last(op)
    return {
        "strides": tuple(_inner(op.get_attr("strides"))),
        "padding": op.get_attr("padding").decode().lower(),
        "dilation_rate": tuple(_inner(op.get_attr("dilations"))),
    }


def _channels_last(op) -> None:
    if op.get_attr("data_format") not in (b"NHWC", b"NDHWC"):
        raise Unreadable(
            "it has its channels first; make the network with data_format='NHWC', which has the "
            "same variables"
        )


def _inner(attribute) -> list[int]:
    """The entries for height and width, or for depth, height and width."""
    return list(attribute)[1:-1]


def _scope(op, weight) -> str:
    if isinstance(weight, Variable):
        return clean_scope(variables_scope(weight.name))
    return scope_of(op)


def _shape(op) -> tuple[int | None, ...]:
    return shape_of(op.outputs[0])
