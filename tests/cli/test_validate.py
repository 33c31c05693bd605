import json

import pytest

from zoo.cli import errors
from zoo.tables import read_csv
from zoo.validation import Run


@pytest.fixture
def disturbed(monkeypatch):
    """Models come with one variable changed after loading, which the TF1 graph does not see."""
    from zoo.validation import subjects

    fill = subjects.Subject.fill

    def disturb(self):
        values = fill(self)
        variable = self.model.tf1_variables["LeNet/fc4/biases"]
        variable.assign(variable + 0.01)
        return values

    monkeypatch.setattr(subjects.Subject, "fill", disturb)


def files(folder):
    return {path.suffix: path for path in folder.iterdir()}


def test_one_model(run, tmp_path):
    result = run("validate", "lenet", "--out", tmp_path / "new")
    assert (result.exit_code, result.stderr) == (0, "")
    *rows, verdict = result.stdout.splitlines()
    rows = [row.split("\t") for row in rows]
    assert len(rows) == 9 and {row[2] for row in rows} == {"passed"}
    assert rows[3][:2] == ["outputs", "tf1 graph"]
    assert verdict.startswith("PASSED  lenet: the original, by ")
    written = files(tmp_path / "new")
    assert sorted(written) == [".csv", ".html", ".json"]
    assert Run.read_json(written[".json"]).passed
    assert len(read_csv(written[".csv"])) == 9

    again = run("validate", "lenet", "--out", tmp_path / "new")
    assert (again.exit_code, again.stdout) == (0, "")
    assert "1 of 1 models passed before and are kept" in again.stderr


def test_a_difference_is_a_negative_answer(run, tmp_path, disturbed):
    result = run("validate", "lenet", "--json", "--out", tmp_path)
    assert result.exit_code == errors.NEGATIVE
    (found,) = json.loads(result.stdout)["results"]
    assert found["passed"] is False
    assert found["first_divergence"]["name"] == "Logits"
    assert not Run.read_json(files(tmp_path)[".json"]).passed


@pytest.mark.slow
def test_several_models_in_processes(run, tmp_path, monkeypatch):
    (tmp_path / "results").mkdir()
    monkeypatch.chdir(tmp_path)
    result = run("validate", "lenet", "cifarnet", "--jobs", "1")
    assert (result.exit_code, result.stderr) == (0, "")
    *models, summary = result.stdout.splitlines()
    assert [line.split()[:2] for line in models] == [["PASSED", "lenet:"], ["PASSED", "cifarnet:"]]
    assert summary == "2 of 2 models are their originals."
    assert list((tmp_path / "results").iterdir()) == []  # which is for `all`


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["lenett"], "lenet"),
        (["lenet", "--form", "shimm"], "shim"),
        (["lenet", "--backend", "torch"], "TF1 code runs on TensorFlow alone"),
        (["lenet", "cifarnet", "--ckpt", "model.ckpt"], "--ckpt"),
        (["lenet", "--ckpt", "nosuch.ckpt"], "nosuch.ckpt"),
    ],
)
def test_wrong_usage(run, arguments, said):
    result = run("validate", *arguments)
    assert result.exit_code in (errors.USAGE, errors.FILE) and result.stdout == ""
    assert said in result.stderr


def test_a_file_that_is_something_else_is_left_alone(run, tmp_path):
    from zoo.validation.results import Setting, file_name

    path = tmp_path / file_name(Setting(), ".json")
    path.write_text("mine")
    result = run("validate", "lenet", "--out", tmp_path)
    assert result.exit_code == errors.USAGE and "no run" in result.stderr
    assert path.read_text() == "mine"


def test_tpus_have_a_part_of_their_own(run, monkeypatch):
    from zoo.cli import tpu

    asked = []
    monkeypatch.setattr(
        tpu, "validate_on_tpu", lambda names, **options: asked.append((names, options)) or 0
    )
    assert run("validate", "lenet", "--device", "tpu", "--compile-only").exit_code == 0
    ((names, options),) = asked
    assert (names, options["compile_only"]) == (["lenet"], True)
    assert options["dtype"] == ["bfloat16"]  # as TPUs compute


def test_a_name_is_checked_before_tensorflow_is_imported(run_program):
    script = (
        "import sys; from zoo.cli import main; sys.argv = ['zoo', 'validate', 'nosuch']\n"
        "assert main() == 2 and 'tensorflow' not in sys.modules"
    )
    result = run_program(python=("-c", script))
    assert result.returncode == 0, result.stderr
