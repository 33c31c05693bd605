"""HDF5 files as anybody may have made them; made here by h5py itself."""

import h5py
import numpy as np
import pytest

from zoo.dialects import hdf5, open_weights
from zoo.errors import CheckpointFormatError


@pytest.fixture
def make(tmp_path):
    """Makes a file by a function of the open h5py.File."""

    def made(fill, name="file.h5"):
        with h5py.File(tmp_path / name, "w") as file:
            fill(file)
        return tmp_path / name

    return made


def test_names_shapes_and_values(make):
    def fill(file):
        file["layers/dense/vars/0"] = np.arange(6, dtype=np.float32).reshape(2, 3)
        file["optimizer/vars/0"] = np.ones(2, np.float32)
        file["layers/dropout/seed_generator/vars/0"] = np.zeros(2, np.uint32)

    with open_weights(make(fill)) as opened:
        assert opened.format == "hdf5" and len(opened) == 3 and not opened.is_legacy
        assert opened.weights == ["layers/dense/vars/0"]
        assert opened.shape("layers/dense/vars/0") == (2, 3)
        np.testing.assert_array_equal(opened.read("layers/dense/vars/0").ravel(), range(6))


def test_keras_2_laid_layers_out_in_a_list(make):
    with open_weights(make(lambda file: file.attrs.create("layer_names", [b"conv1"]))) as opened:
        assert opened.is_legacy
    with open_weights(make(lambda file: file.create_group("model_weights"))) as opened:
        assert opened.is_legacy


@pytest.mark.parametrize(
    ("fill", "says"),
    [
        (lambda file, other: file.update({"a": h5py.ExternalLink(str(other), "x")}), "link"),
        (lambda file, other: file.update({"b": h5py.SoftLink("/a")}), "link"),
        (
            lambda file, other: file.create_dataset("a", (2,), "f4", external=[(str(other), 0, 8)]),
            "another file",
        ),
        (
            lambda file, other: file.create_virtual_dataset("a", _virtual(other)),
            "another file",
        ),
        (lambda file, other: file.update({"a": "text"}), "dtype"),
    ],
    ids=["external link", "soft link", "external storage", "virtual", "text"],
)
def test_what_leads_out_of_the_file_is_refused(fill, says, make, tmp_path):
    other = tmp_path / "other.h5"
    other.write_bytes(b"12345678")
    with pytest.raises(CheckpointFormatError, match=says):
        open_weights(make(lambda file: fill(file, other)))


def _virtual(other):
    layout = h5py.VirtualLayout((2,), "f4")
    layout[:] = h5py.VirtualSource(str(other), "x", (2,))
    return layout


def test_the_number_of_objects_is_bounded(make, monkeypatch):
    monkeypatch.setattr(hdf5, "_MOST", 10)
    with pytest.raises(CheckpointFormatError, match="more than 10 objects"):
        open_weights(make(lambda file: [file.create_group(str(n)) for n in range(11)]))


@pytest.mark.parametrize("kept", [8, 100, 900])
def test_a_file_cut_off_is_damaged(kept, make, tmp_path):
    whole = make(lambda file: file.update({"a": np.ones((50, 50))})).read_bytes()
    (tmp_path / "cut.h5").write_bytes(whole[:kept])
    with pytest.raises(CheckpointFormatError):
        open_weights(tmp_path / "cut.h5")
