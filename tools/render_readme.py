"""Writes README.md's tables: models from registry.yaml, the others from the files in results/.

`--check` only tells if they are current. A table is there for each file that is there, and says on
what its figures were taken. What was measured, what a compiler predicts and what was published
are never in one table.
"""

from __future__ import annotations

import sys
from pathlib import Path

from readme.proof import validation
from readme.speed import speed
from readme.tables import table

from zoo import registry

ROOT = Path(__file__).parent.parent
README, RESULTS = ROOT / "README.md", ROOT / "results"


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


def main() -> int:
    text = README.read_text(encoding="utf-8")
    if "--check" in sys.argv[1:]:
        return int(rendered(text) != text)
    README.write_text(rendered(text), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
