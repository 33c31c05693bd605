"""Whether networks are the original's function: what `zoo validate` and the GPU check measured."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from readme.tables import grouped, named, section, table, wrapped
from zoo.tables import read_csv
from zoo.validation.results import Run, flat_rows

# Stages in the table: what they are, and against what.
_STAGES = {
    "outputs, TF1 graph": ("outputs", "tf1 graph"),
    "outputs, TF 1.15.5": ("outputs", "tensorflow 1.15.5"),
    "gradients": ("gradients", None),
    "training steps": ("training steps", None),
}


def validation(results: Path) -> str:
    """A table of all runs of `zoo validate`, and one for each GPU check."""
    checks = [
        _gpu_check(path, read_csv(path)) for path in sorted(results.glob("gpu_equivalence-*.csv"))
    ]
    return "\n".join(filter(None, [_runs(results), *checks]))


def _runs(results: Path) -> str:
    rows = []
    stems = {path.with_suffix("") for path in results.glob("validation-*.*")}
    for stem in sorted(stems):
        found = _validated(stem)
        if found:
            rows.append(_validation_row(stem, found))
    if not rows:
        return ""
    head = (
        "Measured by `zoo validate`: of each stage the difference, relative to the reference's "
        "largest value, that came nearest to what is allowed. Half precision is held against the "
        "TF1 graph in that precision, by root mean squares."
    )
    return f"{wrapped(head)}\n\n{table(rows)}"


def _validated(stem: Path) -> Sequence[Mapping]:
    """A row for each model and stage, from the CSV file or, where there is none, the JSON file."""
    csv, json = (stem.with_name(stem.name + suffix) for suffix in (".csv", ".json"))
    if csv.exists():
        return read_csv(csv)
    if json.exists():
        return [row for result in Run.read_json(json).results for row in flat_rows(result)]
    return []


def _validation_row(stem: Path, found: Sequence[Mapping]) -> dict[str, str]:
    fields, versions = named(stem)
    by_model: dict[str, list[str]] = {}
    for row in found:
        by_model.setdefault(row["model"], []).append(row["status"])
    same = [m for m, stages in by_model.items() if "failed" not in stages and "passed" in stages]
    columns = {
        "device": fields[0] if fields else found[0]["device"],
        **{key: str(found[0][key]) for key in ("form", "mode", "backend", "dtype")},
        "the same function": f"{len(same)} of {len(by_model)}",
    }
    for name, (stage, against) in _STAGES.items():
        columns[name] = _worst(
            row for row in found if row["stage"] == stage and against in (None, row["against"])
        )
    return {**columns, "with": versions}


def _worst(stages: Iterable[Mapping]) -> str:
    return _nearest([row for row in stages if row["status"] != "skipped" and row["compared"]])


def _nearest(rows: Sequence[Mapping]) -> str:
    """What came nearest to its tolerance; a value that is NaN or infinite is beyond any."""
    known = [row for row in rows if row["difference"] is not None]
    if any(_failed(row) for row in rows if row["difference"] is None):
        return "no number"
    if not any(row["difference"] for row in known):
        return "0" if known else ""
    worst = max(known, key=lambda row: row["difference"] / (row["tolerance"] or 1))
    return f"{worst['difference']:.1e} of {worst['tolerance']:.0e}"


def _failed(row: Mapping) -> bool:
    return row["status"] == "failed" if "status" in row else not row["passed"]


def _gpu_check(path: Path, rows: Sequence[Mapping]) -> str:
    """Forms on a GPU against TensorFlow 1.15.5: logits, and training steps where recorded."""
    shown = []
    for (form,), compared in grouped(rows, "form").items():
        columns = {"form": form}
        for name, is_one in _GPU_PARTS.items():
            of_part = [row for row in compared if is_one(row["what"]) and not row.get("skipped")]
            models = {row["model"] for row in of_part}
            failed = {row["model"] for row in of_part if not row["passed"]}
            columns[name] = f"{len(models - failed)} of {len(models)}" if models else ""
            columns[f"{name}, nearest to what is allowed"] = _nearest(of_part)
        shown.append(columns)
    fields, versions = named(path)
    head = (
        "Measured by [the GPU check](docs/gpu.md) against TensorFlow 1.15.5's recorded values, on "
        f"{', '.join(fields)}; {versions}"
    )
    return section(path, head, shown)


_GPU_PARTS = {
    "logits as recorded": lambda what: what == "logits",
    "training as recorded": lambda what: what != "logits",
}
