"""Expected multiplications: TF-Slim's nets/mobilenet_v1.md, column "Million MACs"."""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import numpy as np
import pytest
import tensorflow as tf

from zoo.benchmarks import results, throughput
from zoo.errors import ArgumentError, UnknownModelError

SMALL = "mobilenet_v1_0.25_128"


@pytest.fixture(scope="module")
def measured():
    return throughput.measure_throughput(SMALL, batch=2, rounds=3)


def made_up(**seconds) -> throughput.Throughput:
    """What was measured, with these seconds; processor time is twice as long."""
    return throughput.Throughput(
        model="net",
        twin="Net",
        batch=8,
        image_size=32,
        parameters=10,
        multiplications={"session": 2_000_000_000, "keras": 1_000_000_000},
        seconds=seconds,
        cpu_seconds={way: [2 * second for second in of] for way, of in seconds.items()},
    )


def test_every_way_is_measured_in_every_round(measured):
    assert list(measured.seconds) == ["session", "function", "eager", "predict", "keras"]
    assert {len(seconds) for seconds in measured.seconds.values()} == {3}
    assert all(second > 0 for seconds in measured.seconds.values() for second in seconds)
    assert list(measured.ratios) == ["function/session", "function/keras", "eager/function"]


def test_multiplications_are_the_published_ones(measured):
    # 14 million MACs and 0.47 million parameters (which leave moving averages out)
    assert round(measured.multiplications["session"] / 1e6) == 14
    assert measured.multiplications["keras"] == measured.multiplications["session"]


def test_the_row_is_flat_and_survives_a_csv_file(measured, tmp_path):
    row = measured.to_dict()
    assert (row["model"], row["twin"], row["batch_size"], row["img_size"]) == (
        SMALL,
        "MobileNet",
        2,
        128,
    )
    assert row["rounds"] == 3
    assert results.read_csv(results.write_csv(tmp_path / "rows.csv", [row])) == [row]


def test_a_model_without_a_twin_has_the_same_columns():
    alone = made_up(session=[1.0], function=[1.0], eager=[1.0], predict=[1.0])
    assert list(alone.ratios) == ["function/session", "eager/function"]
    both = made_up(session=[1.0], function=[1.0], eager=[1.0], predict=[1.0], keras=[1.0])
    assert alone.to_dict().keys() == both.to_dict().keys()
    assert alone.to_dict()["keras_samples_per_sec"] is None


def test_a_ratio_is_taken_in_each_round():
    # The machine was slow in the second round; the function took twice as long as the Session.
    slowed = made_up(session=[1.0, 10.0, 1.0], function=[2.0, 20.0, 2.0])
    ratio = slowed.ratios["function/session"]
    assert (ratio.median, ratio.low, ratio.high, ratio.cpu) == (0.5, 0.5, 0.5, 0.5)
    assert ratio.target == 0.95 and not ratio.met and not slowed.met
    assert slowed.images_per_second("function") == 4.0


@pytest.mark.parametrize(
    ("seconds", "met"),
    [
        ({"session": [0.96], "function": [1.0]}, True),
        ({"session": [0.94], "function": [1.0]}, False),
        ({"keras": [1.0], "function": [1.0]}, True),
        ({"keras": [0.99], "function": [1.0]}, False),
        ({"eager": [1.1], "function": [1.0]}, True),
        ({"eager": [1.2], "function": [1.0]}, False),
    ],
)
def test_targets(seconds, met):
    assert made_up(**seconds).met is met


def test_the_order_turns_with_the_rounds():
    order = []
    calls = {name: lambda name=name: order.append(name) for name in "ABC"}
    done = []
    seconds, cpu_seconds = throughput.time_in_turn(calls, 4, done.append)
    assert "".join(order) == "ABC" + "ABC" + "BCA" + "CAB" + "ABC"
    assert {len(times) for times in (*seconds.values(), *cpu_seconds.values())} == {4}
    assert done == [1, 2, 3, 4]


def test_a_way_that_computes_something_else_is_noticed():
    good = np.full((1, 4), 0.25)
    throughput._check_outputs("net", {"session": good, "function": good + 1e-7, "keras": 2 * good})
    with pytest.raises(RuntimeError, match="'eager' gives other probabilities"):
        throughput._check_outputs("net", {"session": good, "eager": good + 1e-3})


def test_outputs_that_are_no_numbers_are_noticed():
    good = np.full((1, 4), 0.25)
    with pytest.raises(RuntimeError, match="'keras' are not finite"):
        throughput._check_outputs("net", {"session": good, "keras": np.full((1, 4), np.nan)})


def test_the_default_graph_is_not_left_in_the_session(measured):
    assert tf.executing_eagerly()


@pytest.mark.parametrize("wrong", [{"batch": 0}, {"rounds": 0}])
def test_wrong_numbers(wrong):
    with pytest.raises(ArgumentError, match=next(iter(wrong))):
        throughput.measure_throughput(SMALL, **wrong)


def test_a_wrong_name():
    with pytest.raises(UnknownModelError):
        throughput.measure_throughput("mobilnet")
