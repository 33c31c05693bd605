"""Every adapter against its network's original TF-Slim code: goldens/variables and goldens/outputs,
recorded with TensorFlow 1.15.5.

What a network makes in training alone (an auxiliary head) is there from the first call on here,
and is held against the recording of its training graph.
"""

import networks
import numpy as np

from zoo.shim import tf1_variables

GIVEN_BY_THE_LAYER = {"inputs", "images", "is_training", "reuse", "scope"}


def of_training(built) -> dict:
    """The recording of the training graph, which most networks share with inference."""
    return built.recorded.get("training", built.recorded)


def in_training_alone(built, kind: str) -> list:
    """Rows of the recorded "variables" or "end_points" that the training graph alone has."""
    return [row for row in of_training(built)[kind] if row not in built.recorded[kind]]


def test_variables_have_the_names_shapes_flags_and_order(built):
    variables = [[n, list(v.shape), v.trainable] for n, v in tf1_variables(built.network).items()]
    added = in_training_alone(built, "variables")
    assert [row for row in variables if row not in added] == built.recorded["variables"]
    assert [row for row in variables if row in added] == added


def test_number_of_parameters(built):
    added = {name for name, *_ in in_training_alone(built, "variables")}
    variables = {n: v for n, v in tf1_variables(built.network).items() if n not in added}
    sizes = {name: int(np.prod(v.shape)) for name, v in variables.items()}
    assert sum(sizes.values()) == built.recorded["num_params"]
    trained = sum(sizes[name] for name, v in variables.items() if v.trainable)
    assert trained == built.recorded["num_trainable_params"]


def test_end_points_have_the_names_shapes_and_order(built):
    added = in_training_alone(built, "end_points")
    end_points = [[name, list(value.shape)] for name, value in built.end_points.items()]
    assert [row for row in end_points if row not in added] == built.recorded["end_points"]


def test_logits(built, relative_difference):
    # TF 1.15.5 and TF 2.21 differ by 2e-7 to 4e-6 on one code (CPU, float32), and by 1.7e-5 on
    # mobilenet_v3_large, whose gates and hard swishes multiply each other's rounding.
    bound = 3e-5 if built.arch == "mobilenet_v3_large" else 1e-5
    assert relative_difference(built.logits, built.outputs["logits"]) < bound


def test_end_point_values(built, relative_difference, samples):
    outputs = built.outputs
    for i, name in enumerate(outputs["ep_names"]):
        value, expected = np.asarray(built.end_points[str(name)]), outputs["ep_samples"][i]
        spread = outputs["ep_std"][i]
        scale = max(np.abs(expected).max(), spread)  # saturated predictions: 64 zeros
        assert relative_difference(samples(value), expected, scale) < 1e-4, name
        assert abs(value.mean(dtype=np.float64) - outputs["ep_mean"][i]) < 1e-4 * spread, name
        assert abs(value.std(dtype=np.float64) - spread) < 1e-4 * spread, name


def test_logits_are_an_end_point(built):
    alike = [value for value in built.end_points.values() if value.shape == built.logits.shape]
    assert any(np.array_equal(value, built.logits) for value in alike)


def test_regularization_losses(built):
    """The training graph's; of inference too, for it is a function of the weights alone."""
    losses = built.network.losses
    assert len(losses) == of_training(built)["num_reg_losses"]
    expected = built.recorded["reg_loss_inference"]
    if "training" in built.recorded:
        expected = built.recorded["training"]["reg_loss"]
    assert abs(float(sum(losses)) - expected) <= 1e-5 * expected


def test_defaults_are_the_originals(built):
    accepted = type(built.network).accepted_arguments()
    recorded = {**built.recorded["arg_scope_defaults"], **built.recorded["function_defaults"]}
    # The published checkpoints' number of classes, with or without a background class.
    recorded["num_classes"] = built.recorded["num_classes"]
    for name in recorded.keys() - GIVEN_BY_THE_LAYER:
        default = getattr(accepted[name], "__name__", accepted[name])
        assert default == recorded[name], name


def test_training(built):
    """The whole network in training mode. Last of all, since it moves the moving averages."""
    averages = {n: v for n, v in tf1_variables(built.network).items() if "/moving_" in n}
    means = [variable for name, variable in averages.items() if name.endswith("moving_mean")]
    for first in means[:1]:  # from nothing, where float32 says exactly how far it moves
        first.assign(np.zeros(first.shape))
    before = [variable.numpy() for variable in averages.values()]
    logits, end_points = networks.run(built.network, built.images, training=True)
    shapes = [[name, list(value.shape)] for name, value in end_points.items()]
    assert shapes == of_training(built)["end_points"]
    assert all(np.isfinite(value).all() for value in end_points.values())
    moved = [np.any(v.numpy() != old) for v, old in zip(averages.values(), before, strict=True)]
    assert all(moved) and len(moved) == built.recorded["num_update_ops"]

    once = [first.numpy() for first in means[:1]]
    others, _ = networks.run(built.network, built.images, training=True)
    for first, old in zip(means, once, strict=False):
        # Twice to the same statistics of the same batch: by 1 - decay of the way, then by 1 - decay
        # of what was left, which is decay times as far.
        further = first.numpy() - old
        (decay,) = built.recorded["batch_norm_decay"]
        assert abs((old @ further) / (old @ old) - decay) < 0.01 * (1 - decay)
    defaults = {**built.recorded["arg_scope_defaults"], **built.recorded["function_defaults"]}
    if defaults.get("dropout_keep_prob", 1) < 0.9:  # MobileNet V1 keeps 999 of 1000
        assert np.any(np.asarray(logits) != others)
