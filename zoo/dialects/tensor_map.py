"""Tensor by tensor: which of a peer's belongs to which TF1 variable, and how axes are ordered."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

Shape = tuple[int, ...]


@dataclass(frozen=True)
class Layout:
    """How a TF1 variable's axes stand in the peer's tensor.

    Attributes:
        to_peer: the peer's array of a TF1 array.
        to_slim: the TF1 array of a peer's array and the TF1 shape, whose last axis may be of
            another size where it counts classes.
    """

    to_peer: Callable[[np.ndarray], np.ndarray]
    to_slim: Callable[[np.ndarray, Shape], np.ndarray]

    def peer_shape(self, shape: Shape) -> Shape:
        return self.to_peer(_shaped(shape)).shape

    def slim_shape(self, shape: Shape, slim: Shape) -> Shape:
        return self.to_slim(_shaped(shape), slim).shape


def _shaped(shape: Shape) -> np.ndarray:
    """An array of this shape in four bytes of memory."""
    return np.broadcast_to(np.float32(0), shape)


# H and W are the kernel's sides, I and O its input and output channels.
SAME = Layout(lambda array: array, lambda array, _: array)
# (H, W, I, O) <-> (O, I, H, W)
CONV = Layout(lambda a: a.transpose(3, 2, 0, 1), lambda a, _: a.transpose(2, 3, 1, 0))
# (H, W, I, M) <-> (I * M, 1, H, W): each input channel has M of its own.
DEPTHWISE = Layout(
    lambda a: a.transpose(2, 3, 0, 1).reshape(-1, 1, *a.shape[:2]),
    lambda a, slim: a.reshape(*slim[2:], *a.shape[2:]).transpose(2, 3, 0, 1),
)
# (I, O) or (H, W, I, O), for images of H x W, <-> (H * W * I, O)
FLAT = Layout(
    lambda a: a.reshape(-1, a.shape[-1]),
    lambda a, slim: a.reshape(*slim[:-1], a.shape[-1]),
)
# The same <-> (O, H * W * I)
DENSE = Layout(
    lambda a: a.reshape(-1, a.shape[-1]).T,
    lambda a, slim: a.T.reshape(*slim[:-1], a.shape[0]),
)


@dataclass(frozen=True)
class Entry:
    """A TF1 variable and the peer's tensor of the same values.

    Attributes:
        slim: the variable's TF1 name.
        peer: the peer's name.
        layout: from one's axes to the other's.
        shape: the TF1 variable's shape.
        counts_classes: the last axis of the TF1 variable has one place for each class.
    """

    slim: str
    peer: str
    layout: Layout
    shape: Shape
    counts_classes: bool = False

    def peer_shape(self, classes: int | None = None) -> Shape:
        """The peer's shape, with so many classes where it counts classes."""
        shape = self.shape
        if self.counts_classes and classes is not None:
            shape = (*shape[:-1], classes)
        return self.layout.peer_shape(shape)


@dataclass(frozen=True)
class TensorMap:
    """All entries of one network in one dialect.

    Attributes:
        entries: what both have.
        scales: TF1 name -> peer's name, of batch norm's scales that the peer has and the TF1
            network leaves out: ones.
        ignored: names that the peer may have, and that hold no weights.
    """

    entries: tuple[Entry, ...]
    scales: dict[str, str]
    ignored: frozenset[str]

    def to_peer(
        self, variables: Mapping[str, np.ndarray], without_first: int = 0
    ) -> dict[str, np.ndarray]:
        """The peer's tensors of TF1 variables, `without_first` classes of theirs left out.

        Scales that the TF1 network leaves out are ones, and what holds no weights is zero.
        """
        tensors = {}
        for entry in self.entries:
            values = variables[entry.slim]
            if entry.counts_classes:
                values = values[..., without_first:]
            tensors[entry.peer] = np.ascontiguousarray(entry.layout.to_peer(values))
        channels = {entry.slim: entry.shape for entry in self.entries}
        for gamma, peer in self.scales.items():
            tensors[peer] = np.ones(channels[gamma.removesuffix("gamma") + "beta"], np.float32)
        return tensors | {name: np.zeros((), np.int64) for name in self.ignored}

    @property
    def names(self) -> frozenset[str]:
        """All names that a file of the peer's may have."""
        return self.ignored.union((entry.peer for entry in self.entries), self.scales.values())
