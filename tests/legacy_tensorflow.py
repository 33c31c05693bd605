"""TensorFlow 1.15.5 itself, where there is one: in a Python 3.7 of its own, which
tools/tf1_environment.py finds or makes."""

from __future__ import annotations

import functools
import importlib.util
import subprocess
from pathlib import Path

import pytest

_FILE = Path(__file__).parent.parent / "tools" / "tf1_environment.py"
_spec = importlib.util.spec_from_file_location("tf1_environment", _FILE)
tf1_environment = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(tf1_environment)


def run(script: Path, *arguments: object) -> str:
    """Runs a script in TensorFlow 1.15.5 and returns what it printed; skips the test without."""
    done = subprocess.run(
        [python(), str(script), *map(str, arguments)],
        env=tf1_environment.environment(),
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


def python() -> str:
    """Path of a Python that has TensorFlow 1.15.5."""
    found, reason = _find()
    if found is None:
        pytest.skip(f"NOT CHECKED AGAINST TENSORFLOW 1.15.5: {reason}")
    return found


@functools.cache
def _find() -> tuple[str | None, str]:
    try:
        return tf1_environment.python(), ""
    except tf1_environment.NoEnvironment as error:
        return None, str(error)
