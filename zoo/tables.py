"""Flat rows as CSV files."""

from __future__ import annotations

import csv
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from zoo.atomic import replacing
from zoo.errors import ArgumentError


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
    with replacing(path) as (temporary,), temporary.open("w", newline="") as file:
        writer = csv.DictWriter(file, columns, restval="", lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    return Path(path)


def read_csv(path: str | os.PathLike) -> Sequence[dict[str, object]]:
    """The rows of such a file: numbers as int and float, truth as bool, empty fields as None.

    Raises:
        ArgumentError: it is none.
    """
    try:
        with Path(path).open(newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file, strict=True))
    except (UnicodeDecodeError, csv.Error) as error:
        raise ArgumentError("This is no CSV file.", received=f"{path}: {error}") from error
    if any(None in row or None in row.values() for row in rows):
        raise ArgumentError(
            "This is no CSV file: its lines have more or fewer fields than its first.",
            received=str(path),
        )
    return [{key: _value(text) for key, text in row.items()} for row in rows]


def _value(text: str) -> object:
    if text in ("", "True", "False"):
        return {"": None, "True": True, "False": False}[text]
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text
