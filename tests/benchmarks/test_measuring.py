"""The plumbing of the measurement, not speeds. That forms compute the same is held against what
TensorFlow 1.15.5 recorded elsewhere in the tests; here against the Session, as the program does."""

from dataclasses import replace

import numpy as np
import pytest

from zoo import registry
from zoo.benchmarks import measuring
from zoo.benchmarks.forms import FORMS, Setting
from zoo.benchmarks.worker_process import WorkerProcess
from zoo.errors import ArgumentError, UnknownModelError, UnsupportedEnvironmentError
from zoo.processes import WorkerError

SMALL = "mobilenet_v1_0.25_128"
SETTING = Setting(SMALL)


@pytest.fixture(scope="module")
def quick():
    """Turns as short as can be."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(measuring, "_SECONDS_A_TURN", 0.01)
        patch.setattr(measuring, "_PAUSE", 0)
        patch.setattr(measuring, "_TELLING", ("jax",))
        yield patch


@pytest.fixture(scope="module")
def measured(quick):
    for module in ("jax", "onnxruntime", "tf2onnx"):
        pytest.importorskip(module)
    unavailable = replace(FORMS["torch folded"], needs=("no_such_module",))
    quick.setitem(FORMS, "torch folded", unavailable)
    wanted = ["shim", "folded", "jax folded", "torch folded", "onnxruntime", "timm"]
    found = measuring.measure_speeds(SMALL, batches=(1, 2), rounds=2, threads=1, forms=wanted)
    yield list(found)


@pytest.mark.slow
def test_every_form_has_its_turn_in_every_round(measured):
    assert [one.batch for one in measured] == [1, 2]
    for one in measured:
        assert list(one.turns) == ["session", "shim", "folded", "jax folded", "onnxruntime"]
        for turns in one.turns.values():
            assert len(turns.seconds) == len(turns.cpu_seconds) == 2
            assert all(second > 0 for second in turns.seconds)
            assert turns.host_peak > 50 << 20 and turns.device_peak is None
        # Nothing is compiled in so little time as a step takes.
        assert one.turns["jax folded"].compile_seconds > 0
        assert one.turns["jax folded"].runtime.startswith("jax ")
        assert one.best in ("shim", "folded", "jax folded")
        assert (one.best_peer, one.setting.threads, one.wrong) == ("onnxruntime", 1, frozenset())


@pytest.mark.slow
def test_what_is_not_there_is_named(measured):
    skipped = measured[0].skipped
    assert "no_such_module not installed" in skipped["torch folded"]
    assert set(skipped) == {"torch folded", "timm"}


@pytest.mark.slow
def test_the_network_and_the_roofline(measured):
    one, two = measured
    assert round(one.multiplications / 1e6) == 14  # nets/mobilenet_v1.md
    assert one.parameters == registry.info(SMALL).parameters
    assert one.ceilings.flops_per_second > 1e8
    assert one.least_seconds < two.least_seconds <= 2 * one.least_seconds
    assert all(0 < row["of_roofline"] for row in one.to_dicts() if not row["skipped"])


@pytest.mark.slow
def test_training_on_every_backend(quick):
    for module in ("jax", "torch"):
        pytest.importorskip(module)
    wanted = ["shim", "jax native", "torch native eager"]
    (one,) = measuring.measure_speeds(
        "lenet", batches=[2], work="training", rounds=1, threads=1, forms=wanted
    )
    assert list(one.turns) == ["session", *wanted] and not one.skipped
    assert one.turns["torch native eager"].runtime.endswith(", eager")


class Willing:
    """A process that can do everything at once."""

    order: list = []

    def __init__(self, worker, *arguments):
        self.worker, self.prepared, self.has_ended = worker, set(), False

    def __enter__(self):
        return self

    def __exit__(self, *error):
        pass

    def ask(self, what, form=None, to=None, **details):
        self.order.append((what, form))
        if to:
            np.save(to, np.ones((1, 4), np.float32))
        return {
            "prepare": {"multiplications": None, "timed": True},
            "first": {"seconds": 3.0, "runtime": form},
            "time": {"seconds": 1.0, "cpu_seconds": 2.0, "host_peak": 5, "device_peak": None},
            "facts": {"layers": [], "parameters": 10, "has_dropout": False},
            "ceilings": {"backend": "x", "dtype": "float32", "device": "cpu",
                         "flops_per_second": 1.0, "bytes_per_second": 1.0},
        }.get(what, {})  # fmt: skip


@pytest.fixture
def process(monkeypatch):
    """Installs a class in place of the processes."""
    monkeypatch.setattr(measuring, "_PAUSE", 0)
    monkeypatch.setattr(measuring, "_CEILINGS", {})
    monkeypatch.setattr(Willing, "order", [])
    return lambda kind: monkeypatch.setattr(measuring, "WorkerProcess", kind)


def measure(**options):
    options = {"rounds": 2, "batches": [1], "forms": ["shim", "native"], **options}
    return list(measuring.measure_speeds(SMALL, **options))


def test_the_order_turns_with_the_rounds(process):
    process(Willing)
    done = []
    (one,) = measure(progress=lambda *told: done.append(told))
    turns = ["session", "shim", "native", "shim", "native", "session"]
    assert [form for what, form in Willing.order if what == "time"] == turns
    assert {form: turns.seconds for form, turns in one.turns.items()} == {
        form: [1.0, 1.0] for form in turns[:3]
    }
    assert one.turns["shim"].compile_seconds == 2.0
    assert done[:3] == [(0, 3, f"{SMALL}: session"), (1, 3, f"{SMALL}: shim"),
                        (2, 3, f"{SMALL}: native")]  # fmt: skip
    assert done[3:] == [(1, 2, f"{SMALL}, batches of 1"), (2, 2, f"{SMALL}, batches of 1")]


def failing(at: str, of: str | None, reason="no compiler", ends=False, times=99):
    """A process that fails when asked for this of that form; it may end then."""
    left = [times]

    class Failing(Willing):
        def ask(self, what, form=None, **details):
            if (what, form) == (at, of) and left[0]:
                left[0] -= 1
                self.has_ended = ends
                raise WorkerError(reason)
            if what in ("first", "time"):
                assert form in self.prepared
            return super().ask(what, form, **details)

    return Failing


@pytest.mark.parametrize("at", ["prepare", "first", "time"])
@pytest.mark.parametrize("ends", [False, True])
def test_what_fails_is_a_row_and_the_others_go_on(process, at, ends):
    process(failing(at, "shim", ends=ends))
    one, two = measure(batches=[1, 2])
    for measured in (one, two):
        assert list(measured.turns) == ["session", "native"]
        assert measured.skipped == {"shim": "no compiler"}
        assert [len(turns.seconds) for turns in measured.turns.values()] == [2, 2]
        rows = {row["form"]: row["skipped"] for row in measured.to_dicts()}
        assert rows == {"session": None, "shim": "no compiler", "native": None}


def test_what_fails_at_one_batch_size_is_tried_at_the_next(process):
    process(failing("first", "shim", "out of memory", ends=True, times=1))
    one, two = measure(batches=[64, 1])
    assert one.skipped == {"shim": "out of memory"} and not two.skipped


@pytest.mark.parametrize(
    ("at", "of"), [("prepare", "session"), ("facts", None), ("first", "session")]
)
def test_without_the_session_every_form_has_its_reason(process, at, of):
    process(failing(at, of, "out of memory"))
    one, two = measure(batches=[1, 2])
    for measured in (one, two):
        assert measured.skipped == dict.fromkeys(["session", "shim", "native"], "out of memory")
        assert not measured.turns and not measured.met
        assert {row["rounds"] for row in measured.to_dicts()} == {2}
    assert (one.batch, two.batch) == (1, 2)


def test_a_form_that_computes_something_else_is_noticed(process):
    class Wrong(Willing):
        def ask(self, what, form=None, to=None, **details):
            answer = super().ask(what, form, to, **details)
            if to and form == "shim":
                np.save(to, np.full((1, 4), 1.02, np.float32))
            return answer

    process(Wrong)
    (one,) = measure()
    assert one.skipped == {"shim": "gives other logits than the Session: 0.02 of the largest apart"}
    assert one.wrong == {"shim"} and not one.met and list(one.turns) == ["session", "native"]


def test_a_session_that_only_serves_to_compare_with_has_its_row(process):
    class Untimed(Willing):
        def ask(self, what, form=None, to=None, **details):
            answer = super().ask(what, form, to, **details)
            if what == "prepare":
                answer["timed"] = form != "session"
            return answer

    process(Untimed)
    (one,) = measure(rounds=1)
    assert list(one.turns) == ["shim", "native"] and "no GPU" in one.skipped["session"]


def test_outputs_against_the_sessions():
    good = np.full((1, 4), -4.0)
    outputs = {"session": good, "folded": good + 0.01, "timm": 2 * good, "native": good + 0.1,
               "frozen": good[:, :3], "onnxruntime": good * np.nan}  # fmt: skip
    wrong = measuring.wrong_outputs(outputs, SETTING)
    assert list(wrong) == ["native", "frozen", "onnxruntime"]
    assert "other logits" in wrong["native"] and "3 values" in wrong["frozen"]
    assert "no finite number" in wrong["onnxruntime"]
    half = replace(SETTING, dtype="bfloat16")
    assert "native" not in measuring.wrong_outputs(outputs, half)
    training = replace(SETTING, work="training")
    assert "another loss" in measuring.wrong_outputs(outputs, training)["native"]
    assert "native" not in measuring.wrong_outputs(outputs, training, has_dropout=True)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"batches": (1, 0)}, "batches"),
        ({"rounds": 0}, "rounds"),
        ({"threads": -1}, "threads"),
        ({"timeout": 0}, "timeout"),
        ({"forms": ["frozen"], "work": "training"}, "None of these forms"),
    ],
)
def test_wrong_arguments(wrong, message):
    with pytest.raises(ArgumentError, match=message):
        measuring.measure_speeds(SMALL, **wrong)
    with pytest.raises(UnknownModelError):
        measuring.measure_speeds("mobilnet")


def test_no_gpu(monkeypatch):
    monkeypatch.setenv("PATH", "")
    with pytest.raises(UnsupportedEnvironmentError, match="no GPU"):
        list(measuring.measure_speeds(SMALL, device="gpu"))


def test_all_models_are_distinct_networks():
    names = measuring.distinct_models()
    assert set(names) <= set(registry.list_models())
    assert {"lenet", "vgg_16", "mobilenet_v1_1.0_224", "mobilenet_v1_1.0_192"} <= set(names)


def test_a_process_that_fails_and_one_that_ends_say_so(tmp_path):
    with WorkerProcess("timm", SETTING, tmp_path, 60) as worker:
        with pytest.raises(WorkerError, match="KeyError: 'no such form'"):
            worker.ask("prepare", form="no such form")
        assert not worker.has_ended
        worker._process.kill()
        with pytest.raises(WorkerError, match="the timm process ended: killed.* memory"):
            worker.ask("prepare", form="timm")
    assert worker.has_ended
