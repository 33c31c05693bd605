"""Results, as files have them."""

import json
import subprocess
import sys

import pytest

from zoo.errors import ArgumentError
from zoo.tables import read_csv
from zoo.validation import Result, Row, Run, Setting, Stage
from zoo.validation.results import (
    ITSELF,
    TENSORFLOW_1,
    TF1_GRAPH,
    describe,
    file_name,
    flat_rows,
    versions,
)


def result(model="lenet", *failing, passed_preprocessing=True):
    def row(name, number=1e-7):
        return Row.of(name, (2, 3), 1.0 if name in failing else number, 1e-5)

    stages = (
        Stage.of(
            "preprocessing",
            TENSORFLOW_1,
            [
                Row.of("p", (), 0, 1)
                if passed_preprocessing
                else Row("p", (), None, None, False, "why")
            ],
        ),
        Stage.of("outputs", TF1_GRAPH, [row("Conv"), row("logits", 9e-6)], seconds=1.23456),
        Stage.skipped("gradients", TF1_GRAPH, "because"),
        Stage.of("saved and reloaded", ITSELF, [row("weights")]),
    )
    return Result(model, "lenet", Setting(image_shape=(28, 28, 1)), versions(), stages, 2.5)


def test_the_verdict():
    assert result().passed and result().first_divergence is None
    assert not result("lenet", "logits").passed
    nothing = Result("lenet", None, Setting(), {}, (Stage.skipped("outputs", TF1_GRAPH, ""),))
    assert not nothing.passed
    assert not Run.begin("zoo validate").passed


def test_the_first_divergence_is_the_networks_before_preprocessings():
    both = result("lenet", "logits", "weights", passed_preprocessing=False)
    found = both.first_divergence
    assert (found["stage"], found["name"], found["difference"]) == ("outputs", "logits", 1.0)
    assert (
        describe(found) == "logits (outputs, against tf1 graph) by 1.0e+00 where 1e-05 is allowed"
    )
    alone = result(passed_preprocessing=False)
    assert not alone.passed and alone.first_divergence["stage"] == "preprocessing"
    assert "not the original" in str(alone) and "p (preprocessing" in str(alone)


def test_what_is_no_number_does_not_pass():
    for number in (float("nan"), float("inf")):
        row = Row.of("a", (), number, 1e-5)
        assert not row.passed and row.difference is None and row.note
    assert Row.of("a", (), 1e-5, 1e-5).passed


def test_there_and_back(tmp_path):
    run = Run.begin("zoo validate lenet").adding(result()).adding(result("cifarnet", "logits"))
    path = run.write_json(tmp_path / "run.json")
    assert Run.read_json(path) == run
    data = json.loads(path.read_text())
    assert [one["model"] for one in data["results"]] == ["lenet", "cifarnet"]
    assert [one["passed"] for one in data["results"]] == [True, False]
    assert data["results"][1]["first_divergence"]["name"] == "logits"
    assert [path.name for path in tmp_path.iterdir()] == ["run.json"]


def test_a_later_result_takes_the_place_of_an_earlier():
    run = Run.begin("").adding(result("lenet", "logits")).adding(result("lenet"))
    assert len(run.results) == 1 and run.passed


def test_rows_for_csv(tmp_path):
    run = Run.begin("").adding(result("lenet", "Conv"))
    rows = read_csv(run.write_csv(tmp_path / "run.csv"))
    assert [row["stage"] for row in rows] == [stage.name for stage in run.results[0].stages]
    outputs = rows[1]
    assert (outputs["model"], outputs["image_shape"]) == ("lenet", "28x28x1")
    assert (outputs["compared"], outputs["failed"], outputs["worst"]) == (2, 1, "Conv")
    assert (outputs["difference"], outputs["tolerance"]) == (1.0, 1e-5)
    assert rows[2]["reason"] == "because"


def test_the_worst_is_the_one_closest_to_its_tolerance():
    assert flat_rows(result())[1]["worst"] == "logits"
    stage = Stage.of("outputs", TF1_GRAPH, [Row.of("a", (), 1e-6, 1e-5), Row.of("b", (), 5e-6, 1)])
    assert stage.worst.name == "a"


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"created": 1, "results": [{}]}', "\0"])
def test_a_file_that_holds_something_else(tmp_path, text):
    path = tmp_path / "run.json"
    path.write_text(text)
    with pytest.raises(ArgumentError, match="no run"):
        Run.read_json(path)


def test_names_of_files():
    name = file_name(Setting(mode="xla", dtype="bfloat16"), ".json", "NVIDIA H100 80GB")
    assert name.startswith("validation-nvidia_h100_80gb-shim_xla-tensorflow-bfloat16-tf2.")
    assert name.endswith(".json") and "-keras3." in name
    assert file_name(Setting(), ".csv").startswith("validation-cpu-shim-tensorflow-float32-tf")


def test_results_are_read_without_tensorflow():
    code = "import sys, zoo.validation.results; assert 'tensorflow' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
