"""Which variable of a checkpoint goes to which variable of a network: strict both ways."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Protocol

from zoo.checkpoints.checkpoint import Checkpoint
from zoo.checkpoints.names import VARIABLE, NameMap, check_scopes, classify, in_scopes
from zoo.errors import CheckpointMismatchError, nearest_names

Shape = tuple[int, ...]

AVERAGED = "averaged_variable"  # A plain variable whose moving average is used in its place.

_HEAD = re.compile(r"(^|/)[^/]*(logits|fc8|predictions|final_layer|softmax|head)[^/]*(/|$)", re.I)
_OBJECT_GRAPH = "_CHECKPOINTABLE_OBJECT_GRAPH"
_SHOWN = 8


class HasShape(Protocol):
    """A variable, or anything else that has a static shape."""

    @property
    def shape(self) -> Sequence[int]: ...


@dataclass(frozen=True)
class Match:
    """How a checkpoint and a network fit together. `match` makes one.

    Attributes:
        assignments: network name -> checkpoint name, where the shapes agree.
        missing: names that the network has and the checkpoint lacks.
        unexpected: names that the checkpoint has and the network lacks.
        wrong_shape: (network name, shape in the network, shape in the checkpoint).
        recognised: role -> checkpoint names that are rightly there besides the network.
        excluded: network names that the name map leaves out.
        skipped_missing, skipped_unexpected: what `allow_missing` and `allow_unexpected` took.
        without_average: network names loaded plainly for want of a moving average.
    """

    path: str
    total: int
    assignments: dict[str, str] = field(default_factory=dict)
    missing: list[str] = field(default_factory=list)
    unexpected: list[str] = field(default_factory=list)
    wrong_shape: list[tuple[str, Shape, Shape]] = field(default_factory=list)
    recognised: dict[str, list[str]] = field(default_factory=dict)
    excluded: list[str] = field(default_factory=list)
    skipped_missing: list[str] = field(default_factory=list)
    skipped_unexpected: list[str] = field(default_factory=list)
    without_average: list[str] = field(default_factory=list)
    mapped: dict[str, str] = field(default_factory=dict, repr=False)

    @property
    def fits(self) -> bool:
        """Whether nothing is missing, unexpected or of a wrong shape."""
        return not (self.missing or self.unexpected or self.wrong_shape)

    @cached_property
    def nearest(self) -> dict[str, list[str]]:
        """For each missing name the unexpected names that look most like it."""
        found = {name: _most_alike(name, self.unexpected) for name in self.missing}
        return {name: alike for name, alike in found.items() if alike}

    def check(self) -> None:
        """Passes if the checkpoint fits.

        Raises:
            CheckpointMismatchError: it does not; the message shortens the lists, the error's
                attributes have them whole.
        """
        if self.fits:
            return
        raise CheckpointMismatchError(
            "\n".join([self._headline(), *self._details()]),
            missing=self.missing,
            unexpected=self.unexpected,
            wrong_shape=self.wrong_shape,
            next_step=self._next_step(),
        )

    def _headline(self) -> str:
        return (
            f"The checkpoint {self.path} does not fit the network: of {self.total} variables "
            f"{len(self.missing)} are missing and {len(self.wrong_shape)} have another shape; "
            f"{len(self.unexpected)} in the checkpoint are unexpected."
        )

    def _details(self) -> list[str]:
        shapes = [
            f"variable {name} has shape {wanted} in the network and {found} in the checkpoint"
            for name, wanted, found in self.wrong_shape
        ]
        missing = []
        for name in self.missing[:_SHOWN]:
            alike = _most_alike(name, self.unexpected)
            hint = f" (nearest in the checkpoint: {', '.join(alike)})" if alike else ""
            missing.append(f"variable {name} is missing from the checkpoint{hint}")
        missing += self.missing[_SHOWN:]
        unexpected = [
            f"variable {name} of the checkpoint is not in the network" for name in self.unexpected
        ]
        return [f"  {line}" for part in (shapes, missing, unexpected) for line in _shortened(part)]

    def _next_step(self) -> str:
        scopes = self._scopes()
        if scopes:
            return f"All names differ by their outer scope: pass {scopes}."
        classes = self._classes()
        if classes is not None:
            return (
                f"Only the head differs: pass num_classes={classes} for the checkpoint's own head, "
                "or exclude the head's scope to keep a new one."
            )
        if any(_OBJECT_GRAPH in name for name in self.mapped.values()):
            return (
                "This is an object-based checkpoint (tf.train.Checkpoint, Keras save_weights): "
                "give the name-based one that tf.train.Saver wrote."
            )
        if not self.assignments and not self.wrong_shape:
            return (
                "No name fits: is it a checkpoint of another architecture? `zoo inspect` says "
                "which ones it fits; a NameMap translates names."
            )
        return "Name what to leave out with allow_missing= and allow_unexpected=, or map names."

    def _scopes(self) -> str | None:
        """The NameMap that makes every name fit, if one change of the outer scope does."""
        if not self.missing or self.assignments or len(self.unexpected) > 2 * len(self.missing):
            return None
        available, wanted = set(self.unexpected), self.missing[0]
        for candidate in self.unexpected:
            strip, add = _differing_scopes(candidate, wanted)
            if strip == add == "" or not _same_tail(candidate, wanted):
                continue
            if all(_rescoped(name, add, strip) in available for name in self.missing):
                arguments = [f"strip_scope={strip!r}"] * bool(strip)
                arguments += [f"add_scope={add!r}"] * bool(add)
                return f"NameMap({', '.join(arguments)})"
        return None

    def _classes(self) -> int | None:
        """The checkpoint's number of classes, if only the head's last axis differs."""
        if self.missing or self.unexpected or not self.wrong_shape:
            return None
        for name, wanted, found in self.wrong_shape:
            if not _HEAD.search(name) or not wanted or not found or wanted[:-1] != found[:-1]:
                return None
        classes = {(wanted[-1], found[-1]) for _, wanted, found in self.wrong_shape}
        return classes.pop()[1] if len(classes) == 1 else None


def match(
    checkpoint: Checkpoint,
    variables: Mapping[str, HasShape],
    name_map: NameMap | None = None,
    *,
    allow_missing: Sequence[str] = (),
    allow_unexpected: Sequence[str] = (),
) -> Match:
    """Compares a checkpoint with a network by names and shapes; reads no values.

    Args:
        checkpoint: an open checkpoint.
        variables: network name -> variable.
        name_map: from the checkpoint's names to the network's; none by default.
        allow_missing: scopes ("InceptionV3/Logits") or regular expressions of network names that
            the checkpoint need not have.
        allow_unexpected: scopes or regular expressions of names, as mapped or as in the
            checkpoint, that the network need not have.

    Raises:
        ArgumentError: two checkpoint names map to one, or a pattern is not valid.
    """
    name_map = NameMap() if name_map is None else name_map
    allow_missing = check_scopes("allow_missing", allow_missing)
    allow_unexpected = check_scopes("allow_unexpected", allow_unexpected)
    names = checkpoint.names()
    mapped = name_map.apply(names)
    result = Match(checkpoint.path, len(variables), mapped=mapped.sources)
    for name, variable in variables.items():
        if in_scopes(name, name_map.exclude):
            result.excluded.append(name)
        elif name not in mapped.sources:
            allowed = in_scopes(name, allow_missing)
            (result.skipped_missing if allowed else result.missing).append(name)
        else:
            _compare(result, checkpoint, name, tuple(variable.shape), mapped.sources[name])
    _sort_surplus(result, classify(names), mapped, variables, allow_unexpected)
    plain = set(mapped.without_average)
    result.without_average.extend(name for name in result.assignments if name in plain)
    return result


def _compare(result: Match, checkpoint: Checkpoint, name: str, wanted: Shape, source: str) -> None:
    found = tuple(checkpoint.shape(source))
    if found == wanted:
        result.assignments[name] = source
    else:
        result.wrong_shape.append((name, wanted, found))


def _sort_surplus(result: Match, roles, mapped, variables, allow_unexpected) -> None:
    """Puts what the network does not take under its role, or among the unexpected."""
    if mapped.averaged:
        result.recognised[AVERAGED] = list(mapped.averaged)
    for target, source in mapped.sources.items():
        if target in variables:
            continue
        role = roles[source]
        if role == VARIABLE or target.endswith(_OBJECT_GRAPH):
            allowed = in_scopes(target, allow_unexpected) or in_scopes(source, allow_unexpected)
            (result.skipped_unexpected if allowed else result.unexpected).append(target)
        else:
            result.recognised.setdefault(role, []).append(source)


def _most_alike(name: str, candidates: Sequence[str], count: int = 3) -> list[str]:
    """The nearest names; first by shared path parts, as comparing all letters would take long."""
    parts = set(name.lower().split("/"))
    last = name.rpartition("/")[2]

    def alike(candidate: str) -> tuple[bool, int, int]:
        shared = len(parts & set(candidate.lower().split("/")))
        return candidate.rpartition("/")[2] == last, shared, -abs(len(candidate) - len(name))

    return nearest_names(name, sorted(candidates, key=alike, reverse=True)[:12], count)


def _same_tail(first: str, second: str) -> bool:
    return first.rpartition("/")[2] == second.rpartition("/")[2]


def _differing_scopes(found: str, wanted: str) -> tuple[str, str]:
    """The outer scopes to strip from the first and to add for the second to be equal."""
    strip, add = found.split("/"), wanted.split("/")
    while strip and add and strip[-1] == add[-1]:
        strip.pop()
        add.pop()
    return "/".join(strip), "/".join(add)


def _rescoped(name: str, drop: str, put: str) -> str | None:
    """The checkpoint's name for a network's name, if the two scopes are the whole difference."""
    if drop:
        if not name.startswith(f"{drop}/"):
            return None
        name = name.removeprefix(f"{drop}/")
    return f"{put}/{name}" if put else name


def _shortened(lines: list[str]) -> list[str]:
    if len(lines) <= _SHOWN + 1:
        return lines
    return [*lines[:_SHOWN], f"... and {len(lines) - _SHOWN} more like this"]
