"""Processes with limits. The worker is a small program of the test's own."""

import subprocess
import sys
import time

import pytest

from zoo.errors import UnsupportedEnvironmentError
from zoo.tpu import processes
from zoo.tpu.processes import Limits, WorkerError, work
from zoo.tpu.requests import Request

REQUEST = Request("lenet")


@pytest.fixture
def worker(monkeypatch):
    """Puts Python code in the worker's place; it has its arguments in sys.argv[1:]."""

    def put(code):
        start = subprocess.Popen

        def popen(command, **options):
            assert command[1:3] == ["-m", "zoo.tpu.worker"]
            return start([sys.executable, "-c", code, *command[3:]], **options)

        monkeypatch.setattr(processes.subprocess, "Popen", popen)

    return put


def test_an_answer(worker, tmp_path):
    worker(
        "import json, os, sys; verb, request, program, answer = sys.argv[1:];"
        "json.dump({'verb': verb, 'model': json.loads(request)['model'], 'program': program,"
        "           'backend': os.environ['KERAS_BACKEND']}, open(answer, 'w'))"
    )
    found = work("compile", REQUEST, tmp_path / "program", Limits())
    assert found == {
        "verb": "compile",
        "model": "lenet",
        "program": str(tmp_path / "program"),
        "backend": "jax",
    }


def test_one_that_hangs_is_stopped(worker, tmp_path):
    worker("import subprocess, sys, time; subprocess.Popen(['sleep', '61']); time.sleep(60)")
    start = time.monotonic()
    with pytest.raises(WorkerError, match="stopped after 1 s"):
        work("export", REQUEST, tmp_path, Limits(seconds=1))
    assert time.monotonic() - start < 20


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="memory is read from /proc")
def test_one_that_takes_too_much_memory_is_stopped(worker, tmp_path):
    worker("import time; taken = b'1' * (200 << 20); time.sleep(60)")
    with pytest.raises(WorkerError, match=r"stopped at 0\.\d GiB of memory"):
        work("export", REQUEST, tmp_path, Limits(memory=100 << 20))


def test_one_that_dies_says_its_last_words(worker, tmp_path):
    worker("import os, sys; print('F0000 check failed', file=sys.stderr, flush=True); os.abort()")
    with pytest.raises(WorkerError, match="without an answer: exit code -6, F0000 check failed"):
        work("compile", REQUEST, tmp_path, Limits())


@pytest.mark.parametrize(
    ("environment", "error"), [("true", UnsupportedEnvironmentError), ("false", WorkerError)]
)
def test_an_error_of_zoos_own(worker, tmp_path, environment, error):
    text = f'{{"error": "No TPU.", "environment": {environment}}}'
    worker(f"import sys; open(sys.argv[4], 'w').write('{text}')")
    with pytest.raises(error, match="No TPU"):
        work("run", REQUEST, tmp_path, Limits())
