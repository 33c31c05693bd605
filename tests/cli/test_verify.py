import json

import pytest

from zoo.cli import errors

SMALL = "mobilenet_v1_0.25_128"


@pytest.fixture
def disturbed(monkeypatch):
    """Models come with one variable changed after loading, which the TF1 graph does not see."""
    from zoo import loading

    load = loading.load

    def load_disturbed(*arguments, **options):
        model = load(*arguments, **options)
        variable = model.tf1_variables["MobilenetV1/Conv2d_5_pointwise/weights"]
        variable.assign(variable + 0.01)
        return model

    monkeypatch.setattr(loading, "load", load_disturbed)


def test_the_same_function(run, small_checkpoint):
    result = run("verify", SMALL, "--ckpt", small_checkpoint)
    assert (result.exit_code, result.stderr) == (0, "")
    *rows, verdict = result.stdout.splitlines()
    rows = [row.split("\t") for row in rows]
    assert len(rows) == 31  # TF 1.15.5 has 30 end points; and the logits
    assert [rows[0][0], rows[-1][0]] == ["Conv2d_0", "logits"]
    assert rows[0][1] == "2x64x64x8"
    assert {row[4] for row in rows} == {"ok"}
    assert all(float(row[2]) <= float(row[3]) for row in rows)
    assert verdict.startswith("PASSED  ") and "137 variables" in verdict


def test_a_different_function_is_a_negative_answer(run, small_checkpoint, disturbed):
    result = run("verify", SMALL, "--ckpt", small_checkpoint)
    assert result.exit_code == errors.NEGATIVE
    *rows, verdict = result.stdout.splitlines()
    rows = {row.split("\t")[0]: row.split("\t")[4] for row in rows}
    assert rows["Conv2d_5_depthwise"] == "ok"
    assert rows["Conv2d_5_pointwise"] == rows["Logits"] == rows["logits"] == "DIFFERENT"
    assert verdict.startswith("FAILED  ") and "Conv2d_5_pointwise" in verdict


def test_json(run, small_checkpoint, disturbed):
    result = run("verify", SMALL, "--ckpt", small_checkpoint, "--json")
    assert result.exit_code == errors.NEGATIVE
    report = json.loads(result.stdout)
    assert report["passed"] is False
    assert report["variables"] == 137
    assert report["logits"]["difference"] > report["logits"]["tolerance"]
    first = report["end_points"][0]
    assert (first["name"], first["shape"]) == ("Conv2d_0", [2, 64, 64, 8])


@pytest.mark.slow
def test_random_values_need_no_checkpoint_and_tensorflow_keeps_quiet(
    run_program, quiet_environment, tmp_path
):
    environment = {**quiet_environment, "ZOO_OFFLINE": "1", "ZOO_CACHE": str(tmp_path)}
    result = run_program("verify", SMALL, "--random", env=environment)
    assert (result.returncode, result.stderr) == (0, "")
    assert "\nPASSED  " in result.stdout
    assert list(tmp_path.iterdir()) == []


def test_random_and_a_checkpoint_exclude_each_other(run, small_checkpoint):
    result = run("verify", SMALL, "--random", "--ckpt", small_checkpoint)
    assert (result.exit_code, result.stdout) == (errors.USAGE, "")


def test_a_name_is_checked_before_tensorflow_is_imported(run_program):
    script = (
        "import sys; from zoo.cli import main; sys.argv = ['zoo', 'verify', 'nosuch']\n"
        "assert main() == 2 and 'tensorflow' not in sys.modules"
    )
    result = run_program(python=("-c", script))
    assert result.returncode == 0, result.stderr


def test_an_environment_that_does_not_serve(run_program, quiet_environment):
    for setting in ("TF_USE_LEGACY_KERAS=1", "KERAS_BACKEND=jax"):
        key, _, value = setting.partition("=")
        environment = {**quiet_environment, key: value}
        result = run_program("verify", SMALL, "--random", env=environment)
        assert (result.returncode, result.stdout) == (errors.INSTALLATION, "")
        assert key in result.stderr and "Traceback" not in result.stderr
