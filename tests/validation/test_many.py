"""Many models in processes of their own; the processes here are stand-ins."""

import pytest

from zoo.processes import WorkerError
from zoo.validation import many
from zoo.validation.results import TF1_GRAPH, Result, Row, Setting, Stage


class StandIn:
    """Answers for every model but cifarnet, at which it dies."""

    started = 0
    ended = 0

    def __init__(self, module, environment):
        StandIn.started += 1

    def ask(self, what, name, arguments):
        if name == "cifarnet":
            raise WorkerError("the process ended: exit code -9")
        stage = Stage.of("outputs", TF1_GRAPH, [Row.of("logits", (), 0.0, 1e-5)])
        return Result(name, name, Setting(), {}, (stage,)).to_dict()

    def resident(self):
        return 0

    def end(self):
        StandIn.ended += 1


@pytest.fixture(autouse=True)
def stand_in(monkeypatch):
    monkeypatch.setattr(many, "Process", StandIn)
    monkeypatch.setattr(StandIn, "started", 0)
    monkeypatch.setattr(StandIn, "ended", 0)


@pytest.mark.parametrize("jobs", [1, 2, None])
def test_a_process_that_dies_is_one_models_failure(jobs):
    names = ["lenet", "cifarnet", "vgg_a", "vgg_16"]
    results = {result.model: result for result in many.validate_many(names, jobs)}
    assert sorted(results) == sorted(names)
    assert [name for name, result in results.items() if not result.passed] == ["cifarnet"]
    assert results["cifarnet"].first_divergence["note"] == "the process ended: exit code -9"
    assert StandIn.ended == StandIn.started


def test_one_that_is_left_early_ends_its_processes():
    results = many.validate_many(["lenet", "vgg_a"], 1)
    next(results)
    results.close()
    assert StandIn.started and StandIn.ended == StandIn.started


def test_a_process_that_has_grown_is_begun_anew(monkeypatch):
    monkeypatch.setattr(StandIn, "resident", lambda self: 1 << 40)
    list(many.validate_many(["lenet", "vgg_a"], 1))
    assert StandIn.started == 2
