"""Every exception that zoo raises.

A message says, in this order and as far as it applies: what is wrong, what was
received, what would be accepted, the nearest match, and the next step to take.
Each class is also a kin of the builtin exception that fits, so code that knows
nothing of zoo still catches it sensibly.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class ZooError(Exception):
    """Base of all errors that zoo raises.

    Example:
        >>> raise UnknownModelError(
        ...     "No model has this name.",
        ...     received="inceptoin_v3",
        ...     nearest=["inception_v3"],
        ...     next_step="`zoo list` shows every name.",
        ... )
    """

    # Keras wraps what a layer's call raises in an error of the same class made from its first
    # argument alone, unless it finds this.
    _keras_call_info_injected = True

    # AutoGraph, too, wraps what is raised within a tf.function in an error of its own, which is
    # a page long, unless it finds this.
    ag_pass_through = True

    def __init__(
        self,
        what: str,
        *,
        received: object = None,
        accepted: object = None,
        nearest: Iterable[str] = (),
        next_step: str | None = None,
    ) -> None:
        self.what = what
        self.received = received
        self.accepted = accepted
        self.nearest = list(nearest)
        self.next_step = next_step
        super().__init__(what)

    def __str__(self) -> str:
        lines = [self.what]
        if self.received is not None:
            lines.append(f"  Received: {self.received}")
        if self.accepted is not None:
            lines.append(f"  Accepted: {self.accepted}")
        if self.nearest:
            lines.append(f"  Nearest:  {', '.join(self.nearest)}")
        if self.next_step:
            lines.append(f"  Next:     {self.next_step}")
        return "\n".join(lines)


class UnsupportedEnvironmentError(ZooError, ImportError):
    """This Python process cannot serve zoo: too old a TensorFlow or Keras, another Keras
    backend, or TF_USE_LEGACY_KERAS."""


class ArgumentError(ZooError, ValueError):
    """An argument has a value that the function or network does not take."""


class InputShapeError(ZooError, ValueError):
    """Images do not have the shape or the value range that the network takes."""


class ShimError(ZooError, RuntimeError):
    """TF1-style code asked for something that cannot be given inside Keras 3."""


class RegistryError(ZooError, ValueError):
    """registry.yaml, or a row given to `zoo.register`, breaks the schema."""


class UnknownModelError(ZooError, LookupError):
    """No registered model has this name."""


class CheckpointNotFoundError(ZooError, FileNotFoundError):
    """There is no checkpoint at this path."""


class CheckpointFormatError(ZooError, ValueError):
    """The file is not a checkpoint that zoo reads, or it is damaged."""


class UnsafeArchiveError(CheckpointFormatError):
    """An archive would write outside its folder, holds links, or expands without bound."""


class CheckpointMismatchError(ZooError, ValueError):
    """A checkpoint and a network do not have the same variables.

    Attributes:
        missing: names that the network has and the checkpoint lacks.
        unexpected: names that the checkpoint has and the network lacks.
        wrong_shape: (name, shape in the network, shape in the checkpoint).
    """

    def __init__(self, what: str, *, missing=(), unexpected=(), wrong_shape=(), **rest) -> None:
        super().__init__(what, **rest)
        self.missing = list(missing)
        self.unexpected = list(unexpected)
        self.wrong_shape = list(wrong_shape)


class ConversionError(ZooError, ValueError):
    """A network, or a part of it, that cannot be made of plain Keras layers."""


class DownloadError(ZooError, OSError):
    """A file could not be fetched from any of its sources."""


class HashMismatchError(DownloadError):
    """A fetched file is not the one that was published: its size or hash differs."""


class OfflineError(DownloadError):
    """A file is not in the cache, and offline mode forbids fetching it."""


class PublishingError(ZooError, RuntimeError):
    """A model could not be published, or is not what it should be to be published."""


class TrainingError(ZooError, RuntimeError):
    """Training cannot go on: the loss is no number any more, or the memory does not suffice."""


class ImageError(ZooError, ValueError):
    """Something given as an image is none."""


def nearest_names(name: str, candidates: Iterable[str], count: int = 3) -> list[str]:
    """The candidates that look most like `name`, best first; empty if none is close."""
    lowered = {candidate.lower(): candidate for candidate in candidates}
    matches = difflib.get_close_matches(name.lower(), lowered, n=count, cutoff=0.6)
    return [lowered[match] for match in matches]
