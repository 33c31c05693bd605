"""Images a second: what was measured, and what the TPU's compiler predicts, each by itself."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from statistics import median

from readme.tables import grouped, named, rate, ratio, section, table, wrapped
from zoo.tables import read_csv

# Networks of which the prediction is shown.
_PREDICTED = ("mobilenet_v1_1.0_224", "resnet_v1_50", "inception_v3", "vgg_16")
# Where there are more rows than these, only the networks named here have some.
_MANY = 12
_SHOWN = (
    "mobilenet_v1_1.0_224",
    "mobilenet_v2_1.0_224",
    "mobilenet_v3_large_1.0_224",
    "inception_v1",
    "inception_v3",
    "inception_resnet_v2",
    "resnet_v1_50",
    "resnet_v2_50",
    "nasnet_mobile",
    "nasnet_large",
    "vgg_16",
)


def speed(results: Path) -> str:
    """A table for each file of throughput, and of predictions."""
    shown = [
        of(path, read_csv(path))
        for pattern, of in _TABLES.items()
        for path in sorted(results.glob(pattern))
        if not _is_superseded(path)
    ]
    return "\n".join(filter(None, shown))


def _is_superseded(path: Path) -> bool:
    """What benchmark-*.csv told is in the newer forms-*.csv."""
    kind, device, dtype, _ = path.name.split("-", 3)
    return kind == "benchmark" and any(path.parent.glob(f"forms-{device}-{dtype}-*.csv"))


def _forms(path: Path, rows: Sequence[Mapping]) -> str:
    """zoo's fastest form and the fastest peer, for each network and batch size."""
    groups = grouped(rows, "model", "batch_size")
    own = list(groups)
    if len(groups) > _MANY:
        own = [key for model in _SHOWN for key in groups if key[0] == model]
    shown = [_forms_row(*key, groups[key]) for key in own]
    others = {key: forms for key, forms in groups.items() if key not in own}
    what = "Steps of training" if path.name.startswith("training") else "Inference"
    head = (
        f"{what}, images a second; ratios are of throughputs, with quartiles: of the loaded model "
        "to the TF1 Session, and of zoo's fastest form to the fastest peer. Measured on "
        f"{_circumstances(path, rows)}"
    )
    return section(path, head, shown) + _other_networks(others)


def _forms_row(model: str, batch: int, forms: Sequence[Mapping]) -> dict[str, str]:
    timed = {row["form"]: row for row in forms if _rate_of(row)}
    best, peer = _fastest(forms)
    return {
        "model": model,
        "batch": str(batch),
        "TF1 Session": _images(timed.get("session")),
        "loaded model": _images(timed.get("shim")),
        "to Session": ratio(timed.get("shim", {}), "over_session"),
        "`to_native`": _images(timed.get("native")),
        "zoo's fastest": _named_images(best),
        "fastest peer": _named_images(peer),
        "to peer": ratio(best, "over_best_peer") if best and peer else "",
    }


def _fastest(forms: Sequence[Mapping]) -> tuple[Mapping | None, Mapping | None]:
    """zoo's fastest form and the fastest peer."""
    timed = [row for row in forms if _rate_of(row)]
    own = [row for row in timed if not row["is_peer"] and row["form"] != "session"]
    peers = [row for row in timed if row["is_peer"]]
    best, peer = (max(some, key=_rate_of, default=None) for some in (own, peers))
    return best, peer


def _other_networks(groups: Mapping[tuple, Sequence[Mapping]]) -> str:
    """The ratios of all networks that have no row of their own."""
    shown = []
    for batch in sorted({batch for _, batch in groups}):
        networks = [forms for (_, size), forms in groups.items() if size == batch]
        shims = [row for forms in networks for row in forms if row["form"] == "shim"]
        fastest = [_fastest(forms)[0] or {} for forms in networks]
        columns = {
            "batch": str(batch),
            "networks": str(len(networks)),
            "to Session": _spread(row.get("over_session") for row in shims),
            "to peer": _spread(row.get("over_best_peer") for row in fastest),
        }
        shown.append(columns)
    if not shown:
        return ""
    count = len({model for model, _ in groups})
    head = f"Ratios of the {count} other networks, as their median, lowest and highest:"
    return f"\n{wrapped(head)}\n\n{table(shown)}"


def _spread(ratios: Iterable[float | None]) -> str:
    known = [value for value in ratios if value is not None]
    spread = "{:.2f} ({:.2f} to {:.2f})"
    return spread.format(median(known), min(known), max(known)) if known else ""


def _gpu(path: Path, rows: Sequence[Mapping]) -> str:
    """Networks at the batch size that zoo's fastest form likes best, from the GPU check."""
    shown = []
    for (model, task), settings in grouped(rows, "model", "task").items():
        timed = [row for row in settings if row.get("samples_per_sec") and not row["is_peer"]]
        if timed:
            batch = max(timed, key=_rate_of)["batch_size"]
            forms = [row for row in settings if row["batch_size"] == batch]
            by_form = {row["form"]: row for row in forms if row.get("samples_per_sec")}
            columns = _forms_row(model, batch, forms)
            zoos = {
                "TF1 graph on JAX": _images(by_form.get("jax program")),
                "native on JAX": _images(by_form.get("jax native")),
                "native on PyTorch": _images(by_form.get("torch native")),
            }
            shown.append({"model": model, "work": task, "batch": str(batch), **zoos, **columns})
    head = (
        "Images a second at the best batch; the ratio is of zoo's fastest form to the fastest "
        "peer, with quartiles. Measured by [the GPU check](docs/gpu.md) on "
        f"{_circumstances(path, rows)}"
    )
    return section(path, head, shown)


def _benchmark(path: Path, rows: Sequence[Mapping]) -> str:
    """The loaded model against the TF1 Session and its twin in keras.applications."""
    shown = [
        {
            "model": row["model"],
            "batch": str(row["batch_size"]),
            "TF1 Session": rate(row.get("session_samples_per_sec")),
            "loaded model": rate(row.get("function_samples_per_sec")),
            "eager": rate(row.get("eager_samples_per_sec")),
            "keras.applications": rate(row.get("keras_samples_per_sec")),
            "to Session": ratio(row, "function_over_session"),
            "to keras.applications": ratio(row, "function_over_keras"),
        }
        for row in rows
    ]
    head = "The loaded model and its twin in keras.applications, images a second; ratios of the "
    head += "loaded model's throughput, with quartiles"
    return section(path, f"{head}. Measured on {_circumstances(path, rows)}", shown)


def _tpu_compiled(path: Path, rows: Sequence[Mapping]) -> str:
    """What the TPU's compiler took, and what it expects; nothing of it ran."""
    shown = []
    keys = ("step", "dtype", "chip", "chips", "form")
    for (step, dtype, chip, chips, form), programs in grouped(rows, *keys).items():
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
            images = rate(row["predicted_images_per_sec"]) if row else ""
            columns[model] = f"{images} ({row['batch']})" if images else ""
        shown.append(columns)
    _, versions = named(path)
    head = (
        "Programs that the TPU's compiler accepted, and images a second that it predicts (of a "
        "batch): [compiler estimates](docs/tpu.md), about +-25 %. **Predicted, not measured: no "
        f"TPU was there**; {versions}"
    )
    return section(path, head, shown)


def _tpu_run(path: Path, rows: Sequence[Mapping]) -> str:
    """What ran on a TPU."""
    shown = [
        {
            **{key: str(row[key]) for key in ("model", "form", "step", "dtype")},
            "chips": f"{row['chips']} x {row['chip']}",
            "batch": str(row["batch"]),
            "images a second": rate(row["measured_images_per_sec"]),
        }
        for row in rows
        if row.get("measured_images_per_sec")
    ]
    return section(path, f"Measured on TPUs; {named(path)[1]}", shown)


_TABLES: dict[str, Callable[[Path, Sequence[Mapping]], str]] = {
    "forms-*.csv": _forms,
    "training-*.csv": _forms,
    "gpu_throughput-*.csv": _gpu,
    "benchmark-*.csv": _benchmark,
    "tpu-run-*.csv": _tpu_run,
    "tpu-compile-*.csv": _tpu_compiled,
}


def _circumstances(path: Path, rows: Sequence[Mapping]) -> str:
    fields, versions = named(path)
    cores = {row.get("threads") or row.get("cores") for row in rows} - {None}
    if len(cores) == 1:
        fields.insert(1, f"{cores.pop()} cores")
    return "; ".join([", ".join(fields), versions])


def _rate_of(row: Mapping) -> float | None:
    return row.get("samples_per_sec")


def _images(row: Mapping | None) -> str:
    return rate(_rate_of(row)) if row else ""


def _named_images(row: Mapping | None) -> str:
    return f"{_images(row)} ({row['form']})" if row else ""
