"""`zoo.verify`: that it passes what is the same and fails what is not."""

import json

import numpy as np
import pytest
import recipe
from conftest import SMALL

import zoo
from zoo.errors import ArgumentError
from zoo.shim import tf1_variables
from zoo.validation.equivalence import run_tf1_graph


def test_a_loaded_checkpoint_is_the_graphs_function(small_checkpoint):
    report = zoo.verify(SMALL, tf1_ckpt=small_checkpoint)
    assert report.passed and report.variables == 137
    assert [row.name for row in report.end_points][:2] == ["Conv2d_0", "Conv2d_1_depthwise"]
    assert "the same function" in str(report)
    assert json.loads(json.dumps(report.to_dict()))["passed"] is True


def test_the_session_gives_tensorflow_1_15s_logits(goldens):
    recorded = np.load(goldens / "outputs" / "mobilenet_v1_025.npz")
    network = zoo.load(SMALL, weights=None).network
    shapes = {name: tuple(variable.shape) for name, variable in tf1_variables(network).items()}
    logits, _, variables = run_tf1_graph(
        network, recipe.images((2, 224, 224, 3)), lambda name: recipe.weights(name, shapes[name])
    )
    assert variables == shapes
    assert np.abs(logits - recorded["logits"]).max() < 1e-5 * np.abs(recorded["logits"]).max()


@pytest.mark.parametrize(
    "name, first",
    [
        ("MobilenetV1/Conv2d_3_depthwise/BatchNorm/beta", "Conv2d_3_depthwise"),
        ("MobilenetV1/Logits/Conv2d_1c_1x1/biases", "Logits"),
    ],
)
def test_one_changed_variable_is_found_where_it_first_shows(small_checkpoint, name, first):
    model = zoo.load(SMALL, tf1_ckpt=small_checkpoint)
    variable = model.tf1_variables[name]
    variable.assign(variable + 0.05)
    report = zoo.compare_with_tf1_graph(model)
    assert not report.passed
    assert report.first_divergence.name == first
    assert f"different from {first} on" in str(report)


def test_random_values_need_no_checkpoint():
    assert zoo.verify(SMALL, weights=None).passed


def test_a_free_input_size_needs_images(small_checkpoint):
    arguments = {"tf1_ckpt": small_checkpoint, "input_shape": (None, None, 3)}
    with pytest.raises(ArgumentError, match="images="):
        zoo.verify(SMALL, **arguments)
    assert zoo.verify(SMALL, images=recipe.images((1, 96, 96, 3)), **arguments).passed


def test_nan_is_no_pass(small_checkpoint):
    model = zoo.load(SMALL, tf1_ckpt=small_checkpoint)
    variable = model.tf1_variables["MobilenetV1/Conv2d_0/BatchNorm/beta"]
    variable.assign(np.full(variable.shape, np.nan))
    assert not zoo.compare_with_tf1_graph(model).passed
