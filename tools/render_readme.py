"""Writes README.md's table of models from registry.yaml; `--check` only tells if it is current."""

from __future__ import annotations

import sys
from pathlib import Path

from zoo import registry

README = Path(__file__).parent.parent / "README.md"
BEGIN, END = "<!-- models -->\n", "<!-- /models -->\n"


def table() -> str:
    """The table of models, in Markdown."""
    lines = [
        "| model | input | classes | parameters | top-1 | top-5 | checkpoint |",
        "|---|---|---|---|---|---|---|",
    ]
    for name in registry.list_models():
        spec = registry.info(name)
        published = next(
            (c.published for c in spec.checkpoints.values() if c.published is not None), None
        )
        accuracy = (
            [f"{v:.1f}" if v else "" for v in (published.top1, published.top5)]
            if published
            else ["", ""]
        )
        cells = [
            name,
            f"{spec.frames} frames of {spec.input_size}" if spec.frames else f"{spec.input_size}",
            f"{spec.num_classes}",
            f"{spec.parameters / 1e6:.1f} M",
            *accuracy,
            ", ".join(spec.checkpoints) or "none published",
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def rendered(text: str) -> str:
    """README.md's text with the table of today's registry."""
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}{table()}{END}{after}"


def main() -> int:
    text = README.read_text(encoding="utf-8")
    if "--check" in sys.argv[1:]:
        return int(rendered(text) != text)
    README.write_text(rendered(text), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
