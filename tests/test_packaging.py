"""What the wheel carries."""

from pathlib import Path

ROOT = Path(__file__).parent.parent


def test_every_package_is_named_in_pyproject():
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    packages = {
        ".".join(folder.parent.relative_to(ROOT).parts)
        for folder in (ROOT / "zoo").rglob("__init__.py")
    }
    for package in packages | {"zoo.adapters"}:
        assert f'"{package}"' in text, package
