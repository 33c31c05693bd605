"""What a validation found, as plain data: rows in stages, stages in a result, results in a run.

Nothing here imports TensorFlow: runs are read and written wherever they are shown.
"""

from __future__ import annotations

import datetime
import json
import math
import os
import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from importlib import metadata
from pathlib import Path

from zoo.atomic import replacing
from zoo.errors import ArgumentError
from zoo.tables import write_csv

# What a stage compares with.
TF1_GRAPH = "tf1 graph"  # the original function in a tf.compat.v1.Session, in the same process
TENSORFLOW_1 = "tensorflow 1.15.5"  # recorded values
ITSELF = "itself"  # the same model before

# The stages, in the order of TensorFlow's guide on the correctness of migrated models. The last
# one is of images on their way in: where it alone fails, the network is the original's.
STAGES = (
    "variables",
    "initial values",
    "outputs",
    "gradients",
    "training steps",
    "saved and reloaded",
    "preprocessing",
)
PREPROCESSING = STAGES[-1]

# The row of what broke off before there was anything to compare.
RUNS = "it runs"

# The packages whose versions a result may depend on.
PACKAGES = ("zoo", "tensorflow", "keras", "tf-slim", "numpy")


@dataclass(frozen=True)
class Row:
    """One thing that was compared.

    Attributes:
        name: of the end point, the variable, or what else the stage compares.
        shape: of the tensor; () of a number.
        difference: the largest absolute difference over the scale of the reference (as a rule
            its largest absolute value), or of outputs in half precision the root mean square of
            both; None where there is none to give: a value is NaN or
            infinite, shapes differ, or it is no matter of numbers.
        tolerance: how large it may be; None where it is no matter of numbers.
        passed: the verdict.
        note: what else is to be said, such as what was expected and what was found.
    """

    name: str
    shape: tuple[int, ...]
    difference: float | None
    tolerance: float | None
    passed: bool
    note: str = ""

    @classmethod
    def of(cls, name, shape, difference: float, tolerance: float, note: str = "") -> Row:
        """A row that passes if the difference is a number, and no more than the tolerance."""
        finite = math.isfinite(difference)
        # As many digits as anybody reads.
        shown = float(f"{difference:.3g}") if finite else None
        passed = finite and bool(difference <= tolerance)
        note = note or ("" if finite else "not a finite number")
        return cls(name, tuple(map(int, shape)), shown, tolerance, passed, note)


@dataclass(frozen=True)
class Stage:
    """One of the `STAGES`, against one reference.

    Attributes:
        name: of `STAGES`.
        against: `TF1_GRAPH`, `TENSORFLOW_1` or `ITSELF`.
        status: "passed", "failed" or "skipped".
        reason: why it was skipped, or what is special about how it was done.
        seconds: that it took, without what stages share.
        rows: in the order of the network.
    """

    name: str
    against: str
    status: str
    reason: str = ""
    seconds: float = 0.0
    rows: tuple[Row, ...] = ()

    @classmethod
    def of(cls, name, against, rows, *, reason: str = "", seconds: float = 0.0) -> Stage:
        """A stage that passes if all of its rows do."""
        rows = tuple(rows)
        status = "passed" if all(row.passed for row in rows) else "failed"
        return cls(name, against, status, reason, round(seconds, 3), rows)

    @classmethod
    def skipped(cls, name: str, against: str, reason: str) -> Stage:
        return cls(name, against, "skipped", reason)

    @property
    def worst(self) -> Row | None:
        """The row that is furthest apart, by its tolerance; a failed one before all others."""
        return max(self.rows, key=_badness, default=None)

    @classmethod
    def from_dict(cls, data: dict) -> Stage:
        rows = (Row(**{**row, "shape": tuple(row["shape"])}) for row in data["rows"])
        return cls(**{**data, "rows": tuple(rows)})


@dataclass(frozen=True)
class Setting:
    """How a model was run.

    Attributes:
        device: "cpu", "gpu" or "tpu".
        form: "shim" for the TF1 code in Keras, "native" for the model of `zoo.to_native`.
        mode: "eager", "function" or "xla".
        dtype: computed in.
        backend: of Keras: "tensorflow", "jax" or "torch".
        batch: images in a batch.
        image_shape: (height, width, channels), with frames before them for a video network.
        weights: "rule" for the recorded networks' weights, which are a function of names and
            shapes; otherwise the checkpoint.
    """

    device: str = "cpu"
    form: str = "shim"
    mode: str = "function"
    dtype: str = "float32"
    backend: str = "tensorflow"
    batch: int = 2
    image_shape: tuple[int, ...] = ()
    weights: str = "rule"


@dataclass(frozen=True)
class Result:
    """All stages of one model in one setting.

    Attributes:
        model: registered name; the layer's, of a network that is not registered.
        golden: name of the recorded TensorFlow 1.15.5 values; None without any.
        setting: how it was run.
        versions: package -> version.
        seconds: in all.
        stages: in order.
    """

    model: str
    golden: str | None
    setting: Setting
    versions: dict[str, str]
    stages: tuple[Stage, ...] = ()
    seconds: float = 0.0

    @property
    def passed(self) -> bool:
        """No stage failed, and not all were skipped."""
        statuses = {stage.status for stage in self.stages}
        return "failed" not in statuses and "passed" in statuses

    @property
    def first_divergence(self) -> dict | None:
        """The first row that failed, as a dict with its `stage` and `against`; those of
        preprocessing come after all of the network's."""
        ordered = sorted(self.stages, key=lambda stage: stage.name == PREPROCESSING)
        for stage in ordered:
            for row in stage.rows:
                if not row.passed:
                    return {"stage": stage.name, "against": stage.against, **asdict(row)}
        return None

    def to_dict(self) -> dict:
        """Plain data, for JSON; with `first_divergence` and `passed`."""
        return {
            **asdict(self),
            "first_divergence": self.first_divergence,
            "passed": self.passed,
        }

    @classmethod
    def from_dict(cls, data: dict) -> Result:
        own = {key: data[key] for key in ("model", "golden", "versions", "seconds")}
        setting = data["setting"]
        return cls(
            **own,
            setting=Setting(**{**setting, "image_shape": tuple(setting["image_shape"])}),
            stages=tuple(Stage.from_dict(stage) for stage in data["stages"]),
        )

    def __str__(self) -> str:
        setting = self.setting
        done = [stage for stage in self.stages if stage.status != "skipped"]
        rows = sum(len(stage.rows) for stage in done)
        diverging = self.first_divergence
        verdict = "the original" if diverging is None else "not the original"
        if diverging is not None and diverging["name"] == RUNS:
            verdict = "does not run so"
        text = (
            f"{self.model}: {verdict}, by {rows} comparisons in {len(done)} stages "
            f"({setting.form}, {setting.mode}, {setting.backend}, {setting.dtype}, "
            f"{setting.device})."
        )
        if diverging is not None:
            text += f" First divergence: {describe(diverging)}."
        return text


@dataclass(frozen=True)
class Run:
    """What one call of `zoo validate` found.

    Attributes:
        created: date and time, UTC.
        command: as it was typed.
        versions: package -> version.
        results: one of each model.
    """

    created: str
    command: str
    versions: dict[str, str] = field(default_factory=dict)
    results: tuple[Result, ...] = ()

    @classmethod
    def begin(cls, command: str, results: Sequence[Result] = ()) -> Run:
        now = datetime.datetime.now(datetime.timezone.utc)
        return cls(now.strftime("%Y-%m-%dT%H:%M:%SZ"), command, versions(), tuple(results))

    def adding(self, result: Result) -> Run:
        """The run with one more result, which takes the place of an older one of its model."""
        others = [one for one in self.results if one.model != result.model]
        return replace(self, results=(*others, result))

    @property
    def passed(self) -> bool:
        return bool(self.results) and all(result.passed for result in self.results)

    def to_dict(self) -> dict:
        own = {"created": self.created, "command": self.command, "versions": self.versions}
        return {**own, "results": [result.to_dict() for result in self.results]}

    @classmethod
    def from_dict(cls, data: dict) -> Run:
        results = tuple(Result.from_dict(result) for result in data["results"])
        return cls(data["created"], data["command"], data["versions"], results)

    def write_json(self, path: str | os.PathLike) -> Path:
        """Writes the whole run; complete under its final name, or not at all."""
        text = json.dumps(self.to_dict(), allow_nan=False, separators=(",", ":"))
        with replacing(path) as (temporary,):
            # A line for each stage: files that can be looked at, and compared.
            temporary.write_text(text.replace('{"name":', '\n{"name":') + "\n", "utf-8")
        return Path(path)

    @classmethod
    def read_json(cls, path: str | os.PathLike) -> Run:
        """The run in a file that `write_json` wrote.

        Raises:
            ArgumentError: the file holds no such run.
        """
        try:
            return cls.from_dict(json.loads(Path(path).read_text("utf-8")))
        except (ValueError, KeyError, TypeError) as error:
            raise ArgumentError(
                "This file holds no run of `zoo validate`.",
                received=f"{path}: {type(error).__name__}: {error}",
                next_step="give another --out, or remove the file.",
            ) from error

    def write_csv(self, path: str | os.PathLike) -> Path:
        """Writes one flat row for each model and stage."""
        return write_csv(path, [row for result in self.results for row in flat_rows(result)])


def flat_rows(result: Result) -> list[dict]:
    """One row for each stage, for CSV: the model, its setting, and the stage's worst."""
    setting = asdict(result.setting)
    setting["image_shape"] = "x".join(map(str, result.setting.image_shape))
    rows = []
    for stage in result.stages:
        worst = stage.worst
        rows.append(
            {
                "model": result.model,
                **setting,
                "stage": stage.name,
                "against": stage.against,
                "status": stage.status,
                "compared": len(stage.rows),
                "failed": sum(not row.passed for row in stage.rows),
                "worst": worst and worst.name,
                "difference": worst and worst.difference,
                "tolerance": worst and worst.tolerance,
                "seconds": stage.seconds,
                "reason": stage.reason or None,
            }
        )
    return rows


def describe(row: dict) -> str:
    """A divergence in words, as `Result.first_divergence` gives it."""
    what = f"{row['name']} ({row['stage']}, against {row['against']})"
    if row["difference"] is not None:
        what += f" by {row['difference']:.1e} where {row['tolerance']:.0e} is allowed"
    return what + (f": {row['note']}" if row["note"] else "")


def file_name(setting: Setting, suffix: str, device_name: str | None = None) -> str:
    """validation-DEVICE-FORM-BACKEND-DTYPE-tfVERSION-kerasVERSION + suffix.

    Args:
        setting: of all results in the file; a mode other than "function" is part of the form.
        suffix: ".json", ".csv" or ".html".
        device_name: a GPU's own name, where it is known.
    """
    device = re.sub(r"[^a-z0-9]+", "_", (device_name or setting.device).lower()).strip("_")
    form = setting.form if setting.mode == "function" else f"{setting.form}_{setting.mode}"
    found = versions()
    return (
        f"validation-{device}-{form}-{setting.backend}-{setting.dtype}"
        f"-tf{found['tensorflow']}-keras{found['keras']}{suffix}"
    )


def versions(*others: str) -> dict[str, str]:
    """Installed versions of what a result may depend on, and of other packages."""
    found = {}
    for package in (*PACKAGES, *others):
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            found[package] = "none"
    return found


def _badness(row: Row) -> tuple[bool, float]:
    if row.difference is None or not row.tolerance:
        return not row.passed, 0.0 if row.passed else math.inf
    return not row.passed, row.difference / row.tolerance
