"""Batch normalization as TF1 graphs have it: the fused kernel, or the arithmetic spelt out."""

from __future__ import annotations

import numpy as np

from zoo.native.graphs import TracedLayer
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


@reads("FusedBatchNorm", "FusedBatchNormV2", "FusedBatchNormV3")
def fused(reading: Reading, op) -> Node:
    if op.get_attr("data_format") != b"NHWC":
        raise Unreadable("it has its channels first; make the network with data_format='NHWC'")
    images, gamma, beta, mean, variance = op.inputs
    statistics = () if op.get_attr("is_training") else (mean, variance)
    source, epsilon = reading.node(images), op.get_attr("epsilon")
    return _layer(reading, op, source, gamma, beta, statistics, epsilon)


@reads("AddV2", "Add")
def spelt_out(reading: Reading, op) -> Node | None:
    """`x * s + (beta - mean * s)`, where `s = gamma / sqrt(variance + epsilon)`."""
    graph = reading.graph
    product, rest = (graph.plain(tensor) for tensor in op.inputs)
    beta, shift = _beta_and_shift(graph, rest)
    if product.op.type != "Mul" or shift is None:
        return None
    scaled = [graph.plain(tensor) for tensor in product.op.inputs]
    factors = [_negated(graph, tensor) for tensor in shift.op.inputs]
    scale = next((tensor for tensor in factors if any(tensor is s for s in scaled)), None)
    if scale is None:
        return None
    inputs = next(tensor for tensor in scaled if tensor is not scale)
    mean = next(tensor for tensor in factors if tensor is not scale)
    gamma, variance, epsilon = _scale(graph, scale)
    if epsilon is None:
        return None
    source = reading.node(inputs)
    statistics = (mean, variance)
    if graph.variable(mean) is None:
        if not _are_moments(graph, inputs, mean, variance):
            raise Unreadable("it normalizes by moments that are not those of the batch")
        statistics = ()
    return _layer(reading, op, source, gamma, beta, statistics, epsilon)


def _beta_and_shift(graph: TracedLayer, rest):
    """(beta or None, `mean * s`) of `beta - mean * s`, or of `-mean * s`; (None, None) else."""
    if rest.op.type == "Sub":
        beta, shift = rest.op.inputs[0], graph.plain(rest.op.inputs[1])
    elif rest.op.type == "Neg":
        beta, shift = None, graph.plain(rest.op.inputs[0])
    else:
        negated = any(graph.plain(tensor).op.type == "Neg" for tensor in rest.op.inputs)
        beta, shift = None, rest if negated else None
    return (beta, shift) if shift is not None and shift.op.type == "Mul" else (None, None)


def _negated(graph: TracedLayer, tensor):
    """What is negated, in `-mean * s`; any other tensor itself."""
    tensor = graph.plain(tensor)
    return graph.plain(tensor.op.inputs[0]) if tensor.op.type == "Neg" else tensor


def _scale(graph: TracedLayer, tensor):
    """(gamma or None, variance, epsilon) of `rsqrt(variance + epsilon) * gamma`."""
    gamma, root = None, tensor
    if tensor.op.type == "Mul":
        parts = [graph.plain(part) for part in tensor.op.inputs]
        root = next((part for part in parts if part.op.type == "Rsqrt"), None)
        gamma = next((part for part in parts if part is not root), None)
    if root is None or root.op.type != "Rsqrt":
        return None, None, None
    total = graph.plain(root.op.inputs[0])
    if total.op.type not in ("AddV2", "Add"):
        return None, None, None
    variance, epsilon = total.op.inputs
    value = graph.constant(epsilon)
    return gamma, variance, None if value is None or value.ndim else float(value)


def _are_moments(graph: TracedLayer, inputs, mean, variance) -> bool:
    """Whether they are the mean, and the mean squared distance to it, over all but the channels."""
    distance = _mean_of(graph, variance)
    if distance is None or distance.op.type != "SquaredDifference":
        return False
    here = graph.plain(inputs)
    return all(
        graph.plain(tensor) is here for tensor in (_mean_of(graph, mean), distance.op.inputs[0])
    )


def _mean_of(graph: TracedLayer, tensor):
    """The tensor that this one is the mean of, over every axis but the last."""
    tensor = graph.plain(tensor)
    while tensor.op.type in ("Squeeze", "Reshape"):
        tensor = graph.plain(tensor.op.inputs[0])
    if tensor.op.type != "Mean":
        return None
    averaged, axes = graph.plain(tensor.op.inputs[0]), graph.constant(tensor.op.inputs[1])
    over = [] if axes is None else sorted(axis % averaged.shape.rank for axis in axes.tolist())
    return averaged if over == list(range(averaged.shape.rank - 1)) else None


def _layer(reading: Reading, op, source, gamma, beta, statistics, epsilon) -> Node:
    """`statistics`: moving mean and variance; () where the batch's own moments are used."""
    if source is None:
        raise Unreadable("it normalizes something that is no function of the input")
    weights = {}
    for name, tensor, default in (("gamma", gamma, 1.0), ("beta", beta, 0.0)):
        if tensor is not None and (weight := _parameter(reading, tensor, default)) is not None:
            weights[name] = weight
    names = ("moving_mean", "moving_variance")
    for name, tensor in zip(names, statistics, strict=bool(statistics)):
        weights[name] = Variable(reading.variable(tensor))
    config = {
        "epsilon": float(str(np.float32(epsilon))),  # 0.001, and not 0.0010000000474974513
        "center": "beta" in weights,
        "scale": "gamma" in weights,
    }
    scope = _scope(op, weights)
    shape = shape_of(op.outputs[0])
    return Node("BatchNormalization", scope, (source,), config, weights, shape)


def _parameter(reading: Reading, tensor, default: float) -> Variable | Constant | None:
    """None for a constant that leaves values as they are."""
    value = reading.graph.constant(tensor)
    if value is None:
        return Variable(reading.variable(tensor))
    return None if np.all(value == default) else Constant(np.asarray(value))


def _scope(op, weights) -> str:
    named = [weight.name for weight in weights.values() if isinstance(weight, Variable)]
    return clean_scope(variables_scope(named[0])) if named else scope_of(op)


def momenta(graph: TracedLayer) -> dict[str, float | None]:
    """TF1 name of a variable that the graph updates -> how much of it one training step keeps.

    TF1 writes `variable -= (variable - value) * (1 - momentum)`; None for any other update.
    """
    found: dict[str, float | None] = {}
    for kind in ("AssignVariableOp", "AssignAddVariableOp", "AssignSubVariableOp"):
        for op in graph.all_operations(kind):
            name = graph.variable(op.inputs[0])
            if name is not None:
                found[name] = _momentum(graph, op) if kind == "AssignSubVariableOp" else None
    return found


def _momentum(graph: TracedLayer, op) -> float | None:
    delta = graph.plain(op.inputs[1])
    if delta.op.type != "Mul":
        return None
    factors = [graph.constant(tensor) for tensor in delta.op.inputs]
    decay = next((value for value in factors if value is not None and not value.ndim), None)
    # In float32, 1 - 0.997 is 0.0030000210: the momentum itself was a round number.
    return None if decay is None else round(1.0 - float(decay), 6)
