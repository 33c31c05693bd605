"""Which registered architecture a checkpoint fits, by its variables' names and shapes."""

from __future__ import annotations

import dataclasses
import functools
import json

import tensorflow as tf

from zoo import registry
from zoo.checkpoints import Checkpoint
from zoo.errors import CheckpointMismatchError
from zoo.shim import TF1Network


@dataclasses.dataclass(frozen=True)
class Fit:
    """How well a checkpoint fits one architecture.

    Attributes:
        models: names of the registered models with this architecture.
        matched: how many of its variables the checkpoint has, in name and shape.
        total: how many variables the architecture has.
        num_classes: what the checkpoint's head has; None if it has none.
        outer_scope: what stands before the network's names in the checkpoint ("" if nothing).
    """

    models: tuple[str, ...]
    matched: int
    total: int
    num_classes: int | None
    outer_scope: str = ""

    @property
    def complete(self) -> bool:
        return self.matched == self.total

    def __str__(self) -> str:
        classes = f", {self.num_classes} classes" if self.num_classes else ""
        others = f" (also {', '.join(self.models[1:])})" if len(self.models) > 1 else ""
        inside = f', under the outer scope "{self.outer_scope}"' if self.outer_scope else ""
        return (
            f"{self.models[0]}: {self.matched} of {self.total} variables{classes}{inside}{others}"
        )


def identify(checkpoint: Checkpoint) -> list[Fit]:
    """The architectures that the checkpoint may belong to, best fit first.

    Only architectures whose outermost variable scope (or landmark) stands in the checkpoint's
    names are compared; the network is built in a scratch graph, which needs no memory for weights.
    """
    shapes = {name: tuple(checkpoint.shape(name)) for name in checkpoint.names()}
    fits = []
    for specs in architectures():
        adapter = specs[0].load_adapter()
        outer = _outer_scope(shapes, adapter.scope or adapter.landmark)
        if outer is not None:
            fits.append(_fit(specs, adapter, shapes, outer))
    return sorted(fits, key=lambda fit: (fit.complete, fit.matched), reverse=True)


def explain(
    error: CheckpointMismatchError, checkpoint: Checkpoint, network: TF1Network
) -> CheckpointMismatchError:
    """Adds to a mismatch what the checkpoint does fit, and what to call."""
    fits = [fit for fit in identify(checkpoint) if fit.matched]
    if not fits:
        error.next_step = (
            f"{error.next_step or ''} It fits no registered architecture: "
            "`zoo inspect` shows what is inside."
        ).strip()
        return error
    best = fits[0]
    if not _is_architecture_of(network, best):
        error.next_step = f'it fits {best}. Use zoo.load("{best.models[0]}", tf1_ckpt=...).'
        return error
    classes = {**network.accepted_arguments(), **network.arguments}.get("num_classes")
    if best.complete and best.num_classes not in (None, classes):
        scope = f" and name_map=zoo.NameMap(strip_scope={best.outer_scope!r})"
        error.next_step = (
            f"it has {best.num_classes} classes: pass num_classes={best.num_classes}"
            f"{scope if best.outer_scope else ''} to load its head too."
        )
    return error


def _fit(specs, adapter, shapes: dict, outer: str) -> Fit:
    wanted = variable_shapes(specs[0].name)
    prefix = f"{outer}/" if outer else ""
    if not any(name.startswith(adapter.auxiliary) and prefix + name in shapes for name in wanted):
        # What serves training alone is often left out, and not missed.
        wanted = {n: shape for n, shape in wanted.items() if not n.startswith(adapter.auxiliary)}
    there = {name: shapes.get(prefix + name) for name in wanted}
    num_classes = _classes_of_head(wanted, there, adapter.head)
    matched = sum(
        there[name] is not None
        and (
            there[name] == shape or (name.startswith(adapter.head) and _is_head(there[name], shape))
        )
        for name, shape in wanted.items()
    )
    names = tuple(spec.name for spec in specs)
    return Fit(names, matched, len(wanted), num_classes, outer)


def _is_head(there: tuple, wanted: tuple) -> bool:
    return len(there) == len(wanted) and there[:-1] == wanted[:-1]


def _classes_of_head(wanted: dict, there: dict, head: tuple[str, ...]) -> int | None:
    for name in wanted:
        if name.startswith(head) and there[name] and len(there[name]) > 1:
            return there[name][-1]
    return None


def architecture(spec: registry.ModelSpec) -> tuple:
    """What models of one architecture have in common: the adapter and its arguments."""
    return spec.adapter, json.dumps(dict(spec.arguments), sort_keys=True, default=str)


def architectures() -> list[list[registry.ModelSpec]]:
    """The registered models, grouped by architecture."""
    groups: dict[tuple, list] = {}
    for name in registry.list_models():
        spec = registry.info(name)
        groups.setdefault(architecture(spec), []).append(spec)
    return list(groups.values())


def _outer_scope(names, scope: str) -> str | None:
    for name in names:
        if name.startswith(f"{scope}/"):
            return ""
        before, found, _ = name.partition(f"/{scope}/")
        if found:
            return before
    return None


def _is_architecture_of(network: TF1Network, fit: Fit) -> bool:
    spec = registry.info(fit.models[0])
    same_arguments = all(network.arguments.get(k) == v for k, v in spec.arguments.items())
    return same_arguments and type(network) is spec.load_adapter()


@functools.lru_cache(maxsize=8)
def variable_shapes(name: str) -> dict[str, tuple[int, ...]]:
    """TF1 name -> shape of every variable of a registered model, in the order it makes them."""
    spec = registry.info(name)
    adapter = spec.load_adapter()
    network = adapter(**{"num_classes": spec.num_classes, **spec.arguments})
    made = []

    def noting(next_creator, **kwargs):
        # Out of TensorFlow's collections, which it goes through anew for each further variable.
        made.append(next_creator(**{**kwargs, "collections": []}))
        return made[-1]

    with tf.Graph().as_default(), tf.variable_creator_scope(noting):
        network.forward(tf.compat.v1.placeholder(tf.float32, [1, *spec.image_shape]))
        return {variable.op.name: tuple(variable.shape.as_list()) for variable in made}
