"""Differences in the order of the network as inline SVG, on a logarithmic scale.

The picture is stretched to the width of the page, which lines and dots do not notice
(`vector-effect`); what is to be read is HTML beside it, and stays as large on a phone.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

from zoo.validation.page import wording
from zoo.validation.results import Row

_WIDTH, _HEIGHT = 1000, 100
# Decades that are shown below the largest value, or else two below the least tolerance; what is
# smaller is drawn at the bottom.
_DECADES, _BELOW_TOLERANCE = 9, 2
_LONGEST_NAME = 90
# Columns that leave room for large dots.
_FEW = 60


class Column(NamedTuple):
    """What is drawn at one place: a row, the worst of `rows` neighbours where there are many."""

    row: Row
    rows: int


def used(row: Row) -> float:
    """The part of the tolerance that a row's difference takes up; infinite where it failed and
    there is no such part."""
    if row.difference is None or not math.isfinite(row.difference):
        return 0.0 if row.passed else math.inf
    if not row.tolerance:
        return 0.0 if row.passed else math.inf
    return row.difference / row.tolerance


def worst(rows: Sequence[Row]) -> Row:
    """The row that is furthest from being right: a failed one before all others."""
    return max(rows, key=lambda row: (not row.passed, used(row)))


def is_drawn(row: Row) -> bool:
    """Whether a row has a place in a plot: names and counts that agree have none."""
    return row.difference is not None or not row.passed


def told(row: Row, longest: int | None = None) -> str:
    """A row in a line of HTML text."""
    name = wording.text(row.name, longest)
    if row.difference is None or not math.isfinite(row.difference):
        found = wording.text(row.note, 200) or ("agrees" if row.passed else "not a finite number")
        return f"{name}: {found}"
    allowed = "" if row.tolerance is None else f" of {wording.figure(row.tolerance)} allowed"
    note = f" ({wording.text(row.note, 200)})" if row.note else ""
    return f"{name}: {wording.figure(row.difference)}{allowed}{note}"


def told_briefly(row: Row) -> str:
    return told(row, _LONGEST_NAME)


def plot(
    rows: Sequence[Row],
    heading: str,
    what: str,
    most: int = 160,
    tell: Callable[[Row], str] = told_briefly,
    is_path: bool = True,
) -> str:
    """A figure of the rows' differences and tolerances, one column a row.

    Args:
        rows: in the order of the network, at least one; all of them `is_drawn`.
        heading: HTML above it.
        what: of what kind the rows are, in the plural, as HTML text.
        most: columns; of more rows neighbours share one, which shows the worst of them.
        tell: a row as HTML text.
        is_path: whether one row leads to the next, as in a network; else each stands alone.
    """
    columns = _columns(rows, most)
    scale = _Scale(rows)
    step = _WIDTH / len(columns)
    places = [(step * (index + 0.5), column.row) for index, column in enumerate(columns)]
    diverging = [f"M{x:.1f} 0V{_HEIGHT}" for x, row in places if not row.passed][:1]
    stems = [f"M{x:.1f} {scale.y(row.difference):.1f}V{_HEIGHT}" for x, row in places]
    drawing = [
        _path("grid", [f"M0 {scale.y(tick):.1f}H{_WIDTH}" for tick in scale.ticks]),
        _path("tolerance", _tolerance(columns, step, scale)),
        *([_path("first", diverging), _path("line", _line(places, scale))] if is_path else []),
        _path("stems", [] if is_path else stems),
        _path("dots", _dots(places, scale, passed=True)),
        _path("dots bad", _dots(places, scale, passed=False)),
        *(_target(index * step, step, column, tell) for index, column in enumerate(columns)),
    ]
    limit = _limit(rows, scale) if is_path else ""
    few = " few" if len(columns) <= _FEW else ""
    furthest = f"Worst of {len(rows)}: {tell(worst(rows))}."
    if len(columns) < len(rows):
        furthest += f" A column has up to {columns[0].rows} of them and shows the worst."
    return (
        f'<figure class="plot{few}"><figcaption>{heading}</figcaption><div class="frame">'
        f'<div class="ticks" aria-hidden="true">{scale.labels()}{limit}</div>'
        f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" preserveAspectRatio="none" role="img" '
        f'tabindex="0" aria-label="{len(rows)} {what}, in order, on a logarithmic scale. '
        f'{furthest}">{"".join(drawing)}</svg></div>'
        f'<div class="ends" aria-hidden="true"><span>{wording.text(rows[0].name, 40)}</span>'
        f"<span>{wording.text(rows[-1].name, 40)}</span></div>"
        f'<p class="readout" aria-live="polite">{furthest}</p></figure>'
    )


class _Scale:
    """Where values are, from 0 (above) to 100 (below).

    NaN and infinity have a band above the largest decade, zero one below the smallest.
    """

    def __init__(self, rows: Sequence[Row]) -> None:
        tolerances = _decades(row.tolerance for row in rows)
        decades = _decades(row.difference for row in rows) + tolerances or [-8, -4]
        self.high = math.ceil(max(decades))
        least = min([self.high - _DECADES, *(one - _BELOW_TOLERANCE for one in tolerances)])
        self.low = math.floor(max(min(decades), least))
        self.low -= self.low == self.high
        self.has_zero = any(row.difference == 0 for row in rows)
        self.has_none = any(not _is_number(row.difference) for row in rows)
        self._top = 16 if self.has_none else 4
        self._bottom = 86 if self.has_zero else 96

    @property
    def ticks(self) -> list[float]:
        """Up to five powers of ten."""
        every = math.ceil((self.high - self.low) / 4)
        return [10.0**decade for decade in range(self.high, self.low - 1, -every)]

    def y(self, value: float | None) -> float:
        if not _is_number(value):
            return 5
        if value <= 0:
            return 95
        part = (self.high - math.log10(value)) / (self.high - self.low)
        return self._top + min(part, 1) * (self._bottom - self._top)

    def labels(self) -> str:
        named = [
            (self.y(tick), "1" if tick == 1 else f"1e{math.log10(tick):.0f}") for tick in self.ticks
        ]
        named += [(95, "0")] * self.has_zero + [(5, "NaN, ∞")] * self.has_none
        return "".join(f'<span style="top:{y:.1f}%">{name}</span>' for y, name in named)


def _is_number(value: float | None) -> bool:
    return value is not None and math.isfinite(value)


def _decades(values: Iterable[float | None]) -> list[float]:
    return [math.log10(value) for value in values if _is_number(value) and value > 0]


def _columns(rows: Sequence[Row], most: int) -> list[Column]:
    each = math.ceil(len(rows) / most)
    groups = [rows[start : start + each] for start in range(0, len(rows), each)]
    return [Column(worst(group), len(group)) for group in groups]


def _line(places: Sequence[tuple[float, Row]], scale: _Scale) -> list[str]:
    """From point to point; it breaks where there is no number."""
    moves, pen = [], "M"
    for x, row in places:
        if _is_number(row.difference):
            moves.append(f"{pen}{x:.1f} {scale.y(row.difference):.1f}")
        pen = "L" if _is_number(row.difference) else "M"
    return moves


def _dots(places: Sequence[tuple[float, Row]], scale: _Scale, passed: bool) -> list[str]:
    """Lines of no length, which round caps make dots of."""
    return [
        f"M{x:.1f} {scale.y(row.difference):.1f}h0" for x, row in places if row.passed == passed
    ]


def _tolerance(columns: Sequence[Column], step: float, scale: _Scale) -> list[str]:
    """A level line, with steps where the tolerance is another."""
    moves, before = [], None
    for index, column in enumerate(columns):
        tolerance = column.row.tolerance
        if tolerance:
            if tolerance != before:
                pen = "M" if before is None else "L"
                moves.append(f"{pen}{index * step:.1f} {scale.y(tolerance):.1f}")
            moves.append(f"H{(index + 1) * step:.1f}")
        before = tolerance or None
    return moves


def _limit(rows: Sequence[Row], scale: _Scale) -> str:
    """What the dashed line is, where it begins."""
    tolerance = rows[0].tolerance
    if not tolerance:
        return ""
    y = scale.y(tolerance)
    side = " below" if y < 15 else ""
    return (
        f'<span class="limit{side}" style="top:{y:.1f}%">{wording.figure(tolerance)} allowed</span>'
    )


def _path(name: str, moves: Sequence[str]) -> str:
    return f'<path class="{name}" d="{"".join(moves)}"/>' if moves else ""


def _target(x: float, width: float, column: Column, tell: Callable[[Row], str]) -> str:
    """What the pointer meets: the whole height of a column, with its row as the tooltip."""
    title = tell(column.row)
    if column.rows > 1:
        title += f", the worst of {column.rows}"
    return f'<rect x="{x:.1f}" width="{width:.1f}" height="{_HEIGHT}"><title>{title}</title></rect>'
