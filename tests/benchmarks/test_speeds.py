"""What follows from measurements, on made-up ones."""

import pytest

from zoo.benchmarks.forms import Setting
from zoo.benchmarks.roofline import Ceilings
from zoo.benchmarks.speeds import Speeds, Turns
from zoo.tables import read_csv, write_csv


def made_up(skipped=None, wrong=(), setting=None, **seconds) -> Speeds:
    """Speeds with these seconds a batch of 8; processor time is twice as long."""
    turns = {
        form.replace("_", " "): Turns(
            "made up 1.0", of, [2 * second for second in of], first_seconds=of[0] + 3,
            host_peak=64 << 20,
        )
        for form, of in seconds.items()
    }  # fmt: skip
    return Speeds(
        setting=setting or Setting("net", threads=2),
        batch=8,
        image_size=32,
        rounds=len(next(iter(seconds.values()), [])),
        turns=turns,
        skipped=skipped or {},
        wrong=frozenset(wrong),
        parameters=10,
        multiplications=2_000_000_000,
        ceilings=Ceilings("numpy", "float32", "cpu", 1e11, 1e10),
        least_seconds=0.25,
        load=0.5,
    )


def test_a_ratio_is_taken_in_each_round():
    # The machine was slow in the second round; the shim took twice as long as the Session.
    slowed = made_up(session=[1.0, 10.0, 1.0], shim=[2.0, 20.0, 2.0])
    ratio = slowed.ratios["shim/session"]
    assert (ratio.median, ratio.low, ratio.high) == (0.5, 0.5, 0.5)
    assert ratio.target == 0.95 and not ratio.met and not slowed.met
    assert slowed.images_per_second("shim") == 4.0


@pytest.mark.parametrize(
    ("seconds", "met"),
    [
        ({"session": [0.96], "shim": [1.0]}, True),
        ({"session": [0.94], "shim": [1.0]}, False),
        ({"keras": [1.0], "shim": [1.0]}, True),
        ({"keras": [0.99], "shim": [1.0]}, False),
        ({"shim_eager": [1.1], "shim": [1.0]}, True),
        ({"shim_eager": [1.2], "shim": [1.0]}, False),
        ({"onnxruntime": [1.0], "folded": [1.0], "shim": [2.0]}, True),
        ({"onnxruntime": [0.99], "folded": [1.0]}, False),
        ({}, False),
    ],
)
def test_targets(seconds, met):
    assert made_up(**seconds).met is met


def test_training_has_fewer_targets():
    training = Setting("net", "training")
    one = made_up(setting=training, session=[1.0], shim=[1.0], shim_eager=[9.0])
    assert list(one.ratios) == ["shim/session"]


def test_a_form_that_computes_something_else_misses_its_target():
    assert made_up(shim=[1.0]).met
    assert not made_up(shim=[1.0], wrong=["native"]).met


def test_the_best_form_against_the_best_peer():
    one = made_up(
        session=[0.5, 5.0, 0.5], shim=[2.0, 20.0, 2.0], folded=[1.0, 10.0, 1.0],
        onnxruntime=[2.0, 20.0, 2.0], timm_compiled=[3.0, 30.0, 3.0],
        skipped={"timm": "not installed"},
    )  # fmt: skip
    assert (one.best, one.best_peer) == ("folded", "onnxruntime")
    ratio = one.ratios["folded/onnxruntime"]
    assert (ratio.median, ratio.low, ratio.high, ratio.target) == (2.0, 2.0, 2.0, 1.0)
    rows = {row["form"]: row for row in one.to_dicts()}
    assert list(rows) == ["session", "shim", "folded", "onnxruntime", "timm", "timm compiled"]
    assert rows["timm compiled"]["over_best_peer"] == pytest.approx(2 / 3, abs=1e-3)
    assert (rows["timm"]["skipped"], rows["timm"]["rounds"]) == ("not installed", 3)


def test_a_row_says_all():
    (row,) = made_up(shim=[1.0, 2.0, 3.0]).to_dicts()
    assert row["samples_per_sec"] == 4.0
    assert (row["step_time"], row["step_time_low"], row["step_time_high"]) == (2e3, 1.5e3, 2.5e3)
    assert (row["cpu_time"], row["compile_seconds"]) == (4e3, 2.0)
    assert (row["host_peak_mib"], row["device_peak_mib"]) == (64, None)
    assert (row["gmacs"], row["of_roofline"], row["peak_gflops"]) == (2.0, 0.125, 100.0)
    assert (row["work"], row["dtype"], row["mode"]) == ("inference", "float32", "function")
    assert row["over_session"] is None


def test_a_peers_multiplications_are_its_own():
    one = made_up(shim=[1.0], keras=[1.0], timm=[1.0], onnxruntime=[1.0])
    one.turns["keras"].multiplications = 3_000_000_000
    assert {row["form"]: row["gmacs"] for row in one.to_dicts()} == {
        "shim": 2.0, "keras": 3.0, "timm": None, "onnxruntime": 2.0,
    }  # fmt: skip


def test_rows_of_what_was_and_was_not_measured_have_the_same_columns(tmp_path):
    rows = made_up(shim=[1.0], skipped={"native": "no compiler"}).to_dicts()
    assert rows[0].keys() == rows[1].keys()
    assert rows[1]["samples_per_sec"] is None and rows[1]["skipped"] == "no compiler"
    assert read_csv(write_csv(tmp_path / "rows.csv", rows)) == rows


def test_the_most_memory_of_all_turns():
    turns = Turns()
    turns.add(1.0, 2.0, 30, 7)
    turns.add(1.5, 2.5, 20, 9)
    assert (turns.seconds, turns.cpu_seconds) == ([1.0, 1.5], [2.0, 2.5])
    assert (turns.host_peak, turns.device_peak) == (30, 9)
