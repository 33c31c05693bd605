"""`zoo convert`."""

import json

import zoo


def test_it_writes_the_file_and_says_what_was_left_out(run, small_checkpoint, tmp_path):
    output = tmp_path / "mobilenet.weights.h5"
    result = run("convert", small_checkpoint, "--to", "keras.applications", "-o", output)
    assert result.exit_code == 0
    assert "mobilenet_v1_0.25" in result.stdout
    assert "slim to keras.applications (MobileNet(alpha=0.25)): 137 tensors" in result.stdout
    assert "the background class, index 0, is left out" in result.stderr
    inspected = run("inspect", output)
    assert "HDF5 (Keras)" in inspected.stdout
    assert "keras.applications: MobileNet(alpha=0.25), 1000 classes" in inspected.stdout
    assert "mobilenet_v1_0.25_128, mobilenet_v1_0.25_160" in inspected.stdout
    data = json.loads(run("inspect", output, "--json").stdout)
    assert data["dialect"]["name"] == "keras.applications" and data["dialect"]["complete"]
    assert data["dialect"]["num_classes"] == 1000 and data["fits"] == []


def test_json_has_it_all(run, small_checkpoint, tmp_path):
    output = tmp_path / "mobilenet.safetensors"
    result = run("convert", small_checkpoint, "--to", "transformers", "-o", output, "--json")
    data = json.loads(result.stdout)
    assert data["source_dialect"] == "slim" and data["classes"] == 1001 and data["notes"] == []
    assert data["tensors"] == len(zoo.open_checkpoint(output))


def test_mistakes_are_told_without_a_traceback(run, run_program, small_checkpoint, tmp_path):
    result = run("convert", small_checkpoint, "--to", "tim", "-o", tmp_path / "x.safetensors")
    assert result.exit_code != 0 and "Nearest:  timm" in result.stderr
    program = run_program("convert", tmp_path / "none", "--to", "slim", "-o", tmp_path / "x.npz")
    assert program.returncode != 0 and "Traceback" not in program.stderr
    assert "There is no checkpoint" in program.stderr
    assert list(tmp_path.iterdir()) == []
