"""Counting, against TensorFlow 1.15.5's own (tools/record_counting.py)."""

import json
import math

import numpy as np
import pytest

from zoo.evaluation.tally import ROW, Tally, rows_of, standard_error, top1, top5


@pytest.fixture(scope="module")
def recorded(goldens):
    values = json.loads((goldens / "counting.json").read_text())
    return {name: np.array(value) for name, value in values.items()}


@pytest.fixture(scope="module")
def finite(recorded):
    return np.isfinite(recorded["logits"]).all(axis=1)


@pytest.fixture(scope="module")
def rows(recorded):
    return rows_of(recorded["logits"], recorded["labels"], are_logits=True)


def test_top_5_is_in_top_k(recorded, rows):
    """Where classes tie across the fifth place, all of them are among the five; where an output
    is no finite number, none is."""
    np.testing.assert_array_equal(rows["above"] < 5, recorded["top5"])
    np.testing.assert_array_equal(rows["above"] < 1, recorded["top1"])
    assert recorded["top5"].sum() not in (0, len(rows))


def test_top_1_is_argmax(recorded, rows, finite):
    np.testing.assert_array_equal(rows["predicted"][finite], recorded["argmax"][finite])
    assert (rows["predicted"][~finite] == -1).all()
    # The recorded cases tell the two ways to count apart.
    right = recorded["argmax"] == recorded["labels"]
    assert (right[finite] != recorded["top1"][finite]).any()


def test_loss_is_the_cross_entropy(recorded, rows, finite):
    # TensorFlow's are in float32.
    np.testing.assert_allclose(rows["loss"][finite], recorded["loss"][finite], rtol=1e-6, atol=1e-6)
    assert np.isnan(rows["loss"][~finite]).all()


def test_the_metrics_are_those_of_slims_script(recorded, rows, finite):
    assert top1(rows[finite]) == pytest.approx(100 * recorded["Accuracy"], rel=1e-6)
    assert top5(rows[finite]) == pytest.approx(100 * recorded["Recall_5"], rel=1e-6)


def test_probabilities_count_as_their_logits_do(recorded, rows, finite):
    shares = np.exp(recorded["logits"][finite])
    shares /= shares.sum(axis=1, keepdims=True)
    again = rows_of(shares, recorded["labels"][finite], are_logits=False)
    for name in ("right", "above"):
        np.testing.assert_array_equal(again[name], rows[name][finite])
    for name in ("loss", "probability"):
        np.testing.assert_allclose(again[name], rows[name][finite], rtol=1e-6)


def test_a_probability_of_zero_has_a_loss():
    (row,) = rows_of(np.array([[1.0, 0.0]]), np.array([1]), are_logits=False)
    assert math.isfinite(row["loss"]) and row["loss"] > 80


def test_images_that_cannot_be_read_are_not_counted():
    tally = Tally(5)
    rows = np.zeros(2, ROW)
    rows["right"] = 1
    tally.add([0, 2], rows, [(1, "damaged")])
    places, counted = tally.counted()
    assert places.tolist() == [0, 2]
    assert counted["right"].tolist() == [1, 1]
    assert tally.done == 3
    assert tally.skipped == {1: "damaged"}


def test_the_standard_error():
    # 70.9 % of 50,000: sqrt(0.709 * 0.291 / 50000) = 0.002031...
    assert standard_error(70.9, 50_000) == pytest.approx(0.20314, abs=1e-5)
    assert standard_error(0, 10) == standard_error(100, 10) == 0
