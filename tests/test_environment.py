"""Processes that zoo cannot work in get one clear error, before anything is loaded."""

import os
import subprocess
import sys
from importlib import metadata

import pytest

from zoo import environment
from zoo.errors import UnsupportedEnvironmentError


def run(code, **variables):
    return subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, **variables},
        capture_output=True,
        text=True,
    )


@pytest.mark.parametrize("value", ["1", "True"])
def test_legacy_keras(monkeypatch, value):
    monkeypatch.setenv("TF_USE_LEGACY_KERAS", value)
    with pytest.raises(UnsupportedEnvironmentError, match="unset TF_USE_LEGACY_KERAS"):
        environment.check_environment()


@pytest.mark.slow
@pytest.mark.parametrize("code", ["import zoo.shim", "import zoo; zoo.load('inception_v3')"])
def test_legacy_keras_from_the_start(code):
    done = run(code, TF_USE_LEGACY_KERAS="1")
    assert "UnsupportedEnvironmentError" in done.stderr
    assert "TF_USE_LEGACY_KERAS=1" in done.stderr


@pytest.mark.slow
def test_another_backend():
    done = run("import zoo.shim", KERAS_BACKEND="numpy")
    assert "KERAS_BACKEND=tensorflow" in done.stderr


@pytest.mark.parametrize("package, old", [("tensorflow", "2.15.1"), ("keras", "2.15.0")])
def test_too_old(monkeypatch, package, old):
    installed = metadata.version
    monkeypatch.setattr(
        metadata, "version", lambda name: old if name == package else installed(name)
    )
    with pytest.raises(UnsupportedEnvironmentError, match=f"{package} {old}") as raised:
        environment.check_environment()
    assert "pip install --upgrade" in str(raised.value)


def test_todays_process_is_good():
    environment.check_environment()


def test_importing_zoo_imports_nothing_heavy():
    code = (
        "import sys, zoo; zoo.list_models(); zoo.info('inception_v3'); "
        "print(sorted({'tensorflow', 'keras', 'numpy', 'PIL', 'requests'} & set(sys.modules)))"
    )
    done = run(code)
    assert done.stdout.strip() == "[]", done.stderr
