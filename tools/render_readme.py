"""Writes README.md's tables: models from registry.yaml, the others from the files in results/.

`--check` only tells if they are current. A table is there for each file that is there, and says on
what its figures were taken. What was measured, what a compiler predicts and what was published
are never in one table.
"""

from __future__ import annotations

import re
import sys
import textwrap
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from statistics import median

from zoo import registry
from zoo.benchmarks.results import read_csv
from zoo.validation.results import Run, flat_rows

ROOT = Path(__file__).parent.parent
README, RESULTS = ROOT / "README.md", ROOT / "results"

_PACKAGES = {"tf": "TensorFlow", "keras": "Keras", "jax": "JAX", "torch": "PyTorch"}
_DEVICES = {"cpu": "CPU", "nvidia_h100": "NVIDIA H100", "nvidia_h200": "NVIDIA H200"}
# Stages of a validation in its table: what they are, and against what.
_STAGES = {
    "outputs, TF1 graph": ("outputs", "tf1 graph"),
    "outputs, TF 1.15.5": ("outputs", "tensorflow 1.15.5"),
    "gradients": ("gradients", None),
    "training steps": ("training steps", None),
}


def rendered(text: str, results: Path = RESULTS) -> str:
    """README.md's text with today's tables.

    Raises:
        ValueError: the place of a table is not marked in the text.
    """
    sections = {"models": models(), "validation": validation(results), "speed": speed(results)}
    for name, content in sections.items():
        begin, end = f"<!-- {name} -->\n", f"<!-- /{name} -->\n"
        if text.count(begin) != 1 or text.count(end) != 1:
            raise ValueError(f"README.md has no place for {name}: {begin.strip()} {end.strip()}")
        before, _, rest = text.partition(begin)
        text = before + begin + content + end + rest.partition(end)[2]
    return text


def models() -> str:
    """The table of models: sizes, and the accuracy that was published."""
    rows = []
    for name in registry.list_models():
        spec = registry.info(name)
        published = next(
            (c.published for c in spec.checkpoints.values() if c.published is not None), None
        )
        accuracy = (published.top1, published.top5) if published else (None, None)
        rows.append(
            {
                "model": name,
                "input": (f"{spec.frames} frames of " if spec.frames else "")
                + f"{spec.input_size}",
                "classes": f"{spec.num_classes}",
                "parameters": f"{spec.parameters / 1e6:.1f} M",
                "top-1": f"{accuracy[0]:.1f}" if accuracy[0] else "",
                "top-5": f"{accuracy[1]:.1f}" if accuracy[1] else "",
                "checkpoint": ", ".join(spec.checkpoints) or "none published",
            }
        )
    return table(rows)


def validation(results: Path) -> str:
    """What `zoo validate` measured: a row for each run."""
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
        "largest value, that came nearest to what is allowed."
    )
    return f"{_wrapped(head)}\n\n{table(rows)}"


def _validated(stem: Path) -> Sequence[Mapping]:
    """A row for each model and stage, from the CSV file or, where there is none, the JSON file."""
    csv, json = (stem.with_name(stem.name + suffix) for suffix in (".csv", ".json"))
    if csv.exists():
        return read_csv(csv)
    if json.exists():
        return [row for result in Run.read_json(json).results for row in flat_rows(result)]
    return []


def _validation_row(stem: Path, found: Sequence[Mapping]) -> dict[str, str]:
    fields, versions = _named(stem)
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
    """What came nearest to its tolerance; a value that is NaN or infinite is beyond any."""
    compared = [row for row in stages if row["status"] != "skipped" and row["compared"]]
    if any(row["status"] == "failed" and row["difference"] is None for row in compared):
        return "no number"
    known = [row for row in compared if row["difference"] is not None]
    if not any(row["difference"] for row in known):
        return "0" if known else ""
    worst = max(known, key=lambda row: row["difference"] / (row["tolerance"] or 1))
    return f"{worst['difference']:.1e} of {worst['tolerance']:.0e}"


def speed(results: Path) -> str:
    """What `zoo bench` measured, and what the TPU's compiler predicts, each under its own name."""
    shown = [
        of(path, read_csv(path))
        for pattern, of in _SPEED.items()
        for path in sorted(results.glob(pattern))
    ]
    return "\n".join(filter(None, shown))


def _forms(path: Path, rows: Sequence[Mapping]) -> str:
    """zoo's fastest form and the fastest peer, for each network and batch size."""
    groups = _grouped(rows, "model", "batch_size")
    compared = {key: forms for key, forms in groups.items() if len(groups) <= _MANY or _all(forms)}
    others = [forms for key, forms in groups.items() if key not in compared]
    shown = [_forms_row(model, batch, forms) for (model, batch), forms in compared.items()]
    what = "Steps of training" if path.name.startswith("training") else "Inference"
    head = (
        f"{what}, images a second; ratios are of throughputs, with quartiles: of the loaded model "
        "to the TF1 Session, and of zoo's fastest form to the fastest peer. Measured on "
        f"{_circumstances(path, rows)}"
    )
    return _section(path, head, shown) + _other_networks(others)


def _all(forms: Sequence[Mapping]) -> bool:
    """Whether a network was held against peers other than its twin in keras.applications."""
    return any(row["is_peer"] and row["form"] != "keras" and _rate_of(row) for row in forms)


def _forms_row(model: str, batch: int, forms: Sequence[Mapping]) -> dict[str, str]:
    timed = {row["form"]: row for row in forms if _rate_of(row)}
    own = [row for row in timed.values() if not row["is_peer"] and row["form"] != "session"]
    peers = [row for row in timed.values() if row["is_peer"]]
    best, peer = (max(some, key=_rate_of, default=None) for some in (own, peers))
    return {
        "model": model,
        "batch": str(batch),
        "TF1 Session": _images(timed.get("session")),
        "loaded model": _images(timed.get("shim")),
        "to Session": _ratio(timed.get("shim", {}), "over_session"),
        "`to_native`": _images(timed.get("native")),
        "zoo's fastest": _named_images(best),
        "fastest peer": _named_images(peer),
        "to peer": _ratio(best, "over_best_peer") if best and peer else "",
    }


def _other_networks(groups: Sequence[Sequence[Mapping]]) -> str:
    """The ratio to the Session, of all networks that have no row of their own."""
    ratios = [
        row["over_session"]
        for forms in groups
        for row in forms
        if row["form"] == "shim" and row.get("over_session")
    ]
    if not ratios:
        return ""
    networks = len({forms[0]["model"] for forms in groups})
    text = (
        f"Of {networks} more networks the loaded model has {median(ratios):.2f} times the "
        f"Session's throughput, {min(ratios):.2f} to {max(ratios):.2f}."
    )
    return f"\n{_wrapped(text)}\n"


def _benchmark(path: Path, rows: Sequence[Mapping]) -> str:
    """The loaded model against the TF1 Session and its twin in keras.applications."""
    shown = [
        {
            "model": row["model"],
            "batch": str(row["batch_size"]),
            "TF1 Session": _rate(row.get("session_samples_per_sec")),
            "loaded model": _rate(row.get("function_samples_per_sec")),
            "eager": _rate(row.get("eager_samples_per_sec")),
            "keras.applications": _rate(row.get("keras_samples_per_sec")),
            "to Session": _ratio(row, "function_over_session"),
            "to keras.applications": _ratio(row, "function_over_keras"),
        }
        for row in rows
    ]
    head = "The loaded model and its twin in keras.applications, images a second; ratios of the "
    head += "loaded model's throughput, with quartiles"
    return _section(path, f"{head}. Measured on {_circumstances(path, rows)}", shown)


def _tpu_compiled(path: Path, rows: Sequence[Mapping]) -> str:
    """What the TPU's compiler took, and what it expects; nothing of it ran."""
    shown = []
    keys = ("step", "dtype", "chip", "chips", "form")
    for (step, dtype, chip, chips, form), programs in _grouped(rows, *keys).items():
        accepted = [row for row in programs if row["accepted"]]
        rated = [row for row in accepted if row.get("predicted_images_per_sec")]
        # Of several batches the one of the most images a second.
        rated.sort(key=lambda row: row["predicted_images_per_sec"])
        predicted = {row["model"]: row for row in rated}
        columns = {
            "step": step,
            "dtype": dtype,
            "chips": f"{chips} x {chip}",
            "form": form,
            "accepted": f"{len(accepted)} of {len(programs)}",
        }
        for model in _PREDICTED:
            row = predicted.get(model)
            rate = _rate(row["predicted_images_per_sec"]) if row else ""
            columns[model] = f"{rate} ({row['batch']})" if rate else ""
        shown.append(columns)
    _, versions = _named(path)
    head = (
        "Programs that the TPU's compiler accepted, and images a second that it predicts (of a "
        "batch): [compiler estimates](docs/tpu.md), about +-25 %. **Predicted, not measured: no "
        f"TPU was there**; {versions}"
    )
    return _section(path, head, shown)


def _tpu_run(path: Path, rows: Sequence[Mapping]) -> str:
    """What ran on a TPU."""
    shown = [
        {
            **{key: str(row[key]) for key in ("model", "form", "step", "dtype")},
            "chips": f"{row['chips']} x {row['chip']}",
            "batch": str(row["batch"]),
            "images a second": _rate(row["measured_images_per_sec"]),
        }
        for row in rows
        if row.get("measured_images_per_sec")
    ]
    return _section(path, f"Measured on TPUs; {_named(path)[1]}", shown)


# Networks of which the prediction is shown.
_PREDICTED = ("mobilenet_v1_1.0_224", "resnet_v1_50", "inception_v3", "vgg_16")
# Rows of a table; of more networks only those that were held against all peers have some.
_MANY = 12
_SPEED: dict[str, Callable[[Path, Sequence[Mapping]], str]] = {
    "forms-*.csv": _forms,
    "training-*.csv": _forms,
    "benchmark-*.csv": _benchmark,
    "tpu-run-*.csv": _tpu_run,
    "tpu-compile-*.csv": _tpu_compiled,
}


def _section(path: Path, head: str, rows: Sequence[Mapping[str, str]]) -> str:
    if not rows:
        return ""
    head = f"{head} ([all of it](results/{path.name})):"
    return f"{_wrapped(head)}\n\n{table(rows)}"


def _wrapped(text: str) -> str:
    return textwrap.fill(text, 99, break_long_words=False, break_on_hyphens=False)


def _circumstances(path: Path, rows: Sequence[Mapping]) -> str:
    fields, versions = _named(path)
    cores = {row.get("threads") or row.get("cores") for row in rows} - {None}
    if len(cores) == 1:
        fields.insert(1, f"{cores.pop()} cores")
    return "; ".join([", ".join(fields), versions])


def _named(path: Path) -> tuple[list[str], str]:
    """What a file's name says: device, dtype and the like, and versions in words."""
    fields, versions = [], []
    for part in path.name.removesuffix(".csv").split("-")[1:]:
        package = re.fullmatch(r"([a-z_]+?)(\d+\.\d.*)", part)
        if package:
            versions.append(f"{_PACKAGES.get(package[1], package[1])} {package[2]}")
        else:
            fields.append(_DEVICES.get(part) or part.replace("_", " "))
    return fields, ", ".join(versions)


def _grouped(rows: Iterable[Mapping], *keys: str) -> dict[tuple, list[Mapping]]:
    groups: dict[tuple, list[Mapping]] = {}
    for row in rows:
        groups.setdefault(tuple(row[key] for key in keys), []).append(row)
    return groups


def _rate_of(row: Mapping) -> float | None:
    return row["samples_per_sec"]


def _images(row: Mapping | None) -> str:
    return _rate(_rate_of(row)) if row else ""


def _named_images(row: Mapping | None) -> str:
    return f"{_images(row)} ({row['form']})" if row else ""


def _rate(value: float | None) -> str:
    return "" if value is None else f"{value:.1f}" if value < 1000 else f"{value:,.0f}"


def _ratio(row: Mapping, name: str) -> str:
    """A ratio with its quartiles."""
    values = [row.get(name + part) for part in ("", "_low", "_high")]
    return "{:.2f} ({:.2f} to {:.2f})".format(*values) if None not in values else ""


def table(rows: Sequence[Mapping[str, str]]) -> str:
    """A table in Markdown; a column that is empty throughout is left out."""
    names = [name for name in rows[0] if any(row[name] for row in rows)]
    lines = [" | ".join(names), "|".join(["---"] * len(names))]
    lines = [f"| {lines[0]} |", f"|{lines[1]}|"]
    for row in rows:
        cells = (row[name].replace("|", "\\|") for name in names)
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def main() -> int:
    text = README.read_text(encoding="utf-8")
    if "--check" in sys.argv[1:]:
        return int(rendered(text) != text)
    README.write_text(rendered(text), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
