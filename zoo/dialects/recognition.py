"""Which dialect a checkpoint speaks, and which network it is there."""

from __future__ import annotations

import functools
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from zoo import registry
from zoo.checkpoints import Checkpoint
from zoo.dialects import keras_applications, native, timm, transformers
from zoo.dialects.counterpart import Counterpart
from zoo.dialects.hdf5 import Hdf5Checkpoint
from zoo.dialects.tensor_map import TensorMap
from zoo.identification import architecture, architectures, variable_shapes

SLIM = "slim"


@dataclass(frozen=True)
class Dialect:
    """Another library's way to name weights.

    Attributes:
        name: as `zoo convert --to` takes it.
        find: makes the list of its networks that are registered ones.
        background: whether its networks keep the background class that Slim's begin with.
        may_have: whether a checkpoint's names are of the dialect's kind; asked before its list
            is made.
    """

    name: str
    find: Callable[[], list[Counterpart]]
    background: bool = False
    may_have: Callable[[Checkpoint], bool] = lambda _: True

    def counterparts(self) -> list[Counterpart]:
        return _counterparts(self, tuple(registry.list_models()))

    def counterpart(self, spec: registry.ModelSpec) -> Counterpart | None:
        """Its network of the registered model's architecture."""
        for found in self.counterparts():
            if architecture(registry.info(found.model)) == architecture(spec):
                return found
        return None


@functools.lru_cache(maxsize=16)
def _counterparts(dialect: Dialect, _models: tuple[str, ...]) -> list[Counterpart]:
    return dialect.find()


# Besides "slim", the TF1 names themselves. One that is added needs a list of counterparts, whose
# `tensor_map` may come from tables, as these do, or from anywhere else.
DIALECTS: dict[str, Dialect] = {
    dialect.name: dialect
    for dialect in (
        Dialect("timm", timm.counterparts),
        Dialect("transformers", transformers.counterparts, background=True),
        Dialect("keras.applications", keras_applications.counterparts),
        Dialect("native", native.counterparts, background=True, may_have=native.may_have),
    )
}


@dataclass(frozen=True)
class Recognition:
    """A checkpoint of another library.

    Attributes:
        dialect, counterpart: whose it is, and which network there.
        matched: how many of the network's tensors it has, in name and shape.
        total: how many there are.
        classes: what its classifier has; None if it has none.
    """

    dialect: Dialect
    counterpart: Counterpart
    matched: int
    total: int
    classes: int | None

    @property
    def models(self) -> tuple[str, ...]:
        """The registered models of this architecture."""
        own = architecture(registry.info(self.counterpart.model))
        for specs in architectures():
            if architecture(specs[0]) == own:
                return tuple(spec.name for spec in specs)
        return (self.counterpart.model,)

    @property
    def complete(self) -> bool:
        return self.matched == self.total

    def __str__(self) -> str:
        classes = f", {self.classes} classes" if self.classes else ""
        count = "" if self.complete else f", {self.matched} of {self.total} tensors"
        return f"{self.dialect.name}: {self.counterpart}{classes}{count}"


def candidates(checkpoint: Checkpoint) -> Iterator[tuple[Dialect, Counterpart]]:
    """What the checkpoint may be, by one name or by the number of its tensors."""
    tensors = -1  # says nothing where layers have names
    if isinstance(checkpoint, Hdf5Checkpoint):
        tensors = len(checkpoint.weights)
    elif checkpoint.format == "keras":
        tensors = len(checkpoint)
    for dialect in DIALECTS.values():
        for counterpart in dialect.counterparts() if dialect.may_have(checkpoint) else ():
            if counterpart.is_in(checkpoint) or counterpart.tensors == tensors:
                yield dialect, counterpart


def recognise(checkpoint: Checkpoint) -> Recognition | None:
    """The dialect and the network of a checkpoint; None if it has TF1 names, or strange ones.

    Candidates' TF1 graphs are built, which takes seconds.
    """
    found = [compare(checkpoint, *candidate) for candidate in candidates(checkpoint)]
    return max(found, key=lambda one: (one.complete, one.matched), default=None)


def compare(checkpoint: Checkpoint, dialect: Dialect, counterpart: Counterpart) -> Recognition:
    """How well a checkpoint is this network."""
    weights = counterpart.tensor_map(variable_shapes(counterpart.model))
    if isinstance(checkpoint, Hdf5Checkpoint):
        matched, classes = _matched_shapes(checkpoint, weights)
    else:
        classes = counterpart.classes_in(checkpoint)
        matched = sum(
            entry.peer in checkpoint and checkpoint.shape(entry.peer) == entry.peer_shape(classes)
            for entry in weights.entries
        )
    return Recognition(dialect, counterpart, matched, len(weights.entries), classes)


def _matched_shapes(checkpoint: Hdf5Checkpoint, weights: TensorMap) -> tuple[int, int | None]:
    """How many tensors an HDF5 file, whose names tell little, has by shape; and its classes."""
    there = Counter(checkpoint.shape(name) for name in checkpoint.weights)
    body = Counter(entry.peer_shape() for entry in weights.entries if not entry.counts_classes)
    rest = there - body
    head = [entry for entry in weights.entries if entry.counts_classes]
    for classes in sorted({shape[0] for shape in rest if len(shape) == 1}):
        wanted = Counter(entry.peer_shape(classes) for entry in head)
        if wanted == rest:
            return (there & body).total() + len(head), classes
    return (there & body).total(), None
