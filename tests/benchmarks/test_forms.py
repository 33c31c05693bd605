"""The plumbing of the measurement, not speeds. That forms compute the same is held against what
TensorFlow 1.15.5 recorded elsewhere in the tests; here against the Session, as the program does."""

import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from zoo import registry
from zoo.benchmarks import forms, results
from zoo.benchmarks.worker_process import WorkerError, WorkerProcess
from zoo.errors import ArgumentError, UnknownModelError

SMALL = "mobilenet_v1_0.25_128"


@pytest.fixture(scope="module")
def measured():
    for module in ("jax", "onnxruntime", "tf2onnx"):
        pytest.importorskip(module)
    unavailable = replace(forms.FORMS["torch folded"], needs=("torch", "no_such_module"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(forms.FORMS, "torch folded", unavailable)
        patch.setattr(forms, "_SECONDS_A_TURN", 0.01)
        wanted = ["folded", "jax folded", "torch folded", "onnxruntime", "timm"]
        yield list(forms.measure_forms(SMALL, batches=(1, 2), rounds=2, threads=1, forms=wanted))


def made_up(**seconds) -> forms.FormSpeeds:
    seconds = {form.replace("_", " "): of for form, of in seconds.items()}
    return forms.FormSpeeds("net", 8, 32, 2, 0.5, seconds, seconds, {}, {"timm": "not installed"})


@pytest.mark.slow
def test_every_form_has_its_turn_in_every_round(measured):
    assert [one.batch for one in measured] == [1, 2]
    for one in measured:
        assert list(one.seconds) == ["session", "folded", "jax folded", "onnxruntime"]
        assert {len(seconds) for seconds in one.seconds.values()} == {2}
        assert all(second > 0 for seconds in one.seconds.values() for second in seconds)
        assert one.runtimes["jax folded"].startswith("jax ")
        assert one.best in ("folded", "jax folded")
        assert (one.best_peer, one.threads) == ("onnxruntime", 1)


@pytest.mark.slow
def test_what_is_not_there_is_named(measured):
    skipped = measured[0].skipped
    assert "no_such_module not installed" in skipped["torch folded"]
    assert set(skipped) == {"torch folded", "timm"}


class Failing:
    """A process that cannot do anything."""

    def __init__(self, *arguments):
        pass

    def __enter__(self):
        return self

    def __exit__(self, *error):
        pass

    def ask(self, what, **details):
        raise WorkerError("no compiler")


def test_what_does_not_start_is_skipped_and_tensorflow_is_not(monkeypatch):
    monkeypatch.setattr(forms, "WorkerProcess", Failing)
    monkeypatch.setattr(forms, "_is_installed", lambda module: True)
    with forms._Sides(registry.info("resnet_v1_50"), 1) as sides:
        sides.prepare("timm compiled")
        assert (sides.skipped, sides.runtimes) == ({"timm compiled": "no compiler"}, {})
        with pytest.raises(WorkerError, match="no compiler"):
            sides.prepare("session")


def test_the_order_turns_with_the_rounds(monkeypatch):
    order = []

    class Willing(Failing):
        def ask(self, what, form, **details):
            order.append((what, form))
            return {"runtime": form, "seconds": 1.0, "cpu_seconds": 2.0}

    monkeypatch.setattr(forms, "WorkerProcess", Willing)
    monkeypatch.setattr(forms, "_PAUSE", 0)
    done = []
    with forms._Sides(registry.info(SMALL), 1) as sides:
        for form in ("session", "shim", "native"):
            sides.prepare(form)
        del order[:]
        seconds, cpu_seconds = sides.time_in_turn(Path("images.npy"), 2, done.append)
    turns = ["session", "shim", "native", "shim", "native", "session"]
    assert order == [("time", form) for form in turns]
    assert seconds == {form: [1.0, 1.0] for form in turns[:3]}
    assert cpu_seconds == {form: [2.0, 2.0] for form in turns[:3]}
    assert done == [1, 2]


@pytest.mark.slow
def test_rows_survive_a_csv_file(measured, tmp_path):
    rows = [row for one in measured for row in one.to_dicts()]
    assert [row["form"] for row in rows[:4]] == ["session", "folded", "jax folded", "torch folded"]
    assert rows[3]["samples_per_sec"] is None and "no_such_module" in rows[3]["skipped"]
    assert results.read_csv(results.write_csv(tmp_path / "rows.csv", rows)) == rows


def test_the_best_form_against_the_best_peer():
    # The machine was slow in the second round.
    one = made_up(
        session=[0.5, 5.0, 0.5], shim=[2.0, 20.0, 2.0], folded=[1.0, 10.0, 1.0],
        onnxruntime=[2.0, 20.0, 2.0], timm_compiled=[3.0, 30.0, 3.0],
    )  # fmt: skip
    assert (one.best, one.best_peer) == ("folded", "onnxruntime")
    ratio = one.over_best_peer("folded")
    assert (ratio.median, ratio.low, ratio.high) == (2.0, 2.0, 2.0)
    assert one.met and one.images_per_second("folded") == 8.0
    rows = {row["form"]: row for row in one.to_dicts()}
    assert list(rows) == ["session", "shim", "folded", "onnxruntime", "timm", "timm compiled"]
    assert rows["timm compiled"]["over_best_peer"] == pytest.approx(2 / 3, abs=1e-3)
    assert (rows["timm"]["skipped"], rows["timm"]["rounds"]) == ("not installed", 3)
    assert not made_up(session=[1.0], shim=[1.01], onnxruntime=[1.0]).met


def test_a_form_that_computes_something_else_is_noticed():
    good = np.full((1, 4), 0.25)
    forms.check_outputs("net", {"session": good, "folded": good + 1e-3, "timm": 2 * good})
    with pytest.raises(RuntimeError, match="'folded' gives other probabilities"):
        forms.check_outputs("net", {"session": good, "folded": good + 1e-2})
    with pytest.raises(RuntimeError, match="'timm' are not finite"):
        forms.check_outputs("net", {"session": good, "timm": np.full((1, 4), np.nan)})


# Names in timm's registry of models: mobilenetv1.py, resnet.py and inception_v3.py.
@pytest.mark.parametrize(
    ("name", "twin", "classes"),
    [
        ("mobilenet_v1", "mobilenetv1_100", 1001),
        ("mobilenet_v1_1.0_192", "mobilenetv1_100", 1001),
        ("resnet_v1_50", "resnet50", 1000),
        ("inception_v3", "inception_v3", 1001),
    ],
)
def test_twins_in_timm(name, twin, classes):
    expected = {"model_name": twin, "num_classes": classes}
    assert forms.timm_twin(registry.info(name)) == expected


@pytest.mark.parametrize("name", [SMALL, "vgg_16"])
def test_no_twin_in_timm(name):
    assert forms.timm_twin(registry.info(name)) is None


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"batches": (1, 0)}, "batches"),
        ({"rounds": 0}, "rounds"),
        ({"threads": -1}, "threads"),
        ({"forms": ["folden"]}, "folded"),
    ],
)
def test_wrong_arguments(wrong, message):
    with pytest.raises(ArgumentError, match=message):
        forms.measure_forms(SMALL, **wrong)
    with pytest.raises(UnknownModelError):
        forms.measure_forms("mobilnet")


def test_a_process_that_ends_says_so(tmp_path):
    with WorkerProcess("timm", SMALL, tmp_path, 1) as worker:
        with pytest.raises(WorkerError, match="KeyError: 'no such form'"):
            worker.ask("run", form="no such form", images="", to="")
        worker._process.kill()
        with pytest.raises(WorkerError, match="the timm process ended"):
            worker.ask("run", form="timm", images="", to="")
    assert worker._process.returncode == -signal.SIGKILL


def test_no_process_outlives_the_one_that_asks(tmp_path):
    code = f"""
import pathlib, sys
from zoo.benchmarks.worker_process import WorkerProcess
worker = WorkerProcess("timm", "{SMALL}", pathlib.Path("{tmp_path}"), 1)
print(worker._process.pid, flush=True)
sys.stdin.read()
"""
    asking = subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    pid = int(asking.stdout.readline())
    asking.kill()
    asking.communicate()
    end = time.monotonic() + 20
    while _is_running(pid) and time.monotonic() < end:
        time.sleep(0.05)
    assert not _is_running(pid)


def _is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    status = Path(f"/proc/{pid}/stat")
    return not (status.exists() and ") Z " in status.read_text())
