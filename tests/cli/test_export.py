import json

import numpy as np
import pytest

import zoo
from zoo.cli import errors

SMALL = "mobilenet_v1_0.25_128"


@pytest.mark.slow
def test_every_form(run, small_checkpoint, tmp_path):
    tf1 = run(
        "export",
        SMALL,
        *("--ckpt", small_checkpoint, "--to", "tf1", "--out", tmp_path / "tf1"),
        *("--meta", "--frozen"),
    )
    assert (tf1.exit_code, tf1.stderr) == (0, "")
    written = sorted(str(path) for path in (tmp_path / "tf1").iterdir())
    assert sorted(tf1.stdout.splitlines()) == written and len(written) == 5
    with zoo.open_checkpoint(tmp_path / "tf1") as ours, zoo.open_checkpoint(small_checkpoint) as it:
        for name in it:
            np.testing.assert_array_equal(ours.read(name), it.read(name))
    forms = {"saved_model": "folder", "tflite": "small.tflite", "onnx": "small.onnx"}
    for form, name in forms.items():
        result = run(
            "export", SMALL, "--ckpt", small_checkpoint, "--to", form, "--out", tmp_path / name
        )
        assert (result.exit_code, result.stdout) == (0, f"{tmp_path / name}\n")
    assert (tmp_path / "folder" / "saved_model.pb").is_file()
    assert (tmp_path / "small.tflite").read_bytes()[4:8] == b"TFL3"  # the file's magic
    assert b"tf2onnx" in (tmp_path / "small.onnx").read_bytes()[:100]  # its producer


def test_a_keras_file(run, tmp_path):
    model = zoo.load("lenet", weights=None)
    model.save(tmp_path / "mine.keras")
    out = tmp_path / "out"
    result = run("export", tmp_path / "mine.keras", "--to", "tf1", "--out", out, "--json")
    assert result.exit_code == 0
    names = ["model.ckpt.index", "model.ckpt.data-00000-of-00001", "checkpoint"]
    assert json.loads(result.stdout) == {
        "form": "tf1",
        "files": [str(out / name) for name in names],
    }
    with zoo.open_checkpoint(out) as checkpoint:
        for name, variable in model.tf1_variables.items():
            np.testing.assert_array_equal(checkpoint.read(name), variable)


def test_a_program(run, tmp_path):
    zoo.load("lenet", weights=None).save(tmp_path / "mine.keras")
    out = tmp_path / "lenet.stablehlo"
    arguments = ("--to", "stablehlo", "--training", "--batch", "4", "--out", out)
    result = run("export", tmp_path / "mine.keras", *arguments)
    assert (result.exit_code, result.stdout) == (0, f"{out}\n{out}.json\n")
    described = json.loads((tmp_path / "lenet.stablehlo.json").read_text())
    assert described["inputs"][0]["shape"] == [4, 28, 28, 1] and described["training"]


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["lenett", "--to", "tf1"], errors.USAGE, "Nearest: lenet"),
        (["lenet", "--to", "caffe"], errors.USAGE, "'caffe' is not one of"),
        (["nothing.keras", "--to", "tf1"], errors.FILE, "There is no file nothing.keras"),
        (["broken.keras", "--to", "tf1"], errors.FILE, "cannot be loaded as a Keras model"),
        (["lenet", "--to", "tflite", "--meta"], errors.USAGE, "go with --to tf1"),
        (["lenet", "--to", "tf1", "--quantize", "dynamic"], errors.USAGE, "goes with --to tflite"),
        (["lenet", "--to", "onnx", "--batch", "4"], errors.USAGE, "go with --to stablehlo"),
        (["a.keras", "--to", "tf1", "--num-classes", "3"], errors.USAGE, "its own weights"),
    ],
)
def test_what_goes_wrong(run, tmp_path, monkeypatch, arguments, code, said):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "broken.keras").write_bytes(b"PK\x03\x04 and no more")
    result = run("export", *arguments, "--out", "out")
    assert result.exit_code == code
    assert said in " ".join(result.stderr.split())
    assert not (tmp_path / "out").exists()
