"""The stages of a validation: what was observed of two sides, as rows of differences."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

import numpy as np

from zoo.validation import recorded, tolerances
from zoo.validation.observed import Inference, Training, Variable
from zoo.validation.results import Row
from zoo.validation.tolerances import Tolerances

_TOP = 5
_FLOAT32_ULP = 2.0**-23

# A gradient that is truly zero (of a bias that batch norm takes away again) is rounding on both
# sides. It is looked at no closer than by this part of the largest gradient in its layer.
_OF_THE_LAYER = 1e-3


def difference(ours: np.ndarray, reference: np.ndarray, scale: float | None = None) -> float:
    """The largest absolute difference over the scale, by default the reference's largest absolute
    value; NaN where a value is none or shapes differ."""
    if np.size(ours) != np.size(reference):
        return float("nan")
    if not np.size(reference):
        return 0.0
    ours = np.reshape(ours, np.shape(reference))
    scale = float(np.abs(reference).max()) if scale is None else float(scale)
    return float(np.abs(ours - reference).max()) / (scale or 1.0)


def root_mean_square(values: np.ndarray) -> float:
    """Of all values, summed up in float64."""
    return float(np.sqrt(np.mean(np.square(values, dtype=np.float64)))) if np.size(values) else 0.0


def mean_difference(ours: np.ndarray, reference: np.ndarray, scale: float | None = None) -> float:
    """The root mean square of the differences over the scale, by default the reference's root mean
    square; NaN where a value is none or sizes differ."""
    if np.size(ours) != np.size(reference):
        return float("nan")
    ours = np.reshape(ours, np.shape(reference))
    scale = root_mean_square(reference) if scale is None else float(scale)
    return root_mean_square(np.subtract(ours, reference, dtype=np.float64)) / (scale or 1.0)


def tensor_row(
    name: str,
    ours,
    reference,
    tolerance: float,
    scale: float | None = None,
    measure: Callable[..., float] = difference,
) -> Row:
    """The difference of two tensors; sides of 1 make no difference in shape."""
    shape = np.shape(reference)
    note = ""
    if [s for s in np.shape(ours) if s != 1] != [s for s in shape if s != 1]:
        note = f"shape {_by_x(np.shape(ours))}"
        return Row(name, shape, None, tolerance, False, note)
    return Row.of(name, shape, measure(ours, reference, scale), tolerance)


def worst_of(rows: Sequence[Row], what: str) -> list[Row]:
    """The rows that failed and, of those that passed, the worst, which stands for all."""
    failed = [row for row in rows if not row.passed]
    passed = [row for row in rows if row.passed]
    if not passed:
        return failed
    worst = max(passed, key=lambda row: row.difference or 0.0)
    note = f"the worst of {len(passed)} {what}" + (f"; {worst.note}" if worst.note else "")
    return [*failed, Row(worst.name, worst.shape, worst.difference, worst.tolerance, True, note)]


def fact_row(name: str, ours, reference, note: str = "") -> Row:
    """Two things that are equal, or not."""
    if ours == reference:
        return Row(name, (), None, None, True, note or f"{reference}")
    return Row(name, (), None, None, False, f"{ours}, where it should be {reference}")


# -- 1. Variables --------------------------------------------------------------------------------


def variable_rows(
    ours: Mapping[str, Variable],
    reference: Mapping[str, Variable],
    *,
    left_out: Iterable[str] = (),
    ordered: bool = True,
) -> list[Row]:
    """Count, names, shapes and trainable flags.

    Args:
        left_out: names that ours rightly does without.
        ordered: whether the order of creation is compared too.
    """
    without = set(left_out) & set(reference)
    expected = {name: one for name, one in reference.items() if name not in without}
    common = [name for name in expected if name in ours]
    note = f"{len(ours)}" + (f", and {len(without)} that inference does without" * bool(without))
    rows = [
        fact_row("count", len(ours), len(expected), note),
        _names_row(list(ours), list(expected)),
        _agreement("shapes", common, lambda name: ours[name].shape == expected[name].shape),
        _agreement(
            "trainable flags",
            common,
            lambda name: ours[name].trainable == expected[name].trainable,
        ),
    ]
    if ordered:
        in_order = [name for name in ours if name in expected] == common
        rows.append(Row("order of creation", (), None, None, in_order))
    return rows


def _names_row(ours: list[str], reference: list[str]) -> Row:
    missing = sorted(set(reference) - set(ours))
    unexpected = sorted(set(ours) - set(reference))
    note = "; ".join(
        f"{what} {', '.join(names[:3])}" + (f" and {len(names) - 3} more" * (len(names) > 3))
        for what, names in (("missing", missing), ("unexpected", unexpected))
        if names
    )
    return Row("names", (), None, None, not (missing or unexpected), note)


def _agreement(name: str, names: Sequence[str], agrees) -> Row:
    different = [one for one in names if not agrees(one)]
    return Row(name, (), None, None, not different, ", ".join(different[:3]))


# -- 2. Initial values ---------------------------------------------------------------------------


def value_rows(ours, reference: Mapping[str, np.ndarray], tolerance: float, what: str) -> list[Row]:
    """Values of variables; `ours` gives one by its name."""
    rows = [tensor_row(name, ours(name), value, tolerance) for name, value in reference.items()]
    return worst_of(rows, what)


# -- 3. Outputs ----------------------------------------------------------------------------------


def output_rows(ours: Inference, reference: Inference, allowed: Tolerances) -> list[Row]:
    """Every end point, logits, the model's own predictions, their top five, and the
    regularization loss; without what the tolerances leave out."""
    rows = []
    measure = _measure(allowed)
    if ours.end_points:
        rows.append(_names_row(list(ours.end_points), list(reference.end_points)))
    for name, value in reference.end_points.items():
        bound = allowed.of_end_point(name)
        if name in ours.end_points and bound is not None:
            found = ours.end_points[name]
            rows.append(tensor_row(name, found, value, bound, measure=measure))
    if allowed.logits is not None:
        logits = reference.logits
        rows.append(tensor_row("logits", ours.logits, logits, allowed.logits, measure=measure))
        if ours.predictions is not None and ours.predictions.ndim == 2:
            rows.append(_predictions_row(ours.predictions, logits, allowed))
        rows.append(top_five_row(ours.logits, logits, allowed.logits))
    rows.append(_loss_row(ours.regularization_loss, reference.regularization_loss, allowed))
    return rows


def _measure(allowed: Tolerances) -> Callable[..., float]:
    return mean_difference if allowed.root_mean_square else difference


def _predictions_row(predictions, logits, allowed: Tolerances) -> Row:
    logits = np.reshape(logits, predictions.shape)
    expected, bound = softmax(logits), allowed.predictions
    if np.abs(predictions.sum(-1) - 1).max() > 0.01:  # a model that gives logits or features
        expected, bound = logits, allowed.logits
    measure = _measure(allowed)
    return tensor_row("the model's output", predictions, expected, bound, measure=measure)


def softmax(logits: np.ndarray) -> np.ndarray:
    """Of the last axis, in float64; NaN where logits overflowed."""
    with np.errstate(invalid="ignore"):
        below = np.subtract(logits, logits.max(-1, keepdims=True), dtype=np.float64)
    exponentials = np.exp(below)
    return exponentials / exponentials.sum(-1, keepdims=True)


def top_five_row(ours: np.ndarray, reference: np.ndarray, tolerance: float) -> Row:
    """The share of places among the top five where the classes differ, and their logits too by
    more than both sides may be wrong."""
    if np.size(ours) != np.size(reference) or not np.isfinite(ours).all():
        return Row("top 5", (), None, 0.0, False, "no comparable logits")
    reference = np.reshape(reference, (len(reference), -1))
    ours = np.reshape(ours, reference.shape)
    top = min(_TOP, reference.shape[-1])
    close = 2 * tolerance * np.abs(reference).max()
    rows = np.arange(len(reference))[:, np.newaxis]
    one, other = (np.argsort(-side, -1, kind="stable")[:, :top] for side in (ours, reference))
    apart = np.abs(reference[rows, one] - reference[rows, other]) > close
    return Row.of("top 5", one.shape, float(np.mean(apart)), 0.0, f"{100 * np.mean(~apart):.0f} %")


def _loss_row(ours: float, reference: float, allowed: Tolerances) -> Row:
    found = difference(np.float64(ours), np.float64(reference))
    return Row.of("regularization loss", (), found, allowed.regularization)


def recorded_output_rows(
    ours: Inference,
    recorded_variables: dict,
    outputs: dict,
    allowed: Tolerances,
    rounded: Inference | None = None,
) -> list[Row]:
    """Against what TensorFlow 1.15.5 computed: samples, mean and standard deviation of every end
    point, all logits, and the regularization loss.

    Args:
        rounded: the TF1 graph in half precision, whose few samples may happen to be further from
            float32 than all of its values are.
    """
    rows = []
    if ours.end_points:
        names = [name for name, _ in recorded_variables["end_points"]]
        rows.append(_names_row(list(ours.end_points), names))
    for name, expected, mean, spread in zip(
        map(str, outputs["ep_names"]),
        outputs["ep_samples"],
        outputs["ep_mean"],
        outputs["ep_std"],
        strict=True,
    ):
        bound = allowed.of_end_point(name)
        if name not in ours.end_points or bound is None:
            continue
        if rounded is not None:
            theirs = _from_samples(rounded.end_points[name], expected, mean, spread, allowed)
            bound = max(bound, tolerances.OF_THE_ORIGINALS * theirs)
        value = ours.end_points[name]
        found = _from_samples(value, expected, mean, spread, allowed)
        note = "64 samples, mean and deviation"
        rows.append(Row.of(name, value.shape, found, bound, note))
    if allowed.logits is not None:
        logits = outputs["logits"]
        measure = _measure(allowed)
        rows.append(tensor_row("logits", ours.logits, logits, allowed.logits, measure=measure))
        rows.append(top_five_row(ours.logits, logits, allowed.logits))
    expected = recorded_variables["reg_loss_inference"]
    rows.append(_loss_row(ours.regularization_loss, expected, allowed))
    return rows


def _from_samples(value, expected, mean, spread, allowed: Tolerances) -> float:
    """How far a tensor is from its recorded samples, mean and standard deviation."""
    # A saturated softmax may have nothing but zeros among its samples.
    scale, of_all = max(np.abs(expected).max(), spread), spread or 1.0
    if allowed.root_mean_square:
        scale = of_all = np.hypot(mean, spread) or 1.0  # the root mean square of all values
    found = max(
        _measure(allowed)(recorded.samples(value), expected, scale),
        abs(value.mean(dtype=np.float64) - mean) / of_all,
        abs(value.std(dtype=np.float64) - spread) / of_all,
        key=lambda number: (np.isnan(number), number),
    )
    return float(found)


# -- 4. and 5. Gradients and training steps ------------------------------------------------------


def gradient_rows(
    ours: Mapping[str, np.ndarray], reference: Mapping[str, np.ndarray], tolerance: float
) -> list[Row]:
    """The gradient of every variable, and the norm of all. One that a side does not have is zero
    there."""
    largest: dict[str, float] = {}
    for name, gradient in reference.items():
        layer = _layer_of(name)
        largest[layer] = max(largest.get(layer, 0.0), float(np.abs(gradient).max()))
    rows = []
    for name, gradient in reference.items():
        scale = max(float(np.abs(gradient).max()), _OF_THE_LAYER * largest[_layer_of(name)])
        found = ours[name] if name in ours else np.zeros_like(gradient)
        rows.append(tensor_row(name, found, gradient, tolerance, scale))
    for name in ours.keys() - reference.keys():
        if np.any(ours[name]):
            rows.append(Row(name, ours[name].shape, None, tolerance, False, "is no gradient there"))
    norm, expected = (_norm_of_all(side.values()) for side in (ours, reference))
    found = difference(np.float64(norm), np.float64(expected))
    rows.append(Row.of("norm of all gradients", (), found, tolerances.NORMS, f"{expected:.7g}"))
    return rows


def _norm_of_all(gradients: Iterable[np.ndarray]) -> float:
    return float(np.sqrt(sum(float(np.linalg.norm(gradient)) ** 2 for gradient in gradients)))


def _layer_of(name: str) -> str:
    parts = name.split("/")[:-1]
    if parts and parts[-1] in ("BatchNorm", "Regularizer"):
        parts = parts[:-1]
    return "/".join(parts)


def step_rows(
    ours: Training,
    reference: Training,
    before: Mapping[str, np.ndarray],
    allowed: Tolerances,
) -> list[Row]:
    """Losses of the steps; moving averages after the first and variables after the last one, by
    how far they moved."""
    rows = []
    for number, (loss, expected) in enumerate(zip(ours.losses, reference.losses, strict=True)):
        found = difference(np.float64(loss), np.float64(expected))
        rows.append(Row.of(f"loss of step {number}", (), found, allowed.losses, f"{expected:.7g}"))
    averages = [
        _move_row(name, ours.averages[name], expected, before[name], allowed.averages)
        for name, expected in reference.averages.items()
        if name in ours.averages
    ]
    rows += worst_of(averages, "moving averages after a step")
    variables = [
        _move_row(name, ours.variables[name], expected, before[name], allowed.variables)
        for name, expected in reference.variables.items()
        if name in ours.variables and name not in reference.averages
    ]
    return rows + worst_of(variables, "variables after three steps")


def recorded_step_rows(ours: Training, arrays: dict, before: Mapping[str, np.ndarray]) -> list[Row]:
    """Against three steps that TensorFlow 1.15.5 took: losses, norms of the first step's
    gradients, and samples of the moving averages after it, by how far they moved."""
    rows = []
    for number, expected in enumerate(arrays["losses"]):
        found = difference(np.float64(ours.losses[number]), np.float64(expected))
        rows.append(
            Row.of(f"loss of step {number}", (), found, tolerances.LOSSES, f"{expected:.7g}")
        )
    norms = dict(zip(map(str, arrays["gradient_names"]), arrays["gradient_norms"], strict=True))
    smallest = _ZERO_NORM * max(norms.values())
    gradients = []
    for name, expected in norms.items():
        norm = float(np.linalg.norm(ours.gradients.get(name, np.zeros(1))))
        found = difference(np.float64(norm), expected, max(expected, smallest))
        gradients.append(Row.of(f"norm of {name}'s gradient", (), found, tolerances.of_norm(name)))
    averages = []
    for name, expected in zip(
        map(str, arrays["average_names"]), arrays["average_samples"], strict=True
    ):
        if name not in ours.averages:
            averages.append(Row(name, (), None, None, False, "is not there"))
            continue
        parts = (ours.averages[name], before[name])
        value, start = (recorded.samples(part) for part in parts)
        averages.append(_move_row(name, value, expected, start, tolerances.AVERAGES, ours))
    return [
        *rows,
        *worst_of(gradients, "norms of gradients"),
        *worst_of(averages, "moving averages after a step, 64 samples of each"),
    ]


# A norm below this part of the largest is rounding: of a bias before batch norm, for one.
_ZERO_NORM = 1e-4


def _move_row(name, ours, expected, before, tolerance: float, training=None) -> Row:
    """Relative to the move; where that is hardly more than rounding, to the value's rounding."""
    note = ""
    if training is not None and name in training.unbiased_by:
        more, rate = training.unbiased_by[name]
        # (variance - before) * rate was the move; it is to be of the unbiased variance.
        ours = ours + more * (ours - before + rate * before)
        note = "Keras takes the biased variance, which is allowed for"
    move = float(np.abs(expected - before).max())
    rounding = tolerances.ULPS * _FLOAT32_ULP * float(np.abs(expected).max())
    row = tensor_row(name, ours, expected, tolerance, max(move, rounding / tolerance))
    return Row(row.name, row.shape, row.difference, row.tolerance, row.passed, row.note or note)


def _by_x(shape: Sequence[int]) -> str:
    return "x".join(map(str, shape)) or "of a number"
