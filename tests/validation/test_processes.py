"""A process that is asked in lines of JSON: one that answers, one that fails, one that dies."""

import pytest

from zoo.validation.processes import Process, WorkerError

ANSWERING = """
import os
from zoo.errors import ArgumentError
from zoo.validation import processes

def add(one, other):
    print("not an answer")
    return {"sum": one + other}

def refuse():
    raise ArgumentError("No.", received="this")

def die():
    os._exit(7)

def be_killed():
    os.kill(os.getpid(), 9)

processes.answer({"add": add, "refuse": refuse, "die": die, "be_killed": be_killed})
"""


@pytest.fixture
def process(tmp_path, monkeypatch):
    (tmp_path / "answering.py").write_text(ANSWERING)
    with Process("answering", {"PYTHONPATH": str(tmp_path)}) as process:
        yield process


def test_questions_and_answers(process):
    assert process.ask("add", one=1, other=2) == {"sum": 3}
    with pytest.raises(WorkerError, match="(?s)No.*Received: this"):
        process.ask("refuse")
    with pytest.raises(WorkerError, match="KeyError"):
        process.ask("nosuch")
    assert process.ask("add", one=2, other=2) == {"sum": 4}
    with pytest.raises(WorkerError, match="ended: exit code 7"):
        process.ask("die")
    with pytest.raises(WorkerError, match="ended: exit code 7"):
        process.ask("add", one=1, other=2)


def test_one_that_is_killed(process):
    with pytest.raises(WorkerError, match="killed by SIGKILL, as where there is no memory left"):
        process.ask("be_killed")


def test_a_module_that_is_not_there_says_so():
    with Process("zoo.validation.nosuch", {}) as process:
        with pytest.raises(WorkerError, match="No module named"):
            process.ask("add")
