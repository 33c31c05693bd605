"""Rows of measurements as CSV files, whose names say on what they were measured."""

from __future__ import annotations

import csv
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from importlib import metadata
from pathlib import Path

from zoo.errors import ArgumentError


def result_file_name(kind: str, device: str, dtype: str = "float32") -> str:
    """KIND-DEVICE-DTYPE-tfVERSION-kerasVERSION.csv.

    Args:
        kind: "benchmark" for throughput, "startup" for time to start and to load.
        device: "cpu", or a GPU's name.
    """
    plain = re.sub(r"[^a-z0-9]+", "_", device.lower()).strip("_")
    tensorflow, keras = metadata.version("tensorflow"), metadata.version("keras")
    return f"{kind}-{plain}-{dtype}-tf{tensorflow}-keras{keras}.csv"


def device_name() -> str:
    """ "cpu", or the name of the first GPU that TensorFlow sees. Imports TensorFlow."""
    import tensorflow as tf

    gpus = tf.config.list_physical_devices("GPU")
    if not gpus:
        return "cpu"
    return tf.config.experimental.get_device_details(gpus[0]).get("device_name", "gpu")


def write_csv(path: str | os.PathLike, rows: Iterable[Mapping[str, object]]) -> Path:
    """Writes flat rows; complete under its final name, or not at all. None is an empty field.

    A row of a kind that the others are not (other keys) has the others' columns empty.

    Raises:
        ArgumentError: no rows.
    """
    rows = list(rows)
    if not rows:
        raise ArgumentError("There is nothing to write: no rows.")
    columns = list(dict.fromkeys(key for row in rows for key in row))
    path = Path(path)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with temporary.open("w", newline="") as file:
            writer = csv.DictWriter(file, columns, restval="", lineterminator="\n")
            writer.writeheader()
            writer.writerows(rows)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
    return path


def read_csv(path: str | os.PathLike) -> Sequence[dict[str, object]]:
    """The rows of such a file: numbers as int and float, truth as bool, empty fields as None."""
    with Path(path).open(newline="") as file:
        return [{key: _value(text) for key, text in row.items()} for row in csv.DictReader(file)]


def _value(text: str) -> object:
    if text in ("", "True", "False"):
        return {"": None, "True": True, "False": False}[text]
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text
