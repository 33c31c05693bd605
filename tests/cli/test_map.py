"""`zoo map`: the TF1 name of each weight of a native model."""

import json

import pytest

from zoo.native import WeightMap


def test_a_line_for_each_weight(run):
    result = run("map", "lenet")
    lines = result.stdout.splitlines()
    assert lines[0].split("\t") == ["LeNet/conv1/weights", "LeNet-conv1", "kernel", "5x5x1x32"]
    assert len(lines) == 8


def test_json(run):
    result = run("map", "lenet", "--json")
    weights = WeightMap.from_json(result.stdout)
    assert weights.tf1_name("LeNet-fc4", "bias") == "LeNet/fc4/biases"
    assert json.loads(result.stdout)["model"] == "lenet"


@pytest.mark.slow
def test_what_the_native_form_does_without(run):
    result = run("map", "inception_v3")
    last = result.stdout.splitlines()[-1].split("\t")
    assert last[0].startswith("InceptionV3/AuxLogits/")
    assert last[1:] == ["-", "-", "-"]
