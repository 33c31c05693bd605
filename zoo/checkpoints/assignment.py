"""Values from a checkpoint into a network's variables: one at a time, all or none."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

from zoo.checkpoints.checkpoint import Checkpoint
from zoo.checkpoints.matching import AVERAGED, HasShape, Match, match
from zoo.checkpoints.names import AUXILIARY, GLOBAL_STEP, MOVING_AVERAGE, OPTIMIZER_SLOT, NameMap
from zoo.checkpoints.opening import open_checkpoint
from zoo.errors import CheckpointMismatchError

Progress = Callable[[int, int, str], None]


class Assignable(HasShape, Protocol):
    """A `tf.Variable`, a `keras.Variable`, or anything else that takes an array."""

    @property
    def dtype(self) -> object: ...

    def assign(self, value: np.ndarray) -> object: ...


@dataclass(frozen=True)
class LoadReport:
    """What a load did; `str()` tells it in a line or two.

    Attributes:
        path, format: the checkpoint's.
        total: how many variables the network has.
        loaded: network name -> checkpoint name.
        missing, unexpected: what the caller allowed to be so.
        excluded: network names that the name map left out.
        recognised: role -> checkpoint names that are rightly there besides the network.
        without_average: network names loaded plainly for want of a moving average.
        converted: network name -> (dtype in the checkpoint, dtype in the network).
    """

    path: str
    format: str
    total: int
    loaded: dict[str, str] = field(repr=False)
    missing: list[str] = field(default_factory=list)
    unexpected: list[str] = field(default_factory=list)
    excluded: list[str] = field(default_factory=list)
    recognised: dict[str, list[str]] = field(default_factory=dict, repr=False)
    without_average: list[str] = field(default_factory=list, repr=False)
    converted: dict[str, tuple[str, str]] = field(default_factory=dict, repr=False)

    def __str__(self) -> str:
        parts = [f"{len(self.loaded)} of {self.total} variables"]
        for names, what in (
            (self.missing, "not in the checkpoint"),
            (self.excluded, "left out"),
            (self.unexpected, "skipped in the checkpoint"),
        ):
            if names:
                parts.append(f"{what}: {_few(names)}")
        if self.recognised.get(AVERAGED):
            parts.append(
                f"moving averages in place of {_count(self.recognised[AVERAGED], 'variable')} "
                f"({len(self.without_average)} have none)"
            )
        if self.converted:
            kinds = sorted({f"{found} to {wanted}" for found, wanted in self.converted.values()})
            parts.append(f"{_count(self.converted, 'variable')} converted, {', '.join(kinds)}")
        besides = self._besides()
        if besides:
            parts.append(f"also in the checkpoint: {', '.join(besides)}")
        return "; ".join(parts)

    def _besides(self) -> list[str]:
        words = {
            OPTIMIZER_SLOT: "optimizer slot",
            MOVING_AVERAGE: "moving average",
            AUXILIARY: "auxiliary variable",
        }
        besides = ["global_step"] * bool(self.recognised.get(GLOBAL_STEP))
        for role, word in words.items():
            if self.recognised.get(role):
                besides.append(_count(self.recognised[role], word))
        return besides


def load(
    path_or_checkpoint: str | os.PathLike | Checkpoint,
    variables: Mapping[str, Assignable],
    name_map: NameMap | None = None,
    *,
    allow_missing: Sequence[str] = (),
    allow_unexpected: Sequence[str] = (),
    verify: bool = True,
    progress: Progress | None = None,
) -> LoadReport:
    """Opens a checkpoint, matches it strictly both ways and assigns it; all or nothing.

    Args:
        path_or_checkpoint: what `open_checkpoint` takes, or an open checkpoint (stays open).
        variables: network name -> variable, with `shape`, `dtype` and `assign(array)`.
        name_map, allow_missing, allow_unexpected: as in `match`.
        verify, progress: as in `assign`.

    Raises:
        CheckpointNotFoundError, CheckpointFormatError: as `open_checkpoint` does.
        CheckpointMismatchError: names, shapes or kinds of dtype differ.
    """
    if not isinstance(path_or_checkpoint, Checkpoint):
        with open_checkpoint(path_or_checkpoint) as checkpoint:
            return load(
                checkpoint,
                variables,
                name_map,
                allow_missing=allow_missing,
                allow_unexpected=allow_unexpected,
                verify=verify,
                progress=progress,
            )
    checkpoint = path_or_checkpoint
    found = match(
        checkpoint,
        variables,
        name_map,
        allow_missing=allow_missing,
        allow_unexpected=allow_unexpected,
    )
    return assign(found, checkpoint, variables, verify=verify, progress=progress)


def assign(
    matched: Match,
    checkpoint: Checkpoint,
    variables: Mapping[str, Assignable],
    *,
    verify: bool = True,
    progress: Progress | None = None,
) -> LoadReport:
    """Assigns what `match` paired, holding one array at a time.

    Args:
        matched: must fit, see `Match.check`.
        checkpoint, variables: those that were matched.
        verify: read everything once before the first assignment, so that a damaged checkpoint
            leaves the variables untouched. Without it the file is read once, and damage found
            midway leaves some variables assigned.
        progress: called as progress(done, total, name) after each tensor, both when verified
            and when assigned.

    Raises:
        CheckpointMismatchError: the match does not fit, or numbers would change their kind.
        CheckpointFormatError: the checkpoint is damaged.
    """
    matched.check()
    converted = _conversions(matched, checkpoint, variables)
    total = len(matched.assignments) * (2 if verify else 1)
    done = 0
    if verify:
        for name, source in matched.assignments.items():
            checkpoint.read(source)
            done += 1
            if progress:
                progress(done, total, name)
    for name, source in matched.assignments.items():
        values = checkpoint.read(source, check=not verify)
        if name in converted:
            values = values.astype(numpy_dtype(variables[name].dtype))
        variables[name].assign(values)
        done += 1
        if progress:
            progress(done, total, name)
    return LoadReport(
        path=checkpoint.path,
        format=checkpoint.format,
        total=matched.total,
        loaded=dict(matched.assignments),
        missing=matched.skipped_missing,
        unexpected=matched.skipped_unexpected,
        excluded=matched.excluded,
        recognised=matched.recognised,
        without_average=matched.without_average,
        converted=converted,
    )


def numpy_dtype(dtype: object) -> np.dtype:
    """The NumPy dtype of a variable's dtype: TensorFlow's, a name as Keras has it, or NumPy's."""
    dtype = getattr(dtype, "as_numpy_dtype", dtype)
    if dtype == "bfloat16":
        import ml_dtypes

        return np.dtype(ml_dtypes.bfloat16)
    return np.dtype(dtype)


def _conversions(
    matched: Match, checkpoint: Checkpoint, variables: Mapping[str, Assignable]
) -> dict[str, tuple[str, str]]:
    """Where dtypes differ; floats convert to floats and integers to integers, nothing else."""
    converted = {}
    for name, source in matched.assignments.items():
        found, wanted = checkpoint.dtype(source), numpy_dtype(variables[name].dtype)
        if found == wanted:
            continue
        if _kind(found) != _kind(wanted):
            raise CheckpointMismatchError(
                f"variable {name} has dtype {wanted} in the network and {found} in the checkpoint.",
                next_step="Exclude it with NameMap(exclude=...), or correct the network.",
            )
        converted[name] = (found.name, wanted.name)
    return converted


def _kind(dtype: np.dtype) -> str:
    if dtype.name == "bfloat16":
        return "f"
    return "i" if dtype.kind in "iu" else dtype.kind


def _few(names: Sequence[str], most: int = 4) -> str:
    shown = ", ".join(names[:most])
    return shown if len(names) <= most else f"{shown} and {len(names) - most} more"


def _count(names, word: str) -> str:
    return f"{len(names)} {word}{'s' * (len(names) != 1)}"
