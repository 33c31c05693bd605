"""A network of another library that is the same function as a registered one."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from zoo import registry
from zoo.checkpoints import Checkpoint
from zoo.dialects.tensor_map import CONV, DENSE, DEPTHWISE, SAME, Entry, Layout, Shape, TensorMap
from zoo.errors import CheckpointMismatchError, RegistryError

# A pattern and what takes the place of each of its matches, as in `re.sub`.
Rename = tuple[str, "str | Callable[[re.Match], str]"]

# Last part of a TF1 name -> last part of PyTorch's, and the layout. DENSE_WEIGHTS are the
# weights of what is a fully connected layer in the peer, though a convolution in Slim.
DENSE_WEIGHTS = "dense_weights"
TORCH_LEAVES: Mapping[str, tuple[str, Layout]] = {
    "weights": ("weight", CONV),
    DENSE_WEIGHTS: ("weight", DENSE),
    "depthwise_weights": ("weight", DEPTHWISE),
    "biases": ("bias", SAME),
    "gamma": ("weight", SAME),
    "beta": ("bias", SAME),
    "moving_mean": ("running_mean", SAME),
    "moving_variance": ("running_var", SAME),
}


@dataclass(frozen=True)
class Counterpart:
    """How one network is called, and how its weights are named, in one dialect.

    A TF1 name becomes the peer's in two steps: `scopes` are applied to its scope, all of them in
    turn, and its last part is looked up in `leaves`. The result is strictly checked against
    files: whatever a table forgets shows as a missing name.

    Attributes:
        name: the peer's name of the network.
        model: a registered network of this architecture.
        scopes: renames of a variable's scope; what is left of "/" becomes `separator`.
        classifier: the peer's name of the layer that makes the logits.
        landmark: a name of the peer's that tells it from its other networks; "" where files
            have no such names.
        tensors: how many the peer has, where that has to do for a landmark.
        leaves: last part of a TF1 name -> the peer's, and the layout.
        dense: TF1 scopes of fully connected layers, besides the classifier.
        without: TF1 scopes that the peer does not have, as they serve training alone.
        ignored: last parts of names that hold no weights.
        separator: between the parts of the peer's names.
        arguments: what the peer has to be made with, besides the number of classes.
        difference: what its function does otherwise with the same weights, in words.
    """

    name: str
    model: str
    scopes: Sequence[Rename]
    classifier: str
    landmark: str = ""
    tensors: int = 0
    leaves: Mapping[str, tuple[str, Layout]] = field(default_factory=lambda: TORCH_LEAVES)
    dense: tuple[str, ...] = ()
    without: tuple[str, ...] = ()
    ignored: tuple[str, ...] = ("num_batches_tracked",)
    separator: str = "."
    arguments: Mapping[str, object] = field(default_factory=dict)
    difference: str = ""

    def __str__(self) -> str:
        given = ", ".join(f"{key}={value}" for key, value in self.arguments.items())
        return f"{self.name}({given})" if given else self.name

    def module(self, scope: str) -> str:
        """The peer's name of what has this TF1 scope."""
        for pattern, replacement in self.scopes:
            scope = re.sub(pattern, replacement, scope)
        return scope.replace("/", self.separator)

    def tensor_map(self, shapes: Mapping[str, Shape]) -> TensorMap:
        """The map of a network whose TF1 variables have these names and shapes.

        Raises:
            CheckpointMismatchError: the peer has no tensor of a variable's kind.
            RegistryError: two variables get one name.
        """
        head = registry.info(self.model).load_adapter().head
        entries, scales, ignored = [], {}, set()
        for name, shape in shapes.items():
            if name.startswith(self.without):
                continue
            scope, _, leaf = name.rpartition("/")
            in_head = name.startswith(head)
            if leaf == "weights" and (in_head or name.startswith(self.dense)):
                leaf = DENSE_WEIGHTS
            if leaf not in self.leaves:
                raise CheckpointMismatchError(
                    f"{self} has nothing that would be {name}.",
                    unexpected=[name],
                    next_step="Another dialect may have it: `zoo convert --help` lists them.",
                )
            module = self.module(scope)
            last, layout = self.leaves[leaf]
            entries.append(
                Entry(name, f"{module}{self.separator}{last}", layout, tuple(shape), in_head)
            )
            if leaf == "beta":
                ignored.update(f"{module}{self.separator}{last}" for last in self.ignored)
                if f"{scope}/gamma" not in shapes and "gamma" in self.leaves:
                    scales[f"{scope}/gamma"] = f"{module}{self.separator}{self.leaves['gamma'][0]}"
        check_unique(self, entries)
        return TensorMap(tuple(entries), scales, frozenset(ignored))

    def is_in(self, checkpoint: Checkpoint) -> bool:
        """Whether a checkpoint, by one name, may be this network."""
        return self.landmark in checkpoint

    def classes_in(self, checkpoint: Checkpoint) -> int | None:
        """How many classes the checkpoint's classifier has, by its bias."""
        bias = f"{self.classifier}{self.separator}{self.leaves['biases'][0]}"
        shape = checkpoint.shape(bias) if bias in checkpoint else ()
        return shape[0] if len(shape) == 1 else None

    def is_scaled(self, checkpoint: Checkpoint) -> bool:
        """Whether batch norm scales by other than 1, where Slim's network leaves scales out."""
        if "gamma" not in self.leaves:
            return False
        suffix = f"bn.{self.leaves['gamma'][0]}"
        names = [name for name in checkpoint.names() if name.endswith(suffix)]
        return any(np.any(checkpoint.read(name) != 1) for name in names)


def check_unique(counterpart: Counterpart, entries: Sequence[Entry]) -> None:
    """Raises RegistryError where two variables get one name."""
    owners: dict[str, str] = {}
    for entry in entries:
        if entry.peer in owners:
            raise RegistryError(
                f"{owners[entry.peer]} and {entry.slim} are both {entry.peer} in "
                f"{counterpart.name}."
            )
        owners[entry.peer] = entry.slim
