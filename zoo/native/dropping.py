"""Dropout in a training graph, of single values, whole channels or whole paths."""

from __future__ import annotations

import numpy as np

from zoo.native.nodes import Node
from zoo.native.reading import Readers, Reading, Unreadable, scope_of, shape_of

reads = Readers()

_RANDOM = ("RandomUniform", "StatelessRandomUniformV2", "StatelessRandomUniform")


@reads("SelectV2", "Select")
def dropout(reading: Reading, op) -> Node | None:
    """TF2's: where a number drawn is at least the rate, the value made larger, else zero."""
    graph = reading.graph
    condition, kept, _ = (graph.plain(tensor) for tensor in op.inputs)
    if condition.op.type != "GreaterEqual" or graph.plain(condition.op.inputs[0]).op.type not in (
        _RANDOM
    ):
        return None
    rate = graph.constant(condition.op.inputs[1])
    if kept.op.type != "Mul" or rate is None:
        raise Unreadable("its rate is computed in the graph")
    drawn = graph.plain(condition.op.inputs[0])
    source = next(filter(None, (reading.node(tensor) for tensor in kept.op.inputs)))
    return _layer(reading, op, source, float(rate), drawn)


@reads("Mul")
def dropped_path(reading: Reading, op) -> Node | None:
    """TF1's: a product with floor(keep + a number drawn) / keep."""
    graph = reading.graph
    for data, mask in (op.inputs, tuple(op.inputs)[::-1]):
        if reading.node(mask) is not None or reading.node(data) is None:
            continue
        drawn, keep = _threshold(graph, mask)
        if drawn is None:
            continue
        if keep is None:
            raise Unreadable(
                "the rate at which paths are dropped changes with the training step; make the "
                "network with a rate that stays (current_step=None)"
            )
        return _layer(reading, op, reading.node(data), 1.0 - keep, drawn)
    return None


def _threshold(graph, mask):
    """(random numbers, keep) of `floor(keep + random) / keep`; keep is None if no constant."""
    mask = graph.plain(mask)
    floor = graph.plain(mask.op.inputs[0]) if mask.op.type == "RealDiv" else mask
    total = graph.plain(floor.op.inputs[0]) if floor.op.type == "Floor" else floor
    if floor.op.type != "Floor" or total.op.type not in ("AddV2", "Add"):
        return None, None
    parts = [graph.plain(part) for part in total.op.inputs]
    drawn = next((part for part in parts if part.op.type in _RANDOM), None)
    keep = next((graph.constant(part) for part in parts if part is not drawn), None)
    return drawn, None if keep is None else float(keep)


def _layer(reading: Reading, op, source: Node, rate: float, drawn) -> Node:
    shape = shape_of(op.outputs[0])
    config = {"rate": float(np.float32(rate).round(6)), **_noise_shape(shape, drawn.shape)}
    scope = scope_of(op, drop=f"(dropout/)?{op.type}")
    return Node("Dropout", scope, (source,), config, shape=shape)


def _noise_shape(shape, noise) -> dict:
    if noise.rank != len(shape):
        raise Unreadable("the shape of what is dropped is unknown")
    together = [side == 1 and whole != 1 for side, whole in zip(noise, shape, strict=True)]
    if not any(together):
        return {}
    return {"noise_shape": tuple(1 if one else None for one in together)}
