import shutil

import numpy as np
import pytest

from zoo.checkpoints import NameMap, assign, load, match, open_checkpoint, write_checkpoint
from zoo.errors import CheckpointFormatError, CheckpointMismatchError, CheckpointNotFoundError


def test_load_and_its_report(goldens, network, recorded):
    seen = []
    report = load(goldens / "momentum", network, progress=lambda *step: seen.append(step))
    for name, variable in network.items():
        np.testing.assert_array_equal(variable.value, recorded(name, variable.shape))
    assert str(report) == (
        "7 of 7 variables; also in the checkpoint: global_step, 6 optimizer slots, "
        "5 moving averages, 1 auxiliary variable"
    )
    assert [done for done, _, _ in seen] == list(range(1, 15))  # verified, then assigned
    assert {total for _, total, _ in seen} == {14}


def test_load_of_an_open_checkpoint_leaves_it_open(goldens, network):
    with open_checkpoint(goldens / "adam.ckpt") as checkpoint:
        assert load(checkpoint, network).format == "v1"
        checkpoint.read("Net/Conv/weights")


def test_load_of_moving_averages(goldens, network, recorded):
    report = load(goldens / "momentum", network, NameMap(moving_average=True))
    expected = recorded("Net/Logits/biases/ExponentialMovingAverage", (5,))
    np.testing.assert_array_equal(network["Net/Logits/biases"].value, expected)
    expected = recorded("Net/Conv/BatchNorm/moving_mean", (4,))
    np.testing.assert_array_equal(network["Net/Conv/BatchNorm/moving_mean"].value, expected)
    assert "moving averages in place of 5 variables (3 have none)" in str(report)


def test_report_of_allowed_differences(goldens, network, variable):
    network["Net/New/weights"] = variable((2,))
    del network["Net/Table/weights"]
    report = load(
        goldens / "momentum",
        network,
        NameMap(exclude="Net/Logits"),
        allow_missing="Net/New",
        allow_unexpected="Net/Table",
    )
    assert str(report).startswith(
        "4 of 7 variables; not in the checkpoint: Net/New/weights; left out: Net/Logits/"
    )
    assert "skipped in the checkpoint: Net/Table/weights" in str(report)
    assert network["Net/Logits/weights"].value is None


def test_a_mismatch_assigns_nothing(goldens, network, variable):
    network["Net/Conv/weights"] = variable((1, 1, 2, 4))
    with pytest.raises(CheckpointMismatchError):
        load(goldens / "momentum", network)
    assert all(variable.value is None for variable in network.values())


def test_damage_assigns_nothing(goldens, network, tmp_path):
    shutil.copytree(goldens / "momentum", tmp_path / "run")
    network["Net/Logits/weights"] = network.pop("Net/Logits/weights")  # is assigned last
    data = tmp_path / "run" / "model.ckpt-10.data-00000-of-00001"
    with open_checkpoint(tmp_path / "run") as checkpoint:
        place = checkpoint._tensor("Net/Logits/weights").where.offset
    content = bytearray(data.read_bytes())
    content[place] ^= 1
    data.write_bytes(content)
    with pytest.raises(CheckpointFormatError, match="checksum"):
        load(tmp_path / "run", network)
    assert all(variable.value is None for variable in network.values())
    with pytest.raises(CheckpointFormatError, match="checksum"):
        load(tmp_path / "run", network, verify=False)
    assert any(variable.value is not None for variable in network.values())


def test_missing_file_assigns_nothing(network, tmp_path):
    with pytest.raises(CheckpointNotFoundError):
        load(tmp_path / "model.ckpt", network)


@pytest.mark.parametrize("stored", ["float16", "float64"])
def test_dtypes_are_converted_and_it_is_said(tmp_path, variable, stored):
    values = np.array([1.5, -2.25], stored)
    write_checkpoint(tmp_path / "a", {"w": values})
    network = {"w": variable((2,))}
    report = load(tmp_path / "a", network)
    np.testing.assert_array_equal(network["w"].value, values.astype(np.float32))
    assert report.converted == {"w": (stored, "float32")}
    assert f"1 variable converted, {stored} to float32" in str(report)


def test_numbers_do_not_change_their_kind(tmp_path, variable):
    write_checkpoint(tmp_path / "a", {"w": np.array([1, 2])})
    with pytest.raises(CheckpointMismatchError, match="float32 in the network and int64 in the"):
        load(tmp_path / "a", {"w": variable((2,))})


def test_one_array_at_a_time(tmp_path, variable):
    """Peak memory of a load is that of one tensor, not of the checkpoint."""
    import tracemalloc

    arrays = {f"w{n}": np.full((256, 1024), n, np.float32) for n in range(16)}  # 1 MiB each
    write_checkpoint(tmp_path / "a", arrays)

    class Sink(variable):
        def assign(self, value):
            pass

    network = {name: Sink(array.shape) for name, array in arrays.items()}
    load(tmp_path / "a", network)  # fills the tables of the checksum
    tracemalloc.start()
    load(tmp_path / "a", network)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 4 << 20


def test_assign_into_tensorflow_and_keras_variables(goldens, network, recorded):
    import keras
    import tensorflow as tf

    makers = [tf.Variable, keras.Variable]
    real = {
        name: makers[number % 2](np.zeros(stand_in.shape, np.float32))
        for number, (name, stand_in) in enumerate(network.items())
    }
    real["Net/Logits/biases"] = keras.Variable(np.zeros(5), dtype="bfloat16")
    with open_checkpoint(goldens / "momentum") as checkpoint:
        report = assign(match(checkpoint, real), checkpoint, real)
    assert report.converted == {"Net/Logits/biases": ("float32", "bfloat16")}
    for name in sorted(network.keys() - report.converted.keys()):
        np.testing.assert_array_equal(np.asarray(real[name]), recorded(name, network[name].shape))
