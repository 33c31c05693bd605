"""Every adapter against its network's original TF-Slim code: goldens/variables and goldens/outputs,
recorded with TensorFlow 1.15.5."""

import numpy as np

from zoo.shim import tf1_variables

GIVEN_BY_THE_LAYER = {"inputs", "images", "is_training", "reuse", "scope"}


def test_variables_have_the_names_shapes_flags_and_order(built):
    variables = [[n, list(v.shape), v.trainable] for n, v in tf1_variables(built.network).items()]
    assert variables == built.recorded["variables"]


def test_number_of_parameters(built):
    network = built.network
    assert network.count_params() == built.recorded["num_params"]
    trainable = sum(int(np.prod(v.shape)) for v in network.trainable_variables)
    assert trainable == built.recorded["num_trainable_params"]


def test_end_points_have_the_names_shapes_and_order(built):
    end_points = [[name, list(value.shape)] for name, value in built.end_points.items()]
    assert end_points == built.recorded["end_points"]


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


def test_logits_are_an_end_point(built, relative_difference):
    # Two traces of one function, so equal up to how the compiler fuses them.
    alike = [value for value in built.end_points.values() if value.shape == built.logits.shape]
    assert min(relative_difference(value, built.logits) for value in alike) < 1e-5


def test_regularization_losses(built):
    losses = built.network.losses
    assert len(losses) == built.recorded["num_reg_losses"]
    expected = built.recorded["reg_loss_inference"]
    assert abs(float(sum(losses)) - expected) <= 1e-5 * expected


def test_defaults_are_the_originals(built):
    accepted = type(built.network).accepted_arguments()
    recorded = {**built.recorded["arg_scope_defaults"], **built.recorded["function_defaults"]}
    # The published checkpoints' number of classes, with or without a background class.
    recorded["num_classes"] = built.recorded["num_classes"]
    for name in recorded.keys() - GIVEN_BY_THE_LAYER:
        default = getattr(accepted[name], "__name__", accepted[name])
        assert default == recorded[name], name
