import shutil

import numpy as np
import pytest

from zoo.checkpoints import open_checkpoint
from zoo.errors import ArgumentError, CheckpointFormatError


def test_recorded_by_tensorflow_1_15(goldens, golden_names, recorded):
    with open_checkpoint(goldens / "momentum" / "model.ckpt-10") as checkpoint:
        assert checkpoint.format == "v2"
        assert checkpoint.names() == sorted(golden_names["momentum"])
        for name, (shape, dtype) in golden_names["momentum"].items():
            assert checkpoint.shape(name) == shape
            assert checkpoint.dtype(name) == dtype
            np.testing.assert_array_equal(checkpoint.read(name), recorded(name, shape, dtype))


def test_every_dtype_and_a_partitioned_variable(made_by_tensorflow, made):
    import tensorflow as tf

    reader = tf.train.load_checkpoint(str(made_by_tensorflow / "v2"))
    with open_checkpoint(made_by_tensorflow / "v2") as checkpoint:
        assert set(checkpoint) == set(made) == set(reader.get_variable_to_shape_map())
        assert len(checkpoint) == len(made)
        for name, value in made.items():
            found = checkpoint.read(name)
            assert found.shape == value.shape == checkpoint.shape(name)
            assert found.dtype == value.dtype == checkpoint.dtype(name)
            np.testing.assert_array_equal(found, value)
            np.testing.assert_array_equal(found, reader.get_tensor(name))


def test_unknown_name(goldens):
    with open_checkpoint(goldens / "momentum") as checkpoint:
        assert "Net/Conv/weights" in checkpoint
        assert "Net/Conv/weihgts" not in checkpoint
        with pytest.raises(ArgumentError, match=r"Nearest:.*Net/Conv/weights"):
            checkpoint.read("Net/Conv/weihgts")


def test_missing_data_file(goldens, tmp_path):
    shutil.copy(goldens / "momentum" / "model.ckpt-10.index", tmp_path)
    with pytest.raises(CheckpointFormatError, match=r"lacks its data file model\.ckpt-10\.data-00"):
        open_checkpoint(tmp_path / "model.ckpt-10")


def test_missing_index(goldens, tmp_path):
    shutil.copy(goldens / "momentum" / "model.ckpt-10.data-00000-of-00001", tmp_path)
    for name in ("model.ckpt-10", "model.ckpt-10.data-00000-of-00001"):
        with pytest.raises(CheckpointFormatError, match=r"model\.ckpt-10\.index"):
            open_checkpoint(tmp_path / name)


def test_data_file_is_a_git_lfs_pointer(goldens, tmp_path):
    shutil.copy(goldens / "momentum" / "model.ckpt-10.index", tmp_path)
    pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1812\n"
    (tmp_path / "model.ckpt-10.data-00000-of-00001").write_text(pointer)
    with pytest.raises(CheckpointFormatError, match=r"is a Git LFS pointer.*\n.*git lfs pull"):
        open_checkpoint(tmp_path / "model.ckpt-10")
