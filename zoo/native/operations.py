"""Operations that are one Keras layer each, or one operation of `keras.ops`."""

from __future__ import annotations

import math

import numpy as np

from zoo.native.nodes import Constant, Node
from zoo.native.reading import Readers, Reading, Unreadable, scope_of, shape_of

reads = Readers()

# ----- pooling, and means over all places -----


@reads("MaxPool", "AvgPool", "MaxPool3D", "AvgPool3D")
def pooling(reading: Reading, op) -> Node:
    if op.get_attr("data_format") not in (b"NHWC", b"NDHWC"):
        raise Unreadable("it has its channels first; make the network with data_format='NHWC'")
    size, strides = list(op.get_attr("ksize")), list(op.get_attr("strides"))
    padding = op.get_attr("padding").decode().lower()
    if {size[0], size[-1], strides[0], strides[-1]} != {1} or padding == "explicit":
        raise Unreadable("it pools over examples or channels, or says its padding itself")
    config = {"pool_size": size[1:-1], "strides": strides[1:-1], "padding": padding}
    kind = "MaxPooling" if op.type.startswith("Max") else "AveragePooling"
    node = _node(reading, op, f"{kind}{len(size) - 2}D", config, drop=op.type)
    if padding == "valid" or kind == "MaxPooling":
        return node
    return _averages_without_padding(node, shape_of(reading.inputs(op)[0])[1:-1])


def _averages_without_padding(node: Node, sides) -> Node:
    """The same pooling in a form that no backend takes otherwise.

    TF1 averages over what is there. So does Keras's "same" padding, except that where it has one
    row more at the end than at the beginning, PyTorch's backend repeats the edge: there zeros
    are pooled too, and each average is put right by a factor.
    """
    if None in sides:
        return node
    size, strides = node.config["pool_size"], node.config["strides"]
    pads, factors = [], np.ones(())
    for side, window, stride in zip(sides, size, strides, strict=True):
        starts = np.arange(-(-side // stride)) * stride
        total = max(int(starts[-1]) + window - side, 0)
        pads.append([total // 2, total - total // 2])
        starts = starts - total // 2
        there = np.minimum(starts + window, side) - np.maximum(starts, 0)
        factors = np.multiply.outer(factors, window / there)
    if all(before == after for before, after in pads):
        return node
    rank = len(pads)
    padding = {"padding": pads[0] if rank == 1 else pads}
    padded = Node(f"ZeroPadding{rank}D", f"{node.scope}/Pad", node.inputs, padding)
    pooled = node.changed(inputs=(padded,), config={**node.config, "padding": "valid"})
    factors = factors[None, ..., None].astype(np.float32)
    return Node("ops.multiply", f"{node.scope}/mul", (pooled,), {"x2": factors}, shape=node.shape)


@reads("Mean", "Max")
def over_places(reading: Reading, op) -> Node:
    before = shape_of(reading.inputs(op)[0])
    rank = len(before)
    axes = reading.graph.constant(op.inputs[1])
    axes = {int(axis) % rank for axis in np.ravel(axes)} if axes is not None else {0}
    if rank not in (3, 4, 5) or not axes or not axes <= set(range(1, rank - 1)):
        raise Unreadable("it goes over examples or channels, where Keras goes over places")
    if len(axes) == rank - 2:
        kind = "GlobalAveragePooling" if op.type == "Mean" else "GlobalMaxPooling"
        config = {"keepdims": op.get_attr("keep_dims")}
        return _node(reading, op, f"{kind}{rank - 2}D", config, drop=op.type)
    return _over_some_places(reading, op, before, axes)


def _over_some_places(reading: Reading, op, before, axes) -> Node:
    """A mean over the frames of a clip, say: a pooling over all of them, and a reshape."""
    if any(before[axis] is None for axis in axes):
        raise Unreadable("it goes over a side of unknown size; give input_shape=")
    inner = range(1, len(before) - 1)
    window = [before[axis] if axis in axes else 1 for axis in inner]
    config = {"pool_size": window, "strides": [1] * len(window), "padding": "valid"}
    kind = "AveragePooling" if op.type == "Mean" else "MaxPooling"
    pooled = _node(reading, op, f"{kind}{len(window)}D", config, drop=op.type)
    after = shape_of(op.outputs[0])
    if op.get_attr("keep_dims"):
        return pooled
    if sum(side is None for side in after[1:]) > 1:
        raise Unreadable("more than one side of its result is unknown; give input_shape=")
    target = tuple(-1 if side is None else side for side in after[1:])
    return Node("Reshape", scope_of(op), (pooled,), {"target_shape": target}, shape=after)


# ----- shapes -----


@reads("Squeeze", "Reshape", "ExpandDims")
def reshape(reading: Reading, op) -> Node:
    before, after = shape_of(reading.inputs(op)[0]), shape_of(op.outputs[0])
    source = reading.node(op.inputs[0])
    if not after or (after[0] is not None and before[0] is None) or _size_changes(before, after):
        raise Unreadable("it mixes the examples of a batch")
    if before[1:] == after[1:] and None not in after[1:]:
        return source
    if op.type == "Reshape" and len(after) == 2 and len(before) > 2 and after[1] is not None:
        return Node("Flatten", scope_of(op, drop="Reshape"), (source,), {}, shape=after)
    if sum(side is None for side in after[1:]) > 1:
        raise Unreadable("more than one side of its result is unknown; give input_shape=")
    target = tuple(-1 if side is None else side for side in after[1:])
    config = {"target_shape": target}
    return Node("Reshape", scope_of(op), (source,), config, shape=after)


def _size_changes(before, after) -> bool:
    """Whether an example has another number of values afterwards."""
    if None in after[1:]:
        return False  # what is open takes up what is left
    return None in before[1:] or math.prod(before[1:]) != math.prod(after[1:])


@reads("ConcatV2")
def concatenate(reading: Reading, op) -> Node:
    *tensors, axis = reading.inputs(op)
    rank = len(shape_of(tensors[0]))
    axis = int(reading.graph.constant(axis)) % rank
    nodes = [reading.node(tensor) for tensor in tensors]
    if axis == 0 or None in nodes:
        raise Unreadable("it joins examples, or joins something that is no function of the input")
    if len(nodes) == 1:
        return nodes[0]
    config = {"axis": -1 if axis == rank - 1 else axis}
    return Node("Concatenate", scope_of(op), tuple(nodes), config, shape=shape_of(op.outputs[0]))


@reads("Pad", "PadV2")
def zero_padding(reading: Reading, op) -> Node:
    pads = reading.graph.constant(op.inputs[1])
    value = reading.graph.constant(op.inputs[2]) if op.type == "PadV2" else 0
    if pads is None or value is None or np.any(value):
        raise Unreadable("Keras pads with zeros, as many as are known beforehand")
    if len(pads) not in (3, 4, 5) or np.any(pads[0]) or np.any(pads[-1]):
        raise Unreadable("Keras pads height and width, not examples or channels")
    padding = [[int(n) for n in pair] for pair in pads[1:-1]]
    config = {"padding": padding[0] if len(padding) == 1 else padding}
    return _node(reading, op, f"ZeroPadding{len(padding)}D", config)


@reads("Slice", "StridedSlice")
def cropping(reading: Reading, op) -> Node:
    before, after = shape_of(reading.inputs(op)[0]), shape_of(op.outputs[0])
    begin = reading.graph.constant(op.inputs[1])
    if begin is None or not _cuts_places_alone(reading, op, before, after):
        raise Unreadable("Keras cuts off rows and columns, from images of a size that is known")
    cuts = [
        [int(first), int(whole - first - part)]
        for first, whole, part in zip(begin[1:-1], before[1:-1], after[1:-1], strict=True)
    ]
    config = {"cropping": cuts[0] if len(cuts) == 1 else cuts}
    return _node(reading, op, f"Cropping{len(cuts)}D", config)


def _cuts_places_alone(reading: Reading, op, before, after) -> bool:
    if len(before) != len(after) or len(before) not in (3, 4, 5) or before[-1] != after[-1]:
        return False
    if None in before[1:] or None in after[1:]:
        return False
    if op.type == "Slice":
        first, size = (reading.graph.constant(tensor) for tensor in op.inputs[1:])
        return first[0] == 0 and size is not None and size[0] == -1
    strides = reading.graph.constant(op.inputs[3])
    masks = ("ellipsis_mask", "new_axis_mask", "shrink_axis_mask")
    whole_batch = op.get_attr("begin_mask") & 1 and op.get_attr("end_mask") & 1
    # Where a begin is masked, what stands there does not count.
    unmasked = op.get_attr("begin_mask") in (1, 1 | 1 << (len(before) - 1))
    return bool(
        strides is not None
        and np.all(strides == 1)
        and not any(op.get_attr(mask) for mask in masks)
        and whole_batch
        and unmasked
    )


# ----- activations -----

_ACTIVATIONS = {
    "Sigmoid": "sigmoid",
    "Tanh": "tanh",
    "Elu": "elu",
    "Selu": "selu",
    "Softplus": "softplus",
    "Softsign": "softsign",
    "Exp": "exponential",
    "LogSoftmax": "log_softmax",
}


@reads("Relu")
def relu(reading: Reading, op) -> Node:
    return _node(reading, op, "ReLU", {})


@reads("Relu6")
def relu6(reading: Reading, op) -> Node:
    return _node(reading, op, "ReLU", {"max_value": 6.0})


@reads("LeakyRelu")
def leaky_relu(reading: Reading, op) -> Node:
    return _node(reading, op, "LeakyReLU", {"negative_slope": op.get_attr("alpha")})


@reads("Softmax")
def softmax(reading: Reading, op) -> Node:
    return _node(reading, op, "Softmax", {})


@reads(*_ACTIVATIONS)
def activation(reading: Reading, op) -> Node:
    return _node(reading, op, "Activation", {"activation": _ACTIVATIONS[op.type]})


# ----- arithmetic -----

_OF_TWO = {
    "AddV2": "Add",
    "Add": "Add",
    "Sub": "Subtract",
    "Mul": "Multiply",
    "Maximum": "Maximum",
    "Minimum": "Minimum",
}


@reads("AddN")
def sum_of_several(reading: Reading, op) -> Node:
    nodes = tuple(reading.node(tensor) for tensor in reading.inputs(op))
    if None in nodes:
        raise Unreadable("it adds something that is no function of the input")
    return Node("Add", scope_of(op), nodes, {}, shape=shape_of(op.outputs[0]))


@reads(*_OF_TWO)
def of_two(reading: Reading, op) -> Node | None:
    nodes = tuple(reading.node(tensor) for tensor in reading.inputs(op))
    if None in nodes:
        return None
    shape = shape_of(op.outputs[0])
    if len({len(node.shape) for node in nodes}) > 1:
        raise Unreadable("its operands are of different ranks")
    return Node(_OF_TWO[op.type], scope_of(op), nodes, {}, shape=shape)


@reads("AddV2", "Add", "Sub", "Mul", "RealDiv", "Maximum", "Minimum")
def with_a_constant(reading: Reading, op) -> Node | None:
    """`x * c` and `x + c` are Rescaling; a bound on one side is an operation of `keras.ops`."""
    (source, value), constant_first = _operands(reading, op)
    if value is None:
        return None
    kind, offset = "Rescaling", np.zeros_like(value)
    if op.type in ("Maximum", "Minimum"):
        if op.type == "Maximum" and not np.any(value):
            return _made(op, source, "ReLU", {})
        return _made(op, source, f"ops.{op.type.lower()}", {"x2": _plain(value)})
    if op.type == "RealDiv" and constant_first:
        raise Unreadable("a constant divided by the input is no layer of Keras's")
    scale, offset = {
        "AddV2": (1.0, value),
        "Add": (1.0, value),
        "Mul": (value, 0.0),
        "RealDiv": (1.0 / value, 0.0),
        "Sub": (-1.0, value) if constant_first else (1.0, -value),
    }[op.type]
    return _made(op, source, kind, {"scale": _plain(scale), "offset": _plain(offset)})


def _operands(reading: Reading, op):
    """((node, constant or None), whether the constant comes first)."""
    first, second = reading.inputs(op)
    constant_first = reading.node(first) is None
    node, constant = (second, first) if constant_first else (first, second)
    value = reading.graph.constant(constant) if reading.node(constant) is None else None
    if value is not None and value.ndim > 1 and value.size != max(value.shape):
        value = None  # more than one number for a channel
    return (reading.node(node), value), constant_first


@reads("Neg")
def negative(reading: Reading, op) -> Node:
    return _node(reading, op, "Rescaling", {"scale": -1.0, "offset": 0.0})


@reads("Square", "Sqrt", "Rsqrt", "Abs", "Log")
def elementwise(reading: Reading, op) -> Node:
    name = {"Abs": "absolute"}.get(op.type, op.type.lower())
    return _node(reading, op, f"ops.{name}", {})


@reads("Pow")
def power(reading: Reading, op) -> Node:
    exponent = reading.graph.constant(op.inputs[1])
    if exponent is None or exponent.ndim:
        raise Unreadable("its exponent is no constant")
    return _node(reading, op, "ops.power", {"x2": float(exponent)})


@reads("RealDiv")
def quotient(reading: Reading, op) -> Node | None:
    nodes = tuple(reading.node(tensor) for tensor in reading.inputs(op))
    if None in nodes:
        return None
    return Node("ops.divide", scope_of(op), nodes, {}, shape=shape_of(op.outputs[0]))


# ----- what takes several layers -----


@reads("LRN")
def local_response_normalization(reading: Reading, op) -> Node:
    """x / (bias + alpha * sum of squares over neighbouring channels) ** beta.

    The sum is a 1x1 convolution with a constant band matrix, which holds alpha and bias too.
    """
    source, scope, shape = reading.node(op.inputs[0]), scope_of(op), shape_of(op.outputs[0])
    channels, radius = shape[-1], op.get_attr("depth_radius")
    distance = np.abs(np.subtract.outer(np.arange(channels), np.arange(channels)))
    band = (distance <= radius) * np.float32(op.get_attr("alpha"))
    squares = Node("ops.square", f"{scope}/square", (source,), {}, shape=shape)
    config = {"filters": channels, "kernel_size": (1, 1), "use_bias": True, "trainable": False}
    weights = {
        "kernel": Constant(band[None, None].astype(np.float32)),
        "bias": Constant(np.full(channels, op.get_attr("bias"), np.float32)),
    }
    total = Node("Conv2D", f"{scope}/neighbours", (squares,), config, weights, shape)
    exponent = {"x2": -float(op.get_attr("beta"))}
    factor = Node("ops.power", f"{scope}/power", (total,), exponent, shape=shape)
    return Node("Multiply", scope, (source, factor), {}, shape=shape)


@reads("SpaceToBatchND")
def space_to_batch(reading: Reading, op) -> Node:
    """Half of a dilated convolution: `batch_to_space` makes one of the two halves."""
    _, block, pads = (reading.graph.constant(tensor) for tensor in op.inputs)
    if block is None or pads is None:
        raise Unreadable("a dilated convolution on images of unknown size; give input_shape=")
    return _node(reading, op, "SpaceToBatch", {"block": block.tolist(), "pads": pads.tolist()})


@reads("BatchToSpaceND")
def batch_to_space(reading: Reading, op) -> Node:
    conv = reading.node(op.inputs[0])
    crops = reading.graph.constant(op.inputs[2])
    before = conv.inputs[0] if conv.inputs else conv
    if before.kind != "SpaceToBatch" or crops is None:
        raise Unreadable("there is no convolution alone between space-to-batch and back")
    block = before.config["block"]
    pads = np.subtract(before.config["pads"], crops).tolist()
    source = before.inputs[0]
    config = {**conv.config, "dilation_rate": tuple(block)}
    if pads == _same_padding(conv.config["kernel_size"], block):
        config["padding"] = "same"
    elif np.any(pads):
        scope = f"{conv.scope}/Pad"
        source = Node(f"ZeroPadding{len(pads)}D", scope, (source,), {"padding": pads})
    shape = shape_of(op.outputs[0])
    return conv.changed(inputs=(source,), config=config, shape=shape)


def _same_padding(kernel_size, dilation) -> list[list[int]]:
    total = [(size - 1) * rate for size, rate in zip(kernel_size, dilation, strict=True)]
    return [[n // 2, n - n // 2] for n in total]


@reads("Identity", "Cast", "CheckNumerics", "EnsureShape", "Snapshot", "PreventGradient")
def same_value(reading: Reading, op) -> Node:
    """A Keras layer casts to its own dtype: the policy of the network's is what decides."""
    return reading.node(op.inputs[0])


def _node(reading: Reading, op, kind: str, config: dict, drop: str = "") -> Node:
    source = reading.node(op.inputs[0])
    return Node(kind, scope_of(op, drop=drop), (source,), config, shape=shape_of(op.outputs[0]))


def _made(op, source: Node, kind: str, config: dict) -> Node:
    return Node(kind, scope_of(op), (source,), config, shape=shape_of(op.outputs[0]))


def _plain(value) -> float | list[float]:
    """As a config holds it."""
    array = np.squeeze(np.asarray(value, np.float64))
    return float(array) if array.ndim == 0 else array.tolist()
