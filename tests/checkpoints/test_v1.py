import shutil

import numpy as np
import pytest

from zoo.checkpoints import open_checkpoint
from zoo.errors import CheckpointFormatError


def test_recorded_by_tensorflow_1_15(goldens, golden_names, recorded):
    with open_checkpoint(goldens / "adam.ckpt") as checkpoint:
        assert checkpoint.format == "v1"
        assert checkpoint.names() == sorted(golden_names["adam"])
        for name, (shape, dtype) in golden_names["adam"].items():
            assert checkpoint.shape(name) == shape
            assert checkpoint.dtype(name) == dtype
            if "/art_" not in name:
                np.testing.assert_array_equal(checkpoint.read(name), recorded(name, shape, dtype))


def test_slot_of_one_partition_is_said_to_be_a_part(goldens):
    # TF 1.15 saves the slots of a partitioned variable under a scope as parts of unlike names.
    with open_checkpoint(goldens / "adam.ckpt") as checkpoint:
        with pytest.raises(CheckpointFormatError, match="only some parts are stored"):
            checkpoint.read("Net/Table/weights/art_0/Adam")


@pytest.mark.parametrize("name", ["v1", "v1s", "v1s-00000-of-00001", "v1s-?????-of-00001"])
def test_every_dtype_and_a_partitioned_variable(made_by_tensorflow, made, name):
    # TensorFlow's reader takes neither float16 nor partitioned variables from a V1 file, so the
    # expected values are those that the variables were given.
    with open_checkpoint(made_by_tensorflow / name) as checkpoint:
        assert checkpoint.format == "v1"
        assert set(checkpoint) == set(made)
        for variable, value in made.items():
            found = checkpoint.read(variable)
            assert found.dtype == value.dtype == checkpoint.dtype(variable)
            assert found.shape == value.shape == checkpoint.shape(variable)
            np.testing.assert_array_equal(found, value)


def test_values_equal_those_of_tensorflows_reader(made_by_tensorflow):
    import tensorflow as tf

    reader = tf.train.load_checkpoint(str(made_by_tensorflow / "v1"))
    with open_checkpoint(made_by_tensorflow / "v1") as checkpoint:
        for name in ("net/weights", "net/biases", "net/double", "steps", "global_step"):
            np.testing.assert_array_equal(checkpoint.read(name), reader.get_tensor(name))


def test_missing_shard(made_by_tensorflow, tmp_path):
    shutil.copy(made_by_tensorflow / "v1s-00000-of-00001", tmp_path / "m.ckpt-00001-of-00002")
    with pytest.raises(CheckpointFormatError, match=r"lacks the shard m\.ckpt-00000-of-00002"):
        open_checkpoint(tmp_path / "m.ckpt")
