"""What tools/record_goldens.py does without TensorFlow 1.15.5: arguments, files, comparison."""

import importlib.util
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

TOOLS = Path(__file__).parents[2] / "tools"


@pytest.fixture(scope="module")
def golden_files():
    spec = importlib.util.spec_from_file_location("golden_files", TOOLS / "golden_files.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize(
    "arguments, said",
    [
        (["vgg_b", "--into", "."], "vgg_b: not in tf_slim.nets, which has alexnet_v2"),
        (["fleabane", "--file", "no.py", "--into", "."], "takes one NAME, --shape and --classes"),
        (["vgg_a"], "one of the arguments --into --check is required"),
        (["vgg_a", "--into", "a", "--check", "b"], "not allowed with"),
    ],
)
def test_wrong_arguments(arguments, said):
    command = [sys.executable, str(TOOLS / "record_goldens.py"), *arguments]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 2 and said in done.stderr


@pytest.mark.parametrize("kind", ["variables", "outputs", "training_steps"])
def test_a_recording_is_written_whole_and_is_itself(golden_files, goldens, kind, tmp_path, capsys):
    known = golden_files.read(golden_files.path_of(goldens, kind, "mobilenet_v1"))
    path = golden_files.path_of(tmp_path, kind, "mobilenet_v1")
    golden_files.write(known, path)
    assert golden_files.check(known, path)
    assert " compared, the worst 0.0e+00 apart" in capsys.readouterr().out
    assert [file.name for file in Path(path).parent.iterdir()] == [Path(path).name]


def test_one_number_that_differs_is_named(golden_files, goldens, capsys):
    path = golden_files.path_of(goldens, "training_steps", "mobilenet_v1")
    changed = golden_files.read(path)
    changed["average_samples"] = changed["average_samples"].copy()
    changed["average_samples"][3, 7] += 1e-4
    assert not golden_files.check(changed, path)
    said = capsys.readouterr().out
    assert str(changed["average_names"][3]) in said
    assert str(changed["average_names"][4]) not in said


def test_a_variable_of_another_shape_is_named(golden_files, goldens, capsys):
    path = golden_files.path_of(goldens, "variables", "lenet")
    changed = golden_files.read(path)
    changed["variables"][0][1] = [3, 3, 1, 32]
    assert not golden_files.check(changed, path)
    assert "variables: LeNet/conv1/weights: 1.0e+00 apart" in capsys.readouterr().out


def test_a_write_that_fails_leaves_nothing(golden_files, tmp_path):
    with pytest.raises(TypeError):
        golden_files.write({"size": np.float32}, str(tmp_path / "net.json.gz"))
    assert list(tmp_path.iterdir()) == []
