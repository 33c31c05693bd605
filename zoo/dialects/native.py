"""The plain Keras models of `zoo.to_native`, whose names follow from TF1's by rule.

A layer is called as its TF1 scope, with '-' for '/', and its weights as Keras calls them:
"MobilenetV1-Conv2d_0/kernel". Axes are TF1's throughout. What native models leave out is left out
here, and what serves training alone; constants of the TF1 graph, such as the band of a local
response normalization, are no variables and have no name.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from zoo import registry
from zoo.checkpoints import Checkpoint
from zoo.dialects.counterpart import Counterpart, check_unique
from zoo.dialects.tensor_map import SAME, Entry, Layout, Shape, TensorMap
from zoo.errors import CheckpointMismatchError
from zoo.identification import architectures
from zoo.native.emitting import layer_name
from zoo.native.reading import clean_scope

# Last part of a TF1 name, Slim's or tf.layers', -> the Keras weight.
_WEIGHTS = {
    "weights": "kernel",
    "kernel": "kernel",
    "biases": "bias",
    "bias": "bias",
    "depthwise_weights": "kernel",
    "gamma": "gamma",
    "beta": "beta",
    "moving_mean": "moving_mean",
    "moving_variance": "moving_variance",
}
# The same where a depthwise and a pointwise convolution share a scope: one SeparableConv2D.
_SEPARABLE = {
    "depthwise_weights": "depthwise_kernel",
    "depthwise_kernel": "depthwise_kernel",
    "pointwise_weights": "pointwise_kernel",
    "pointwise_kernel": "pointwise_kernel",
    "biases": "bias",
    "bias": "bias",
}
_POINTWISE = ("pointwise_weights", "pointwise_kernel")
_KERNELS = ("kernel", "depthwise_kernel")
_KERAS_WEIGHTS = frozenset({*_WEIGHTS.values(), *_SEPARABLE.values()})
_LEAVES: Mapping[str, tuple[str, Layout]] = {
    leaf: (weight, SAME) for leaf, weight in (_SEPARABLE | _WEIGHTS).items()
}


@dataclass(frozen=True)
class NativeModel(Counterpart):
    """A registered network as `zoo.to_native` makes it; `classifier` and `landmark` are names
    of layers, or of the scopes that they are in."""

    def module(self, scope: str) -> str:
        return _layer(scope)

    def tensor_map(self, shapes: Mapping[str, Shape]) -> TensorMap:
        head = registry.info(self.model).load_adapter().head
        entries = []
        for name, shape in shapes.items():
            if name.startswith(self.without):
                continue
            scope, _, leaf = name.rpartition("/")
            is_separable = any(f"{scope}/{other}" in shapes for other in _POINTWISE)
            weight = (_SEPARABLE if is_separable else _WEIGHTS).get(leaf)
            if weight is None:
                raise CheckpointMismatchError(
                    f"No layer of a native model has a weight that would be {name}.",
                    unexpected=[name],
                    next_step="zoo.to_native(model).weight_map tells what becomes of it.",
                )
            peer = f"{self.module(scope or name)}/{weight}"
            entries.append(Entry(name, peer, SAME, tuple(shape), name.startswith(head)))
        check_unique(self, entries)
        return TensorMap(tuple(entries), {}, frozenset())

    def is_in(self, checkpoint: Checkpoint) -> bool:
        """Whether a layer is of the network's outermost scope."""
        return any(_within(self.landmark, checkpoint))

    def classes_in(self, checkpoint: Checkpoint) -> int | None:
        """How many classes the checkpoint's classifier has: all weights of its layer count them."""
        shapes = (checkpoint.shape(name) for name in _within(self.classifier, checkpoint))
        return next((shape[-1] for shape in shapes if shape), None)

    def is_scaled(self, checkpoint: Checkpoint) -> bool:
        """Whether each batch norm has a scale: native models have it where TF1 has."""
        shifts = [name for name in checkpoint.names() if name.endswith("/beta")]
        scales = (f"{name.removesuffix('beta')}gamma" for name in shifts)
        return bool(shifts) and all(name in checkpoint for name in scales)


def _layer(scope: str) -> str:
    return layer_name(clean_scope(scope)) if scope else ""


def _within(outer: str, checkpoint: Checkpoint) -> Iterator[str]:
    """Names of weights whose layer is of this name, or within the scope of this name."""
    for name in checkpoint.names():
        layer, _, weight = name.partition("/")
        if weight in _KERAS_WEIGHTS and f"{layer}-".startswith(f"{outer}-"):
            yield name


def may_have(checkpoint: Checkpoint) -> bool:
    """Whether a name is "layer/kernel"."""
    names = (name.split("/") for name in checkpoint.names())
    return any(len(parts) == 2 and parts[1] in _KERNELS for parts in names)


def counterparts() -> list[Counterpart]:
    """All registered architectures, by the name of their first model."""
    found = []
    for spec, *_ in architectures():
        adapter = spec.load_adapter()
        head = next(iter(adapter.head), "").rstrip("/")
        found.append(
            NativeModel(
                spec.name,
                spec.name,
                scopes=(),
                classifier=_layer(head),
                landmark=_layer(adapter.scope or adapter.landmark),
                leaves=_LEAVES,
                without=tuple(adapter.auxiliary),
                separator="/",
                ignored=(),
            )
        )
    return found
