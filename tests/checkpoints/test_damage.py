"""Flipped bytes and cut ends, over every form: an error of zoo's own, or the values as written.

V1, V2 and .npz have checksums, tarballs a gzip one: there nothing else may happen. Frozen graphs
and .safetensors have none: there other values may come out, but whole arrays and no other error.
"""

import shutil

import numpy as np
import pytest

from zoo.checkpoints import open_checkpoint
from zoo.errors import CheckpointFormatError, CheckpointNotFoundError

PLACES = {"few": 60, "many": 700}  # how many places of a file are tried, each in three ways


def contents(path):
    with open_checkpoint(path) as checkpoint:
        return {name: checkpoint.read(name) for name in checkpoint if "/art_" not in name}


def outcomes(path, file, originals, values_checked=True):
    """Opens and reads; returns whether it was refused. Anything unexpected fails the test."""
    try:
        found = contents(path)
    except (CheckpointFormatError, CheckpointNotFoundError) as error:
        assert str(file.parent) in str(error) and "Next:" in str(error), error
        return True
    if values_checked:
        assert found.keys() == originals.keys()
        for name, value in originals.items():
            assert found[name].dtype == value.dtype, name
            np.testing.assert_array_equal(found[name], value)
    return False


@pytest.fixture(params=["v2 index", "v2 data", "v1", "npz", "npz deflated", "tgz", "zip"])
def checksummed(request, goldens, tmp_path):
    """(path to open, the file to damage)"""
    form = request.param
    for suffix in ("index", "data-00000-of-00001"):
        shutil.copy(goldens / "momentum" / f"model.ckpt-10.{suffix}", tmp_path)
    if form.startswith("v2"):
        suffix = "index" if form == "v2 index" else "data-00000-of-00001"
        return tmp_path / "model.ckpt-10", tmp_path / f"model.ckpt-10.{suffix}"
    path = tmp_path / {"v1": "adam.ckpt"}.get(form, f"a.{form.split()[0]}")
    if form == "v1":
        shutil.copy(goldens / "adam.ckpt", path)
    elif form == "tgz":
        made = shutil.make_archive(tmp_path / "a", "gztar", goldens / "momentum")
        shutil.move(made, path)
    elif form == "zip":
        shutil.make_archive(tmp_path / "a", "zip", goldens / "momentum")
    else:
        save = np.savez if form == "npz" else np.savez_compressed
        save(path, **contents(goldens / "momentum"))
    return path, path


@pytest.fixture(params=["safetensors", "graph_def"])
def unchecked(request, goldens, frozen, tmp_path):
    if request.param == "graph_def":
        path = tmp_path / "a.pb"
        shutil.copy(frozen / "reference.pb", path)
    else:
        from safetensors.numpy import save_file

        path = tmp_path / "a.safetensors"
        save_file(contents(goldens / "momentum"), path)
    return path, path


def flip_everywhere(opened, file, step, values_checked):
    originals = contents(opened)
    pristine = file.read_bytes()
    refused = 0
    for place in range(0, len(pristine), step):
        for bits in (0x01, 0x80, 0xFF):
            damaged = bytearray(pristine)
            damaged[place] ^= bits
            file.write_bytes(damaged)
            refused += outcomes(opened, file, originals, values_checked)
    return refused


def cut_everywhere(opened, file, step, values_checked):
    originals = contents(opened)
    pristine = file.read_bytes()
    for size in range(0, len(pristine), step):
        file.write_bytes(pristine[:size])
        refused = outcomes(opened, file, originals, values_checked)
        assert refused or not values_checked or size > 0.9 * len(pristine), size


def steps(file, places):
    return max(1, file.stat().st_size // PLACES[places])


EFFORT = pytest.mark.parametrize("places", ["few", pytest.param("many", marks=pytest.mark.slow)])


@EFFORT
def test_flipped_bytes_never_give_other_values(checksummed, places):
    opened, file = checksummed
    assert flip_everywhere(opened, file, steps(file, places), values_checked=True) > 0


@EFFORT
def test_cut_files_never_give_other_values(checksummed, places):
    opened, file = checksummed
    cut_everywhere(opened, file, steps(file, places), values_checked=True)


@EFFORT
def test_flipped_bytes_without_checksums_give_no_other_error(unchecked, places):
    opened, file = unchecked
    assert flip_everywhere(opened, file, steps(file, places), values_checked=False) > 0


@EFFORT
def test_cut_files_without_checksums_give_no_other_error(unchecked, places):
    opened, file = unchecked
    cut_everywhere(opened, file, steps(file, places), values_checked=False)


def test_random_bytes_in_every_place(checksummed):
    opened, file = checksummed
    originals = contents(opened)
    pristine = file.read_bytes()
    rng = np.random.RandomState(0)
    for _ in range(60):
        damaged = bytearray(pristine)
        start = rng.randint(len(damaged))
        size = rng.randint(1, 64)
        damaged[start : start + size] = rng.bytes(size)
        if rng.rand() < 0.3:
            damaged += rng.bytes(size)
        file.write_bytes(damaged)
        outcomes(opened, file, originals)
