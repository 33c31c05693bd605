"""A process that is asked in lines of JSON: one that answers, fails, dies, takes too much."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from zoo.processes import Process, WorkerError

ANSWERING = """
import os, subprocess, sys, time
from zoo import processes
from zoo.errors import ArgumentError

def add(one, other):
    print("not an answer")
    return {"sum": one + other}

def refuse():
    raise ArgumentError("No.", received="this")

def die(code):
    os._exit(code)

def abort():
    print("F0000 check failed", file=sys.stderr, flush=True)
    os.abort()

def be_killed():
    os.kill(os.getpid(), 9)

def hang(path=None):
    child = subprocess.Popen(["sleep", "61"])
    if path:
        open(path, "w").write(f"{os.getpid()} {child.pid}\\n")
    time.sleep(60)

def take(size):
    taken = b"1" * size
    time.sleep(60)

asked = [add, refuse, die, abort, be_killed, hang, take]
processes.answer({function.__name__: function for function in asked})
"""


@pytest.fixture
def environment(tmp_path):
    (tmp_path / "answering.py").write_text(ANSWERING)
    return {"PYTHONPATH": str(tmp_path)}


def start(environment, **limits) -> Process:
    return Process("answering", environment=environment, name="the summing process", **limits)


def test_questions_and_answers(environment):
    with start(environment) as process:
        assert process.ask("add", one=1, other=2) == {"sum": 3}
        with pytest.raises(WorkerError, match="(?s)No.*Received: this"):
            process.ask("refuse")
        with pytest.raises(WorkerError, match="KeyError"):
            process.ask("nosuch")
        assert process.ask("add", one=2, other=2) == {"sum": 4}
        assert not process.has_ended
        for _ in range(2):
            with pytest.raises(WorkerError, match="the summing process ended: exit code 7"):
                process.ask("die", code=7)
        assert process.has_ended


def test_one_that_dies_says_its_last_words(environment):
    with start(environment) as process:
        with pytest.raises(WorkerError, match="ended: killed by SIGABRT, F0000 check failed"):
            process.ask("abort")
    with start(environment) as process:
        with pytest.raises(
            WorkerError, match="killed by SIGKILL, as where there is no memory left"
        ):
            process.ask("be_killed")


def test_a_module_that_is_not_there_says_so():
    with Process("zoo.nosuch", environment={}) as process:
        with pytest.raises(WorkerError, match="ended: exit code 1, .*No module named"):
            process.ask("add")


def test_one_that_hangs_is_ended_with_what_it_started(environment, tmp_path):
    with start(environment, seconds=3) as process:
        began = time.monotonic()
        with pytest.raises(WorkerError, match="no answer in 3 seconds"):
            process.ask("hang", path=str(tmp_path / "pids"))
        assert process.has_ended and time.monotonic() - began < 20
    for pid in map(int, (tmp_path / "pids").read_text().split()):
        wait_until(lambda pid=pid: not is_running(pid))


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="memory is read from /proc")
def test_one_that_takes_too_much_memory_is_ended(environment):
    with start(environment, memory=100 << 20) as process:
        assert process.ask("add", one=1, other=2) == {"sum": 3}
        assert 1 << 20 < process.resident() < 100 << 20
        with pytest.raises(WorkerError, match=r"stopped at 0\.\d GiB of memory"):
            process.ask("take", size=200 << 20)


def test_none_outlives_the_one_that_asks(environment, tmp_path):
    """Though it is at something that takes long."""
    code = """
import sys
from zoo.processes import Process
Process("answering", environment={}).ask("hang", path=sys.argv[1])
"""
    pids = tmp_path / "pids"
    command = [sys.executable, "-c", code, pids]
    asking = subprocess.Popen(command, env={**os.environ, **environment})
    wait_until(lambda: pids.exists() and pids.read_text().endswith("\n"))
    asking.kill()
    asking.wait()
    asked, child = map(int, pids.read_text().split())
    os.kill(child, signal.SIGKILL)
    wait_until(lambda: not is_running(asked))


def wait_until(so) -> None:
    end = time.monotonic() + 20
    while not so():
        assert time.monotonic() < end
        time.sleep(0.05)


def is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    status = Path(f"/proc/{pid}/stat")
    return not (status.exists() and ") Z " in status.read_text())
