"""One network of two: what the training graph says in addition to the inference graph.

An inference graph does not show dropout, nor how fast moving averages move; a training graph does
not show which averages inference takes. Apart from these the two must be the same network.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from zoo.errors import ConversionError
from zoo.native.nodes import Node, in_order

_STATISTICS = ("moving_mean", "moving_variance")


def merged(
    inference: Iterable[Node], training: Iterable[Node], momenta: Mapping[str, float | None]
) -> list[Node]:
    """The network that is `inference` without training, and `training` with it.

    Args:
        inference, training: outputs of the two, on the same input nodes.
        momenta: TF1 name of a moving average -> how much of it one step keeps.

    Raises:
        ConversionError: they differ in more than dropout and batch statistics.
    """
    inference, training = list(inference), list(training)
    known: dict[tuple, Node] = {}
    twin: dict[Node, Node] = {}  # the first node of the inference graph that is the same one
    for node in in_order(inference):
        twin[node] = known.setdefault(_key(node, [twin[source] for source in node.inputs]), node)
    new: dict[Node, Node] = {}  # of a training node, in the result
    for node in in_order(training):
        if node.kind == "Input":
            twin[node] = new[node] = node
            continue
        inputs = tuple(new[source] for source in node.inputs)
        if node.kind == "Dropout":
            twin[node] = twin[node.inputs[0]]
            new[node] = node.changed(inputs=inputs)
            continue
        same = known.get(_key(node, [twin[source] for source in node.inputs]))
        if same is None:
            raise ConversionError(
                "In training the network computes something else than in inference, not only "
                "dropout and batch statistics.",
                received=f"{node.kind} {node.scope}",
                next_step="convert what serves inference alone: to_native(model, training=False).",
            )
        twin[node] = same
        new[node] = _together(node, same, momenta).changed(inputs=inputs)
    if [twin[node] for node in training] != [twin[node] for node in inference]:
        raise ConversionError(
            "In training the network returns something else than in inference.",
            received=f"{training[-1].scope}, and {inference[-1].scope}",
            next_step="convert what serves inference alone: to_native(model, training=False).",
        )
    return [new[node] for node in training]


def _key(node: Node, inputs) -> tuple:
    """What makes two nodes the same one, moving averages apart."""
    if node.kind == "Input":
        return ("Input", id(node))
    weights = tuple(
        (name, weight.names)
        for name, weight in sorted(node.weights.items())
        if name not in _STATISTICS
    )
    return node.kind, repr(sorted(node.config.items())), weights, tuple(map(id, inputs))


def _together(training: Node, inference: Node, momenta: Mapping[str, float | None]) -> Node:
    if training.kind != "BatchNormalization":
        return training
    if "moving_mean" in training.weights:
        # Moving averages in training too. Keras has that for a layer that is not trained.
        return inference.changed(config={**inference.config, "trainable": False})
    # What nothing updates stays as it is: all of it is kept.
    kept = {momenta.get(inference.weights[name].name, 1.0) for name in _STATISTICS}
    if len(kept) > 1 or None in kept:
        raise ConversionError(
            "A batch normalization moves its averages otherwise than Keras's does.",
            received=f"{inference.scope}: momentum {', '.join(map(str, kept))}",
            accepted="average = momentum * average + (1 - momentum) * value, with one momentum "
            "for mean and variance",
            next_step="convert what serves inference alone: to_native(model, training=False).",
        )
    return inference.changed(config={**inference.config, "momentum": kept.pop()})
