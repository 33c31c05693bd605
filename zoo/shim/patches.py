"""Attributes replaced for a while, and put back."""

from __future__ import annotations

_ABSENT = object()


class Patches:
    """What was replaced; false while nothing is."""

    def __init__(self) -> None:
        # (object, attribute, what was there), in the order of replacement.
        self._before: list[tuple[object, str, object]] = []

    def __len__(self) -> int:
        return len(self._before)

    def put(self, owner: object, name: str, value: object) -> None:
        """Sets an attribute."""
        self._before.append((owner, name, vars(owner).get(name, _ABSENT)))
        setattr(owner, name, value)

    def restore(self) -> None:
        """Puts back all that there was."""
        while self._before:
            owner, name, before = self._before.pop()
            if before is _ABSENT:
                delattr(owner, name)
            else:
                setattr(owner, name, before)
