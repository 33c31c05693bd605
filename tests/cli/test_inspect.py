"""Counts and sizes are those that TensorFlow 1.15.5 gives for the original network
(tests/goldens/variables): 137 variables of 475,801 values."""

import json

import numpy as np
import pytest
from conftest import save_as_tf1_does

from zoo.cli import errors


@pytest.fixture(scope="module")
def training_checkpoint(tmp_path_factory):
    """With what a training run saves besides, written by tf.compat.v1.train.Saver."""
    from zoo.adapters.mobilenet_v1 import MobileNetV1

    network = MobileNetV1(num_classes=10, depth_multiplier=0.25)
    weights = "MobilenetV1/Conv2d_0/weights"
    extra = [
        ("global_step", np.int64(90210)),
        (f"{weights}/RMSProp", np.zeros((3, 3, 3, 8), np.float32)),
        (f"{weights}/RMSProp_1", np.zeros((3, 3, 3, 8), np.float32)),
        (f"{weights}/ExponentialMovingAverage", np.zeros((3, 3, 3, 8), np.float32)),
    ]
    folder = tmp_path_factory.mktemp("training")
    save_as_tf1_does(network, (128, 128, 3), folder / "model.ckpt", extra=extra)
    return folder


@pytest.fixture(scope="module")
def odd_arrays(tmp_path_factory):
    path = tmp_path_factory.mktemp("odd") / "odd.npz"
    np.savez(path, **{"net/a\x1b[31m": np.zeros((2, 3), np.float16), "net/b": np.int32(7)})
    return path


def facts(result):
    lines = [line.strip().split("  ", 1) for line in result.stdout.splitlines()[1:]]
    return {line[0]: line[1].strip() for line in lines if len(line) == 2}


def test_a_published_checkpoint(run, small_checkpoint):
    result = run("inspect", small_checkpoint)
    assert (result.exit_code, result.stderr) == (0, "")
    assert result.stdout.splitlines()[0] == str(small_checkpoint)
    shown = facts(result)
    assert set(shown) == {"format", "variables", "fits"}
    assert shown["format"].startswith("V2 bundle")
    assert shown["variables"] == "137 (475,801 values, 1.9 MB, float32)"
    assert "137 of 137 variables, 1001 classes" in shown["fits"]
    assert "mobilenet_v1_0.25_128" in shown["fits"]
    assert "mobilenet_v1_0.5" not in shown["fits"]


def test_roles_in_a_training_directory(run, training_checkpoint):
    shown = facts(run("inspect", training_checkpoint))
    assert shown["optimizer slots"] == "2 (432 values, 1.7 kB, float32)"
    assert shown["moving averages"] == "1 (216 values, 864 bytes, float32)"
    assert shown["global step"] == "90210"
    assert shown["variables"].startswith("137 (")
    assert "137 of 137 variables, 10 classes" in shown["fits"]


def test_json(run, training_checkpoint):
    values = json.loads(run("inspect", training_checkpoint, "--json").stdout)
    assert values["path"] == str(training_checkpoint)
    assert values["format"] == "v2"
    assert values["global_step"] == 90210
    assert values["roles"]["optimizer_slot"] == {
        "count": 2,
        "values": 432,
        "bytes": 1728,
        "dtypes": {"float32": 2},
    }
    best = values["fits"][0]
    assert "mobilenet_v1_0.25_128" in best["models"]
    assert (best["complete"], best["matched"], best["total"]) == (True, 137, 137)
    assert (best["num_classes"], best["outer_scope"]) == (10, "")
    assert "variables" not in values


def test_all_lists_names_shapes_dtypes_and_roles(run, odd_arrays):
    result = run("inspect", odd_arrays, "--all")
    assert result.stdout.splitlines()[-2:] == [
        "net/a\\x1b[31m\t2x3\tfloat16\tvariable",
        "net/b\tscalar\tint32\tvariable",
    ]
    assert facts(result)["fits"] == "no registered architecture"
    values = json.loads(run("inspect", odd_arrays, "--all", "--json").stdout)
    assert values["fits"] == []
    assert values["variables"][0] == {
        "name": "net/a\x1b[31m",
        "shape": [2, 3],
        "dtype": "float16",
        "role": "variable",
        "bytes": 12,
    }


def test_an_incomplete_network_names_the_nearest_architecture(run, tmp_path):
    path = tmp_path / "part.npz"
    np.savez(path, **{"MobilenetV1/Conv2d_0/weights": np.zeros((3, 3, 3, 8), np.float32)})
    shown = run("inspect", path).stdout
    assert "no registered architecture as a whole" in shown
    assert "1 of 137 variables" in shown


@pytest.mark.parametrize("kind", ["nothing", "empty directory", "text", "cut off"])
def test_what_is_no_checkpoint(run, tmp_path, small_checkpoint, kind):
    path = tmp_path / "model.ckpt"
    if kind == "empty directory":
        path.mkdir()
    elif kind == "text":
        path.write_text("hello")
    elif kind == "cut off":
        index = (tmp_path / "model.ckpt.index", f"{small_checkpoint}.index")
        index[0].write_bytes(open(index[1], "rb").read()[:-20])
        (tmp_path / "model.ckpt.data-00000-of-00001").write_bytes(b"")
    result = run("inspect", path)
    assert (result.exit_code, result.stdout) == (errors.FILE, "")
    assert str(path) in result.stderr
    assert "bug" not in result.stderr
