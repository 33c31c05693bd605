"""How the page says names and numbers. Names come from files that anybody may have made."""

from __future__ import annotations

import html
import math
from collections.abc import Sequence


def text(value: object, longest: int | None = None) -> str:
    """A value as HTML text, also for attributes; what cannot be seen is written as an escape.

    Args:
        longest: characters to keep; a longer one has its middle left out.
    """
    seen = str(value)
    if not seen.isprintable():
        seen = "".join(
            char if char.isprintable() else char.encode("unicode_escape").decode() for char in seen
        )
    if longest and len(seen) > longest:
        half = (longest - 1) // 2
        seen = f"{seen[:half]}…{seen[-half:]}"
    return html.escape(seen)


def figure(value: float | None) -> str:
    """A difference or a tolerance: 3.1e-7, 0.25, 0; nothing where there is none."""
    if value is None:
        return ""
    if not math.isfinite(value):
        return "NaN" if math.isnan(value) else "infinite"
    if value == 0 or 0.0995 <= value < 99.5:
        return f"{value:.2g}"
    mantissa, exponent = f"{value:.1e}".split("e")
    return f"{mantissa.removesuffix('.0')}e{int(exponent)}"


def share(value: float) -> str:
    """How much of the tolerance a difference takes up: 31%, 320 times."""
    if value <= 1:
        return "0%" if value == 0 else f"{value:.0%}" if value >= 0.01 else "under 1%"
    if value < 1e4:
        return f"{value:.1f} times" if value < 10 else f"{value:.0f} times"
    return f"{figure(value)} times"


def counted(number: int, one: str, more: str | None = None) -> str:
    """1 model, 2 models."""
    return f"{number} {one if number == 1 else more or one + 's'}"


def listed(parts: Sequence[str]) -> str:
    """a; a and b; a, b and c."""
    return " and ".join([", ".join(parts[:-1]), parts[-1]] if len(parts) > 1 else parts)


def shape(sizes: Sequence[int]) -> str:
    """2 x 35 x 35 x 64 with multiplication signs, as HTML; nothing for a number."""
    return "&times;".join(map(str, sizes))


def duration(seconds: float) -> str:
    """0.4 s, 12 s, 3 min 5 s."""
    if seconds < 60:
        return f"{seconds:.1f} s" if seconds < 10 else f"{seconds:.0f} s"
    return f"{int(seconds // 60)} min {int(seconds % 60)} s"
