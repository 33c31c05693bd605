import numpy as np
import pytest

from zoo.checkpoints import open_checkpoint
from zoo.errors import CheckpointFormatError


@pytest.fixture
def numbers(made):
    return {name: value for name, value in made.items() if value.dtype != object}


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_npz_written_by_numpy(tmp_path, numbers, save):
    save(tmp_path / "a.npz", **numbers)
    with open_checkpoint(tmp_path / "a.npz") as checkpoint:
        assert checkpoint.format == "npz"
        assert set(checkpoint) == set(numbers)
        for name, value in numbers.items():
            found = checkpoint.read(name)
            assert (found.dtype, found.shape) == (value.dtype, value.shape)
            assert (checkpoint.dtype(name), checkpoint.shape(name)) == (value.dtype, value.shape)
            np.testing.assert_array_equal(found, value)


def test_npz_with_pickled_objects_is_refused(tmp_path, made):
    np.savez(tmp_path / "a.npz", names=made["net/names"])
    with pytest.raises(CheckpointFormatError, match="pickled"):
        open_checkpoint(tmp_path / "a.npz")


def test_npz_is_told_by_content(tmp_path):
    np.savez(tmp_path / "a.npz", w=np.arange(3))
    (tmp_path / "a.npz").rename(tmp_path / "weights")
    with open_checkpoint(tmp_path / "weights") as checkpoint:
        assert checkpoint.format == "npz"


def test_safetensors_written_by_the_library(tmp_path, numbers):
    from safetensors.numpy import save_file

    save_file(numbers, tmp_path / "a.safetensors")
    with open_checkpoint(tmp_path / "a.safetensors") as checkpoint:
        assert checkpoint.format == "safetensors"
        assert set(checkpoint) == set(numbers)
        for name, value in numbers.items():
            assert (checkpoint.dtype(name), checkpoint.shape(name)) == (value.dtype, value.shape)
            np.testing.assert_array_equal(checkpoint.read(name), value)


def test_safetensors_bfloat16(tmp_path):
    import ml_dtypes
    from safetensors.numpy import save_file

    value = np.array([1.5, -2], ml_dtypes.bfloat16)
    save_file({"w": value}, tmp_path / "a.safetensors")
    with open_checkpoint(tmp_path / "a.safetensors") as checkpoint:
        assert checkpoint.dtype("w") == value.dtype
        np.testing.assert_array_equal(checkpoint.read("w"), value)
