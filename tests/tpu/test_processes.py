"""What the worker is asked, and in which environment; it is a stand-in that answers as told."""

import pytest

from zoo.errors import UnsupportedEnvironmentError
from zoo.tpu import processes
from zoo.tpu.processes import Limits, work
from zoo.tpu.requests import Request


@pytest.fixture
def answering(monkeypatch):
    """The answer of the worker to come; it is what it was made with and asked by default."""
    answer = {}

    class StandIn:
        def __init__(self, module, **options):
            self.options = {"module": module, **options}

        def __enter__(self):
            return self

        def __exit__(self, *error):
            pass

        def ask(self, verb, **details):
            return answer or {**self.options, "verb": verb, **details}

    monkeypatch.setattr(processes, "Process", StandIn)
    return answer


@pytest.mark.parametrize(
    ("verb", "backend"), [("export", "tensorflow"), ("compile", "jax"), ("run", "jax")]
)
def test_what_is_asked(answering, tmp_path, verb, backend):
    found = work(verb, Request("lenet"), tmp_path / "program", Limits(seconds=1, memory=2))
    assert (found["module"], found["verb"]) == ("zoo.tpu.worker", verb)
    assert found["request"]["model"] == "lenet" and found["file"] == str(tmp_path / "program")
    assert (found["seconds"], found["memory"]) == (1, 2)
    assert found["environment"]["KERAS_BACKEND"] == backend
    assert ("TPU_SKIP_MDS_QUERY" in found["environment"]) == (verb == "compile")


def test_what_is_not_there(answering, tmp_path):
    answering["missing"] = "No TPU."
    with pytest.raises(UnsupportedEnvironmentError, match="No TPU"):
        work("run", Request("lenet"), tmp_path, Limits())
