"""Differences as rows. Expected values are worked out by hand."""

import numpy as np
import pytest

from zoo.validation import stages, tolerances
from zoo.validation.observed import Inference, Training, Variable

ALLOWED = tolerances.of()


def rows_by_name(rows):
    return {row.name: row for row in rows}


def test_a_difference_is_relative_to_the_largest_value():
    reference = np.array([[1.0, -4.0]], np.float32)
    assert stages.difference(reference + 0.5, reference) == pytest.approx(0.125)
    assert stages.difference(reference + 0.5, reference, scale=1.0) == pytest.approx(0.5)
    assert stages.difference(np.zeros(3), np.zeros(3)) == 0
    assert np.isnan(stages.difference(reference * np.nan, reference))
    assert np.isnan(stages.difference(np.zeros(3), reference))


def test_root_mean_squares():
    reference = np.array([3.0, -4.0], np.float32)
    assert stages.root_mean_square(reference) == pytest.approx(12.5**0.5)
    # Of differences of 0 and 1 the half's root.
    assert stages.mean_difference(reference + [0, 1], reference) == pytest.approx(1 / 5)
    assert stages.mean_difference(reference + [0, 1], reference, 1.0) == pytest.approx(0.5**0.5)
    assert np.isnan(stages.mean_difference(np.zeros(3), reference))
    assert np.isnan(stages.mean_difference(reference * np.nan, reference))


def test_a_tensor_of_another_shape_or_without_numbers_does_not_pass():
    reference = np.ones((2, 1, 1, 3), np.float32)
    assert stages.tensor_row("a", np.ones((2, 3)), reference, 0.1).passed  # sides of 1
    other = stages.tensor_row("a", np.ones((3, 2)), reference, 0.1)
    assert not other.passed and other.difference is None and other.note == "shape 3x2"
    nothing = stages.tensor_row("a", np.full((2, 3), np.nan), reference, 0.1)
    assert not nothing.passed and nothing.difference is None


VARIABLES = {
    "net/a/weights": Variable((3, 3), True),
    "net/a/biases": Variable((3,), True),
    "net/a/moving_mean": Variable((3,), False),
}


def test_variables_that_agree():
    rows = stages.variable_rows(VARIABLES, VARIABLES)
    assert all(row.passed for row in rows) and rows[0].note == "3"


@pytest.mark.parametrize(
    ("changed", "failing"),
    [
        ({"net/a/biases": None}, {"count", "names"}),
        ({"net/b/biases": Variable((3,), True)}, {"count", "names"}),
        ({"net/a/biases": Variable((4,), True)}, {"shapes"}),
        ({"net/a/moving_mean": Variable((3,), True)}, {"trainable flags"}),
    ],
)
def test_variables_that_do_not_agree(changed, failing):
    ours = {name: one for name, one in {**VARIABLES, **changed}.items() if one is not None}
    rows = rows_by_name(stages.variable_rows(ours, VARIABLES))
    assert {name for name, row in rows.items() if not row.passed} == failing
    name = next(iter(changed))
    assert name in rows["names" if "names" in failing else failing.copy().pop()].note


def test_the_order_of_variables():
    turned = dict(reversed(VARIABLES.items()))
    failed = [row.name for row in stages.variable_rows(turned, VARIABLES) if not row.passed]
    assert failed == ["order of creation"]
    assert all(row.passed for row in stages.variable_rows(turned, VARIABLES, ordered=False))


def test_variables_that_a_form_does_without():
    ours = {name: one for name, one in VARIABLES.items() if name != "net/a/biases"}
    rows = stages.variable_rows(ours, VARIABLES, left_out=["net/a/biases"])
    assert all(row.passed for row in rows) and "1 that inference" in rows[0].note


def test_of_many_values_those_that_fail_and_the_worst():
    reference = {f"v{i}": np.ones(2, np.float32) for i in range(5)}
    ours = {name: value + 1e-6 * i for i, (name, value) in enumerate(reference.items())}
    ours["v0"] = reference["v0"] + 1
    rows = stages.value_rows(ours.get, reference, 1e-5, "variables")
    assert [(row.name, row.passed) for row in rows] == [("v0", False), ("v4", True)]
    assert rows[1].note == "the worst of 4 variables"


def inference(**changed):
    logits = np.array([[9.0, 8, 7, 6, 5, 4, 3]], np.float32)
    softmax = np.exp(logits) / np.exp(logits).sum()
    values = {
        "logits": logits,
        "end_points": {"Conv": np.ones((1, 4, 4, 2), np.float32), "Logits": logits},
        "regularization_loss": 0.5,
        "predictions": softmax,
    }
    return Inference(**{**values, **changed})


def test_outputs_that_agree():
    rows = stages.output_rows(inference(), inference(), ALLOWED)
    assert all(row.passed for row in rows)
    names = ["names", "Conv", "Logits", "logits", "the model's output", "top 5"]
    assert [row.name for row in rows] == [*names, "regularization loss"]


def test_outputs_that_do_not_agree():
    conv = np.ones((1, 4, 4, 2), np.float32)
    conv[0, 0, 0, 0] += 2e-4
    changed = {
        "end_points": {"Conv": conv, "Logits": inference().logits},
        "predictions": inference().logits / 42,
        "regularization_loss": 0.6,
    }
    rows = rows_by_name(stages.output_rows(inference(**changed), inference(), ALLOWED))
    failed = [name for name, row in rows.items() if not row.passed]
    assert failed == ["Conv", "the model's output", "regularization loss"]
    assert rows["Conv"].difference == pytest.approx(2e-4, rel=1e-2)
    assert rows["regularization loss"].difference == pytest.approx(0.2)


def test_outputs_in_half_precision():
    originals = {"Conv": 0.01, "Logits": 0.01}
    found = {"logits": 0.01, "predictions": 0.01, "size": 6.3}
    allowed = tolerances.in_half_precision(ALLOWED, "bfloat16", originals, **found)
    conv = np.ones((1, 4, 4, 2), np.float32)
    conv[0, 0, 0, 0] += 0.1  # of 32, by the root of 1/32 of that: 0.0177
    ours = inference(end_points={"Conv": conv, "Logits": inference().logits})
    rows = rows_by_name(stages.output_rows(ours, inference(), allowed))
    assert rows["Conv"].passed and rows["Conv"].difference == pytest.approx(0.0177, rel=1e-2)
    conv[0, 0, 0, 1] += 0.1
    rows = rows_by_name(stages.output_rows(ours, inference(), allowed))
    assert not rows["Conv"].passed and rows["logits"].passed
    # What overflows in the original is left out.
    originals["Logits"] = np.inf
    found.update(logits=np.inf, predictions=np.nan)
    allowed = tolerances.in_half_precision(ALLOWED, "float16", originals, **found)
    rows = stages.output_rows(inference(), inference(), allowed)
    assert [row.name for row in rows] == ["names", "Conv", "regularization loss"]


def test_an_end_point_that_is_missing():
    ours = inference(end_points={"Logits": inference().logits})
    (names,) = [row for row in stages.output_rows(ours, inference(), ALLOWED) if not row.passed]
    assert names.name == "names" and "Conv" in names.note


def test_the_top_five():
    logits = inference().logits
    swapped = logits[:, [1, 0, 2, 3, 4, 5, 6]]
    row = stages.top_five_row(swapped, logits, 1e-5)
    assert not row.passed and row.difference == pytest.approx(0.4) and row.note == "60 %"
    # Two classes that are as likely, to rounding, may take turns.
    near = np.array([[5, 5 + 1e-6, 3, 2, 1, 0]], np.float32)
    assert stages.top_five_row(near[:, [1, 0, 2, 3, 4, 5]], near, 1e-5).passed
    assert not stages.top_five_row(logits * np.nan, logits, 1e-5).passed


def test_gradients_of_every_variable():
    reference = {
        "net/a/weights": np.array([4.0, 2.0], np.float32),
        "net/a/biases": np.array([1e-9], np.float32),  # zero, but for rounding
        "net/b/weights": np.array([1e-3], np.float32),
    }
    ours = {**reference, "net/a/biases": np.array([-2e-9], np.float32)}
    rows = stages.gradient_rows(ours, reference, 1e-3)
    assert all(row.passed for row in rows)
    assert (rows[-1].name, rows[-1].note) == ("norm of all gradients", "4.472136")  # 20's root
    ours["net/b/weights"] = np.array([2e-3], np.float32)
    rows = stages.gradient_rows(ours, reference, 1e-3)
    assert [row.name for row in rows if not row.passed] == ["net/b/weights"]
    del ours["net/b/weights"]  # is zero there
    ours["net/c/weights"] = np.ones(1, np.float32)
    failed = [row.name for row in stages.gradient_rows(ours, reference, 1e-3) if not row.passed]
    assert failed == ["net/b/weights", "net/c/weights", "norm of all gradients"]


BEFORE = {"w": np.array([1.0, 2.0], np.float32), "m/moving_variance": np.ones(2, np.float32)}


def training(**changed):
    values = {
        "losses": [3.0, 2.9, 2.8],
        "gradients": {},
        "averages": {"m/moving_variance": np.array([1.01, 1.0], np.float32)},
        "variables": {
            "w": np.array([1.001, 2.0], np.float32),
            "m/moving_variance": np.array([1.03, 1.0], np.float32),
        },
    }
    return Training(**{**values, **changed})


def failed_steps(**changed):
    rows = stages.step_rows(training(**changed), training(), BEFORE, ALLOWED)
    return [row.name for row in rows if not row.passed]


def test_steps():
    assert failed_steps() == []
    assert failed_steps(losses=[3.0, 2.9, 2.801]) == ["loss of step 2"]
    assert failed_steps(losses=[3.0, float("nan"), 2.8]) == ["loss of step 1"]


def test_what_stays_where_it_is_fails():
    """Though the values are within 1 % and 0.1 % of the reference's."""
    assert failed_steps(averages={"m/moving_variance": BEFORE["m/moving_variance"]}) == [
        "m/moving_variance"
    ]
    assert failed_steps(variables=BEFORE) == ["w"]


def test_a_move_within_rounding_is_looked_at_no_closer():
    after = {**training().variables, "w": np.nextafter(BEFORE["w"], np.float32(9))}
    reference = training(variables={**training().variables, "w": BEFORE["w"]})
    rows = stages.step_rows(training(variables=after), reference, BEFORE, ALLOWED)
    assert all(row.passed for row in rows)


def test_keras_moves_by_the_biased_variance():
    """Of n = 5 values with a variance of 2 (biased), at a momentum of 0.9: from 1 to 1.1, and in
    TF1, whose variance is 2.5, to 1.15."""
    ours = {"m/moving_variance": np.full(2, 1.1, np.float32)}
    recorded = {
        "losses": training().losses,
        "gradient_names": ["m/gamma"],
        "gradient_norms": [0.0],
        "average_names": ["m/moving_variance"],
        "average_samples": [np.full(64, 1.15, np.float32)],
    }
    for unbiased, passes in (({"m/moving_variance": (0.25, 0.1)}, True), ({}, False)):
        given = training(averages=ours, unbiased_by=unbiased)
        rows = rows_by_name(stages.recorded_step_rows(given, recorded, BEFORE))
        assert rows["m/moving_variance"].passed == passes
