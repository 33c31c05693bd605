"""What a checkpoint's names mean, and how they become a network's names."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from zoo.errors import ArgumentError

VARIABLE = "variable"
OPTIMIZER_SLOT = "optimizer_slot"
GLOBAL_STEP = "global_step"
MOVING_AVERAGE = "moving_average"
AUXILIARY = "auxiliary"

SHADOW = "ExponentialMovingAverage"

# A slot is named after its optimizer. The default names of TensorFlow 1.15.5's optimizers
# (tensorflow/python/training, tensorflow/contrib/opt), and the adam_m and adam_v of BERT's own.
_SLOTS = re.compile(
    r"(Momentum|RMSProp|Adam|AdamW|AdaMax|Adagrad|Adadelta|AdagradDA|ProximalAdagrad|Ftrl"
    r"|AddSignOptimizer|PowerSignOptimizer|LARSOptimizer|RegAdagrad|Shampoo|ShampooW|adam_[mv])"
    r"(_\d+)?"
)
# Under a scope, TF 1.15 names a partition's slot wrongly: VARIABLE/art_0/Adam (slot_creator.py).
_PART = re.compile(r"/(p?art_\d+)$")
_BETA_POWER = re.compile(r"beta[12]_power(_\d+)?")
_AUXILIARY = re.compile(r"(^|/)(AuxLogits|aux_\d+|aux_logits)(/|$)")


def classify(names: Iterable[str]) -> dict[str, str]:
    """The role of each name, told from the names alone.

    Returns:
        name -> one of "variable", "optimizer_slot" (`VARIABLE/Momentum`, also under a scope of the
        training loop, only where VARIABLE is there too; `beta1_power`), "global_step",
        "moving_average" (`VARIABLE/ExponentialMovingAverage`), "auxiliary" (variables of a head
        that serves training only: `.../AuxLogits/...`, `aux_7/...`).
    """
    names = list(names)
    present = set(names)
    return {name: _role(name, present) for name in names}


def _role(name: str, present: set[str]) -> str:
    base, _, last = name.rpartition("/")
    if last == "global_step":
        return GLOBAL_STEP
    if last == SHADOW:
        return MOVING_AVERAGE
    if _BETA_POWER.fullmatch(last):
        return OPTIMIZER_SLOT
    if _SLOTS.fullmatch(last) and _is_under_a_scope(_PART.sub("", base), present):
        return OPTIMIZER_SLOT
    return AUXILIARY if _AUXILIARY.search(name) else VARIABLE


def _is_under_a_scope(name: str, present: set[str]) -> bool:
    """Whether the name is there, as it is or without some of its outer scopes."""
    while name:
        if name in present:
            return True
        name = name.partition("/")[2]
    return False


def in_scopes(name: str, scopes: Iterable[str]) -> bool:
    """Whether a name is, or lies under, one of the scopes, or matches one read as a regex.

    "InceptionV3/Logits" takes "InceptionV3/Logits/Conv2d_1c_1x1/weights" but not
    "InceptionV3/LogitsB". A regular expression must match from the start of the name.
    """
    for scope in scopes:
        scope = scope.rstrip("/")
        if name == scope or name.startswith(f"{scope}/"):
            return True
        if re.escape(scope) != scope and re.compile(scope).match(name):
            return True
    return False


def check_scopes(argument: str, scopes: Sequence[str]) -> tuple[str, ...]:
    """The scopes as a tuple, each of which must be text and a valid regular expression."""
    scopes = (scopes,) if isinstance(scopes, str) else tuple(scopes)
    for scope in scopes:
        _compiled(argument, scope)
    return scopes


def _compiled(argument: str, pattern: str) -> re.Pattern[str]:
    try:
        return re.compile(pattern)
    except (re.error, TypeError) as error:
        raise ArgumentError(
            f"`{argument}` has an entry that is no scope and no regular expression: {error}.",
            received=repr(pattern),
            accepted="a scope such as 'InceptionV3/Logits', or a regular expression",
        ) from error


@dataclass(frozen=True)
class MappedNames:
    """A checkpoint's names in the network's terms.

    Attributes:
        sources: network name -> checkpoint name.
        excluded: checkpoint names that the map leaves out.
        averaged: checkpoint names whose place a moving average took.
        without_average: network names that have no moving average and stand for themselves.
    """

    sources: dict[str, str]
    excluded: list[str] = field(default_factory=list)
    averaged: list[str] = field(default_factory=list)
    without_average: list[str] = field(default_factory=list)


class NameMap:
    """From a checkpoint's names to a network's.

    The steps are taken in this order: the moving average's suffix, `strip_scope`, `renames`,
    `add_scope`, `exclude`.

    Args:
        strip_scope: an outer scope to drop; names outside it stay as they are.
        add_scope: an outer scope to put before every name.
        renames: (regular expression, replacement) pairs, each applied by `re.sub` in turn.
        moving_average: take `NAME/ExponentialMovingAverage` in NAME's place. A variable without
            one (moving_mean has none) stands for itself.
        exclude: scopes or regular expressions of network names; neither loaded nor missed.

    Raises:
        ArgumentError: a regular expression or replacement is not valid.

    Example:
        >>> NameMap(strip_scope="tower_0", renames=[("/kernel$", "/weights")])("tower_0/fc/kernel")
        'fc/weights'
    """

    def __init__(
        self,
        strip_scope: str | None = None,
        add_scope: str | None = None,
        renames: Sequence[tuple[str, str]] = (),
        moving_average: bool = False,
        exclude: Sequence[str] = (),
    ) -> None:
        self.strip_scope = (strip_scope or "").strip("/")
        self.add_scope = (add_scope or "").strip("/")
        self.renames = tuple(renames)
        self.moving_average = moving_average
        self.exclude = check_scopes("exclude", exclude)
        self._patterns = [_checked_rename(rename) for rename in self.renames]

    def __repr__(self) -> str:
        arguments = {
            "strip_scope": self.strip_scope,
            "add_scope": self.add_scope,
            "renames": self.renames,
            "moving_average": self.moving_average,
            "exclude": self.exclude,
        }
        shown = ", ".join(f"{name}={value!r}" for name, value in arguments.items() if value)
        return f"NameMap({shown})"

    def __call__(self, name: str) -> str:
        """The network's name for one checkpoint name, excluded or not."""
        if self.moving_average:
            name = name.removesuffix(f"/{SHADOW}")
        if self.strip_scope:
            name = name.removeprefix(f"{self.strip_scope}/")
        for pattern, replacement in self._patterns:
            name = pattern.sub(replacement, name)
        return f"{self.add_scope}/{name}" if self.add_scope else name

    def apply(self, names: Iterable[str]) -> MappedNames:
        """Maps all names of a checkpoint.

        Raises:
            ArgumentError: two of them become one network name.
        """
        names = list(names)
        shadowed = self._shadowed(names)
        mapped = MappedNames({})
        for name in names:
            target = self(name)
            if in_scopes(target, self.exclude):
                mapped.excluded.append(name)
                continue
            if name in shadowed:
                mapped.averaged.append(name)
                continue
            if target in mapped.sources:
                raise ArgumentError(
                    "The name map gives two names of the checkpoint the same name.",
                    received=f"{mapped.sources[target]!r} and {name!r}, both to {target!r}",
                    next_step=f"Narrow {self!r}, or exclude one of the two.",
                )
            mapped.sources[target] = name
            if self.moving_average and not name.endswith(f"/{SHADOW}"):
                mapped.without_average.append(target)
        return mapped

    def _shadowed(self, names: list[str]) -> set[str]:
        if not self.moving_average:
            return set()
        suffix = f"/{SHADOW}"
        return {name.removesuffix(suffix) for name in names if name.endswith(suffix)}


def _checked_rename(rename: tuple[str, str]) -> tuple[re.Pattern[str], str]:
    try:
        pattern, replacement = rename
    except (TypeError, ValueError):
        raise ArgumentError(
            "`renames` takes pairs.",
            received=repr(rename),
            accepted="(regular expression, replacement)",
        ) from None
    compiled = _compiled("renames", pattern)
    try:  # One empty alternative makes the pattern match, so the replacement is parsed.
        re.compile(f"(?:{pattern})|").sub(replacement, "")
    except (re.error, IndexError, TypeError) as error:
        raise ArgumentError(
            f"`renames` has a replacement that does not fit its pattern: {error}.",
            received=repr(rename),
        ) from error
    return compiled, replacement
