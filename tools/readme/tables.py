"""Tables in Markdown of the rows in results/, and what a file's name says of them."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

_PACKAGES = {"tf": "TensorFlow", "keras": "Keras", "jax": "JAX", "torch": "PyTorch"}
_WORDS = {"cpu": "CPU", "nhwc": "channels last", "tf32": "float32 with TF32 allowed"}


def table(rows: Sequence[Mapping[str, str]]) -> str:
    """A table in Markdown; a column that is empty throughout is left out."""
    names = [name for name in rows[0] if any(row[name] for row in rows)]
    lines = [" | ".join(names), "|".join(["---"] * len(names))]
    lines = [f"| {lines[0]} |", f"|{lines[1]}|"]
    for row in rows:
        cells = (row[name].replace("|", "\\|") for name in names)
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def section(path: Path, head: str, rows: Sequence[Mapping[str, str]]) -> str:
    """A table under its heading, which links to the whole file; nothing without rows."""
    if not rows:
        return ""
    head = f"{head} ([all of it](results/{path.name})):"
    return f"{wrapped(head)}\n\n{table(rows)}"


def wrapped(text: str) -> str:
    return textwrap.fill(text, 99, break_long_words=False, break_on_hyphens=False)


def named(path: Path) -> tuple[list[str], str]:
    """What a file's name says: device, dtype and the like, and versions in words."""
    fields, versions = [], []
    for part in re.sub(r"\.(csv|json)$", "", path.name).split("-")[1:]:
        package = re.fullmatch(r"([a-z_]+?)(\d+\.\d.*)", part)
        if package:
            versions.append(f"{_PACKAGES.get(package[1], package[1])} {package[2]}")
        else:
            fields.append(_WORDS.get(part) or _spoken(part))
    return fields, ", ".join(versions)


def _spoken(part: str) -> str:
    words = part.replace("_", " ")
    return words.upper() if words.startswith("nvidia") else words


def grouped(rows: Iterable[Mapping], *keys: str) -> dict[tuple, list[Mapping]]:
    """Rows of the same values under these keys, together, in the order of the first of them."""
    groups: dict[tuple, list[Mapping]] = {}
    for row in rows:
        groups.setdefault(tuple(row[key] for key in keys), []).append(row)
    return groups


def rate(value: float | None) -> str:
    """Images a second."""
    return "" if value is None else f"{value:.1f}" if value < 1000 else f"{value:,.0f}"


def ratio(row: Mapping, name: str) -> str:
    """A ratio with its quartiles."""
    values = [row.get(name + part) for part in ("", "_low", "_high")]
    return "{:.2f} ({:.2f} to {:.2f})".format(*values) if None not in values else ""
