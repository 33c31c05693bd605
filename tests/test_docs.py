"""The documents' code runs."""

import re
from pathlib import Path

import pytest

DOCS = Path(__file__).parent.parent / "docs"


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(path.name for path in DOCS.glob("*.md")))
def test_every_block_runs_in_order(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    text = (DOCS / name).read_text(encoding="utf-8")
    namespace = {"__name__": "docs"}
    try:
        for block in re.findall(r"```python\n(.*?)```", text, re.S):
            line = text[: text.index(block)].count("\n")
            exec(compile("\n" * line + block, name, "exec"), namespace)
    finally:
        import zoo.shim

        zoo.shim.uninstall()
