"""What the commands write to stdout: tables, facts and JSON.

On a terminal tables have aligned columns and a header; in a pipe there is one line of
tab-separated fields for each row and nothing else.
"""

from __future__ import annotations

import json
import math
import os
import sys
from collections.abc import Iterable, Sequence

import typer

NOTHING = "-"


def is_terminal() -> bool:
    return sys.stdout.isatty()


def echo(text: str = "") -> None:
    print(printable(text))


def emphasize(text: str, color: str | None = None) -> str:
    """Bold, where the output is a terminal that shows it (https://no-color.org)."""
    plain = not is_terminal() or os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb"
    return text if plain else typer.style(text, fg=color, bold=True)


def printable(text: str, keep_lines: bool = False) -> str:
    """The text with control characters escaped.

    Names come from files that anybody may have made: they may not steer the terminal, nor add
    lines or columns.
    """
    kept = "\n" if keep_lines else ""
    return "".join(
        char if char.isprintable() or char in kept else char.encode("unicode_escape").decode()
        for char in text
    )


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Rows of a table; the columns' names are shown on a terminal alone."""
    cells = [[printable(cell) for cell in row] for row in rows]
    if not is_terminal():
        for row in cells:
            print("\t".join(row))
        return
    widths = [max(map(len, column)) for column in zip(header, *cells, strict=True)]
    print(emphasize(_aligned(header, widths)))
    for row in cells:
        print(_aligned(row, widths))


def facts(pairs: Iterable[tuple[str, str]], indent: str = "  ") -> None:
    """Lines of a name and its value, aligned; the same on a terminal and in a pipe."""
    pairs = [(name, printable(value)) for name, value in pairs]
    width = max((len(name) for name, _ in pairs), default=0)
    for name, value in pairs:
        print(f"{indent}{name:<{width}}  {value}")


def print_json(value: object) -> None:
    """JSON (RFC 8259), which knows no infinity and no NaN: they become null."""
    print(json.dumps(_plain(value), indent=2, allow_nan=False))


def _plain(value: object) -> object:
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def _aligned(row: Sequence[str], widths: Sequence[int]) -> str:
    return "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
