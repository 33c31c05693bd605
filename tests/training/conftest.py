"""Scripts that need a TensorFlow of their own: logical devices, or several workers."""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPTS = Path(__file__).parent


def start(script: str, *arguments: str, **environment: str) -> subprocess.Popen:
    return subprocess.Popen(
        [sys.executable, str(SCRIPTS / script), *arguments],
        env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "2", **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def result(process: subprocess.Popen) -> dict:
    """What the script printed on its last line."""
    output, errors = process.communicate(timeout=600)
    assert process.returncode == 0, errors[-4000:]
    return json.loads(output.splitlines()[-1])


@pytest.fixture(scope="module")
def mirrored() -> dict:
    return result(start("mirrored_script.py"))


@pytest.fixture(scope="module")
def workers(tmp_path_factory) -> list[dict]:
    """The results of two workers of one cluster on this machine."""
    sockets = [socket.socket() for _ in range(2)]
    for each in sockets:
        each.bind(("127.0.0.1", 0))
    addresses = [f"127.0.0.1:{each.getsockname()[1]}" for each in sockets]
    for each in sockets:
        each.close()
    folder = str(tmp_path_factory.mktemp("checkpoints"))
    processes = [
        start(
            "worker_script.py",
            folder,
            TF_CONFIG=json.dumps(
                {"cluster": {"worker": addresses}, "task": {"type": "worker", "index": index}}
            ),
        )
        for index in range(2)
    ]
    try:
        return [result(process) for process in processes]
    finally:
        for process in processes:
            process.kill()
