"""What an evaluation came to, by class and by mistake too, and as a row for the registry."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from importlib import metadata

import numpy as np
import yaml

import zoo
from zoo.errors import ArgumentError
from zoo.evaluation import tally as counting
from zoo.evaluation.outputs import Outputs
from zoo.evaluation.published import Comparison


@dataclasses.dataclass(frozen=True)
class Evaluation:
    """What `zoo.evaluate` gives back.

    Attributes:
        model: full name in the registry, or what the model is called.
        form: "shim" or "native".
        dtype: that it computed in.
        data: what was evaluated on.
        images: that were counted.
        classes: of which these are.
        top1, top5: percent; top5 is None for five outputs or fewer, where it says nothing.
        top1_error, top5_error: standard errors, sqrt(p (1 - p) / n), in points.
        mean_loss: cross entropy, in nats.
        broken: images for which an output was infinite or NaN; they count as wrong.
        skipped: images that cannot be read, as "file: why"; they do not count.
        preprocessing: in words.
        comparison: with the figure published of the checkpoint; None if there is none.
        limit: how many images were asked for; None for all.
        registered: full name of the registry's checkpoint, if this is its accuracy.
        weights: SHA-256 of the values of all weights.
    """

    model: str
    form: str
    dtype: str
    data: str
    images: int
    classes: int
    top1: float
    top5: float | None
    top1_error: float
    top5_error: float | None
    mean_loss: float
    broken: int
    skipped: list[str]
    preprocessing: str
    comparison: Comparison | None
    limit: int | None
    registered: str | None
    weights: str
    _rows: np.ndarray = dataclasses.field(repr=False)
    _image: Callable[[int], str] = dataclasses.field(repr=False)
    _outputs: Outputs = dataclasses.field(repr=False)

    def by_class(self) -> list[dict]:
        """A row for each class of the data, in the order of the outputs: index, synset, name,
        images, top1 and top5 in percent, and the output that it was mistaken for most often."""
        return [self._of_class(int(index)) for index in np.unique(self._rows["right"])]

    def _of_class(self, index: int) -> dict:
        rows = self._rows[self._rows["right"] == index]
        wrong = rows["predicted"][(rows["predicted"] != index) & (rows["predicted"] >= 0)]
        taken_for = int(np.bincount(wrong).argmax()) if wrong.size else None
        label = self._outputs.labels[index]
        return {
            "index": index,
            "synset": label.synset,
            "name": label.name,
            "images": len(rows),
            "top1": counting.top1(rows),
            "top5": None if self.top5 is None else counting.top5(rows),
            "taken_for": None if taken_for is None else self._outputs.labels[taken_for].name,
        }

    def mistakes(self, count: int) -> list[dict]:
        """The wrong predictions that the network was surest of, at most `count`: the image, what
        it is and what it was taken for (index and name), with that one's probability, and how
        many outputs were greater than the right one."""
        rows = self._rows
        wrong = np.flatnonzero((rows["predicted"] != rows["right"]) & (rows["predicted"] >= 0))
        order = np.argsort(-rows["probability"][wrong], kind="stable")[:count]
        names = [label.name for label in self._outputs.labels]
        return [
            {
                "image": self._image(int(place)),
                "right": int(rows["right"][place]),
                "right_name": names[rows["right"][place]],
                "predicted": int(rows["predicted"][place]),
                "predicted_name": names[rows["predicted"][place]],
                "probability": float(rows["probability"][place]),
                "above": int(rows["above"][place]),
            }
            for place in wrong[order]
        ]

    def to_dict(self) -> dict:
        """All but the classes and the mistakes, as plain data."""
        shown = {
            field.name: getattr(self, field.name)
            for field in dataclasses.fields(self)
            if field.name[0] != "_" and field.name != "comparison"
        }
        comparison = self.comparison and dataclasses.asdict(self.comparison)
        return {**shown, "comparison": comparison, "versions": versions()}

    def to_row(self) -> dict:
        """The same in one flat row, the images that were left out as their number."""
        row = {**self.to_dict(), "skipped": len(self.skipped)}
        comparison, versions = row.pop("comparison") or {}, row.pop("versions")
        published = comparison.pop("published", {})
        row |= {f"published_{key}": published.get(key) for key in ("top1", "top5")}
        for key in ("checkpoint", "top1", "top5", "standard_error", "verdict"):
            row[f"difference_{key}" if "top" in key else key] = comparison.get(key)
        return row | versions

    def registry_row(self) -> str:
        """A line for `measured:` of the checkpoint in registry.yaml.

        Raises:
            ArgumentError: this was no measurement of the registry's checkpoint on whole ImageNet
                data.
        """
        obstacles = {
            "not the registry's checkpoint, loaded by its name alone": self.registered is None,
            f"a limit of {self.limit} images": self.limit is not None,
            f"{self.classes} of ImageNet's 1000 classes": self.classes < 1000,
            f"{self.broken} images with infinite or NaN outputs": self.broken > 0,
        }
        found = [what for what, is_there in obstacles.items() if is_there]
        if found:
            raise ArgumentError(
                "This is no measurement for the registry.",
                received="; ".join(found),
                accepted="the registry's own checkpoint on images of all of ImageNet's classes",
            )
        skipped = f", {len(self.skipped)} unreadable left out" if self.skipped else ""
        row = {
            "top1": round(self.top1, 3),
            "top5": round(self.top5, 3),
            "by": f"zoo {zoo.__version__}",
            "note": f"{self.images} images{skipped}, {self.form}, {self.dtype}, "
            f"TensorFlow {metadata.version('tensorflow')}",
        }
        return yaml.safe_dump([row], default_flow_style=None, sort_keys=False, width=200)

    def __str__(self) -> str:
        top5 = "" if self.top5 is None else f", top-5 {self.top5:.2f} %"
        return f"{self.model}: top-1 {self.top1:.2f} %{top5} of {self.images:,} images"


def versions() -> dict[str, str]:
    """Of what it was computed with."""
    installed = {name: metadata.version(name) for name in ("tensorflow", "keras")}
    return {"zoo": zoo.__version__, **installed}
