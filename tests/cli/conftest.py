"""The command run in this process (`run`) or as a program of its own (`run_program`)."""

import os
import pty
import subprocess
import sys

import pytest
from typer.testing import CliRunner


@pytest.fixture
def run():
    """Runs `zoo ARGUMENTS` here; the result has exit_code, stdout and stderr."""
    from zoo.cli.app import app

    def invoke(*arguments, **options):
        arguments = [str(argument) for argument in arguments]
        result = CliRunner().invoke(app, arguments, prog_name="zoo", **options)
        if not isinstance(result.exception, SystemExit | None):
            raise result.exception
        return result

    return invoke


@pytest.fixture
def run_program():
    """Runs `python -m zoo ARGUMENTS`; the result has returncode, stdout and stderr."""

    def start(*arguments, python=("-m", "zoo"), **options):
        options = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True, **options}
        command = [sys.executable, *python, *map(str, arguments)]
        return subprocess.run(command, timeout=300, **options)

    return start


@pytest.fixture
def on_terminal():
    """Runs Python with these arguments on a terminal; gives all that is written there."""

    def start(*arguments):
        terminal, end = pty.openpty()
        program = subprocess.Popen(
            [sys.executable, *arguments],
            stdout=end,
            stderr=end,
            env={**os.environ, "TERM": "xterm", "NO_COLOR": ""},
        )
        os.close(end)
        written = b""
        try:
            while chunk := os.read(terminal, 4096):
                written += chunk
        except OSError:  # How Linux tells the end.
            pass
        os.close(terminal)
        assert program.wait(timeout=60) == 0
        return written.decode().replace("\r\n", "\n")

    return start


@pytest.fixture
def quiet_environment():
    """The environment without what a test run has set to silence TensorFlow."""
    return {key: value for key, value in os.environ.items() if not key.startswith("TF_")}


@pytest.fixture(scope="session")
def color_image(tmp_path_factory):
    """A photo of one color. Slim's crop and resize leave it as it is, so what the network gets
    is known without any preprocessing code: (200, 30, 90) / 255, from [0, 1] to [-1, 1]."""
    from PIL import Image

    path = tmp_path_factory.mktemp("images") / "color.png"
    Image.new("RGB", (150, 150), (200, 30, 90)).save(path)
    return path
