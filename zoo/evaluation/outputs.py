"""What a network's outputs are called, and which of them a class of the data is."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Sequence
from pathlib import Path

from zoo.errors import ArgumentError, nearest_names
from zoo.images.labels import Label, imagenet_labels

SYNSET = re.compile(r"n\d{8}")
_IMAGENET_CLASSES = 1000
_ACCEPTED_OF_IMAGENET = (
    "ImageNet's classes: synset ids (n02124075), or names as `zoo predict` shows them, the whole "
    "(tench, Tinca tinca) or one of them (tench)"
)


class Outputs:
    """The outputs of a classifier by name.

    Args:
        labels: one for each output.
        label_offset: how many outputs stand before the first class (1: the background).
        is_imagenet: whether these are the classes of ILSVRC2012.
        are_named: whether the labels are names, not made up from numbers.

    Attributes:
        labels, label_offset, is_imagenet, are_named: as given.
    """

    def __init__(
        self,
        labels: Sequence[Label],
        label_offset: int,
        is_imagenet: bool,
        are_named: bool = True,
    ) -> None:
        self.labels, self.label_offset = list(labels), label_offset
        self.is_imagenet, self.are_named = is_imagenet, are_named
        self._whole: dict[str, set[int]] = {}
        self._parts: dict[str, set[int]] = {}
        for index, (synset, name) in enumerate(self.labels):
            for key in (name, synset) if synset else (name,):
                self._whole.setdefault(_plain(key), set()).add(index)
            for part in name.split(","):
                self._parts.setdefault(_plain(part), set()).add(index)

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def accepted(self) -> str:
        """The classes, in a line."""
        if self.is_imagenet:
            return _ACCEPTED_OF_IMAGENET
        names = [label.name for label in self.labels]
        return ", ".join(names[:10]) + (f", ... ({len(names)} in all)" if len(names) > 10 else "")

    def find(self, names: Iterable[str]) -> dict[str, int]:
        """Name of a class -> index of its output.

        Letter case and underscores for spaces do not matter.

        Raises:
            ArgumentError: the network has no output for some of them, or several for one.
        """
        found, unknown = {}, []
        for name in dict.fromkeys(names):
            indices = self._indices(name)
            if len(indices) > 1:
                raise self._ambiguous(name, indices)
            if indices:
                found[name] = next(iter(indices))
            else:
                unknown.append(name)
        if unknown:
            raise self._unknown(unknown)
        return found

    def of_number(self, number: int, first: int, where: object) -> int:
        """The output of a class that is told by its number.

        Args:
            number: of the class.
            first: number of the first class that is no background.
            where: the number stands, for people to read.

        Raises:
            ArgumentError: there is no such class.
        """
        index = number - first + self.label_offset
        if not self.label_offset <= index < len(self):
            last, name = (
                len(self) - self.label_offset - 1 + first,
                self.labels[self.label_offset].name,
            )
            raise ArgumentError(
                "The network has no class of this number.",
                received=f"{number} of {where}",
                accepted=f"{first} to {last}, {first} being {name!r}",
                next_step="pass label_offset= with the number of the first class.",
            )
        return index

    def _indices(self, name: str) -> set[int]:
        plain = _plain(name)
        found = self._whole.get(plain) or self._parts.get(plain)
        if found or not SYNSET.fullmatch(plain):
            return found or set()
        # Labels of one's own may have names alone where the data have synset ids.
        known = next((label.name for label in imagenet_labels() if label.synset == plain), "")
        matches = (self._indices(key) for key in (known, *known.split(",")) if key)
        return next((indices for indices in matches if indices), set())

    def _ambiguous(self, name: str, indices: set[int]) -> ArgumentError:
        return ArgumentError(
            "Several of the network's classes have this name.",
            received=name,
            accepted="; ".join(
                f"{label.synset or f'output {index}'} ({label.name})"
                for index, label in ((i, self.labels[i]) for i in sorted(indices))
            ),
            next_step="name it by its synset id." if self.is_imagenet else None,
        )

    def _unknown(self, names: list[str]) -> ArgumentError:
        if not self.are_named:
            return ArgumentError(
                "The network does not say what its outputs are called.",
                received=f"{len(self)} outputs, and data of {', '.join(names[:5])}",
                accepted="the 1000 classes of ImageNet, names, or data with numbers for classes",
                next_step=f"pass labels= with {len(self)} names, in the order of the outputs, or "
                "the path of a file that has them.",
            )
        known = [*self._whole, *self._parts]
        nearest = [
            f"{name}: {', '.join(nearest_names(_plain(name), known, count=2))}"
            for name in names[:5]
            if nearest_names(_plain(name), known)
        ]
        more = f" and {len(names) - 5} more" if len(names) > 5 else ""
        count = "This class" if len(names) == 1 else f"{len(names)} classes"
        return ArgumentError(
            f"{count} of the data {'is' if len(names) == 1 else 'are'} none of the network's.",
            received=", ".join(names[:5]) + more,
            accepted=self.accepted,
            nearest=nearest,
            next_step="labels= names the outputs of a network of your own, in their order.",
        )


def read_labels(path: str | os.PathLike) -> list[Label]:
    """The names of a network's outputs, out of a text file.

    Args:
        path: of a file with a line for each output, in their order: a name; a synset id and a
            name; or a number and a name ("0:daisy", as Slim's labels.txt has it), by the numbers.

    Raises:
        ArgumentError: it holds no names, or numbers that do not count from 0, or no text.
        OSError: it cannot be read.
    """
    try:
        text = Path(path).expanduser().read_text(encoding="utf-8")
    except UnicodeDecodeError:
        raise ArgumentError("This is no text file.", received=str(path)) from None
    lines = [line.strip() for line in text.split("\n")]
    while lines and not lines[-1]:
        lines.pop()
    numbered = [re.fullmatch(r"(\d+):(.*)", line) for line in lines]
    if lines and all(numbered):
        names = {int(match[1]): match[2].strip() for match in numbered}
        if sorted(names) != list(range(len(lines))):
            raise ArgumentError(
                "The numbers of the labels do not count the outputs from 0.",
                received=str(path),
                accepted=f"each of 0 to {len(lines) - 1} once",
            )
        lines = [names[number] for number in range(len(lines))]
    if not lines:
        raise ArgumentError(
            "This file has no labels.", received=str(path), accepted="a name a line"
        )
    return [_as_label(line) for line in lines]


def _as_label(line: str) -> Label:
    match = re.fullmatch(r"(n\d{8})[\s,]+(.+)", line)
    return Label(match[1], match[2]) if match else Label(None, line)


def has_imagenet_size(outputs: int, label_offset: int) -> bool:
    """Whether a network has an output for each class of ILSVRC2012, after a background or none."""
    return outputs - label_offset == _IMAGENET_CLASSES


def _plain(name: str) -> str:
    return " ".join(name.replace("_", " ").lower().split())
