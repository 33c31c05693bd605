"""TensorFlow 1.15.5 itself, where there is one: in a Python 3.7 of its own.

The environment variable ZOO_TF1_PYTHON names a Python that has it, with tf-slim 1.1.0. Without
it a virtual environment is made in .tf1/, once, if there are a python3.7 and a package index.
"""

from __future__ import annotations

import functools
import glob
import os
import shutil
import subprocess
from pathlib import Path

import pytest
from filelock import FileLock

ROOT = Path(__file__).parent.parent
PACKAGES = ["tensorflow==1.15.5", "protobuf<3.21", "tf-slim==1.1.0"]


def run(script: Path, *arguments: object) -> str:
    """Runs a script in TensorFlow 1.15.5 and returns what it printed; skips the test without."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("TF_", "PYTHON"))}
    environment["TF_CPP_MIN_LOG_LEVEL"] = "3"
    done = subprocess.run(
        [python(), str(script), *map(str, arguments)],
        env=environment,
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
    given = os.environ.get("ZOO_TF1_PYTHON")
    if given:
        works = _has_tensorflow(given)
        return (given, "") if works else (None, f"ZOO_TF1_PYTHON={given} does not have it")
    with FileLock(ROOT / ".tf1.lock"):
        made = str(ROOT / ".tf1" / "bin" / "python")
        return (made, "") if _has_tensorflow(made) else _make(made)


def _make(made: str) -> tuple[str | None, str]:
    versions = sorted(glob.glob(os.path.expanduser("~/.pyenv/versions/3.7*/bin/python3.7")))
    base = next(
        (path for path in [shutil.which("python3.7"), *versions] if path and _runs(path)), None
    )
    if base is None:
        return None, "there is no python3.7 to make it in, and ZOO_TF1_PYTHON is not set"
    try:
        for command in (
            [base, "-m", "venv", "--clear", str(ROOT / ".tf1")],
            [made, "-m", "pip", "install", "--quiet", *PACKAGES],
        ):
            subprocess.run(command, check=True, capture_output=True, text=True, timeout=600)
    except (subprocess.SubprocessError, OSError) as error:
        said = (getattr(error, "stderr", None) or str(error)).strip().splitlines()
        shutil.rmtree(ROOT / ".tf1", ignore_errors=True)
        return None, f"it cannot be installed ({said[-1] if said else error})"
    return (made, "") if _has_tensorflow(made) else (None, "it does not start here")


def _runs(path: str) -> bool:
    # A pyenv shim is there for versions that are not chosen, too.
    return subprocess.run([path, "--version"], capture_output=True).returncode == 0


def _has_tensorflow(path: str) -> bool:
    code = "import tensorflow, tf_slim; assert tensorflow.__version__ == '1.15.5'"
    try:
        return subprocess.run([path, "-c", code], capture_output=True, timeout=120).returncode == 0
    except (OSError, subprocess.SubprocessError):
        return False
