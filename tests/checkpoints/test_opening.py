import os
import shutil
import subprocess
import sys

import numpy as np
import pytest

from zoo.checkpoints import open_checkpoint
from zoo.errors import CheckpointFormatError, CheckpointNotFoundError


@pytest.mark.parametrize(
    "name",
    [
        "momentum",
        "momentum/checkpoint",
        "momentum/model.ckpt-10",
        "momentum/model.ckpt-10.index",
        "momentum/model.ckpt-10.data-00000-of-00001",
    ],
)
def test_ways_to_point_at_a_v2_checkpoint(goldens, name):
    with open_checkpoint(goldens / name) as checkpoint:
        assert checkpoint.path == str(goldens / name)
        assert checkpoint.format == "v2"
        assert "global_step" in checkpoint


def test_meta_file_stands_for_its_checkpoint(goldens, tmp_path):
    for suffix in (".index", ".data-00000-of-00001"):
        shutil.copy(goldens / "momentum" / f"model.ckpt-9{suffix}", tmp_path)
    (tmp_path / "model.ckpt-9.meta").write_bytes(b"\x0a\x00")
    with open_checkpoint(tmp_path / "model.ckpt-9.meta") as checkpoint:
        assert checkpoint.format == "v2"


def test_directory_without_state_file(goldens, tmp_path):
    shutil.copy(goldens / "adam.ckpt", tmp_path)
    with open_checkpoint(tmp_path) as checkpoint:
        assert checkpoint.format == "v1"
    for suffix in (".index", ".data-00000-of-00001"):
        shutil.copy(goldens / "momentum" / f"model.ckpt-9{suffix}", tmp_path)
    with pytest.raises(CheckpointFormatError, match=r"2 checkpoints(.|\n)*adam.ckpt, model.ckpt-9"):
        open_checkpoint(tmp_path)


def test_state_file_of_another_machine(goldens, tmp_path):
    shutil.copytree(goldens / "momentum", tmp_path / "run")
    state = 'model_checkpoint_path: "/home/someone/run/model.ckpt-9"\n'
    (tmp_path / "run" / "checkpoint").write_text(state)
    with open_checkpoint(tmp_path / "run") as checkpoint:
        assert "global_step" in checkpoint
    (tmp_path / "run" / "checkpoint").write_text(state.replace("-9", "-11"))
    with pytest.raises(CheckpointNotFoundError, match=r"Received: .*-11(.|\n)*model.ckpt-10"):
        open_checkpoint(tmp_path / "run")


def test_state_file_cannot_point_outside(goldens, tmp_path):
    shutil.copy(goldens / "adam.ckpt", tmp_path)
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "checkpoint").write_text('model_checkpoint_path: "../adam.ckpt"\n')
    with pytest.raises(CheckpointNotFoundError):
        open_checkpoint(tmp_path / "run")


@pytest.mark.parametrize("name", ["saved_model", "saved_model/saved_model.pb"])
def test_saved_model(made_by_tensorflow, made, name):
    with open_checkpoint(made_by_tensorflow / name) as checkpoint:
        assert checkpoint.format == "saved_model"
        assert set(checkpoint) == set(made)
        np.testing.assert_array_equal(checkpoint.read("net/weights"), made["net/weights"])


def test_saved_model_without_variables(made_by_tensorflow, tmp_path):
    shutil.copy(made_by_tensorflow / "saved_model" / "saved_model.pb", tmp_path)
    with pytest.raises(CheckpointFormatError, match="has no variables"):
        open_checkpoint(tmp_path)


def test_missing_path_names_its_neighbours(goldens):
    with pytest.raises(CheckpointNotFoundError, match=r"Nearest: +adam\.ckpt"):
        open_checkpoint(goldens / "adan.ckpt")
    with pytest.raises(FileNotFoundError, match=r"directory .* does not exist"):
        open_checkpoint(goldens / "nowhere" / "model.ckpt")


def test_directory_with_nothing_to_open(tmp_path):
    with pytest.raises(CheckpointNotFoundError, match="an empty directory"):
        open_checkpoint(tmp_path)
    (tmp_path / "events.out").write_text("x")
    with pytest.raises(CheckpointNotFoundError, match=r"holds no checkpoint(.|\n)*events\.out"):
        open_checkpoint(tmp_path)


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:ab\nsize 9\n", "Git LFS pointer"),
        (b"\n<!DOCTYPE html><html><body>404</body></html>", "is a web page"),
        (b"<?xml version='1.0'?><Error><Code>AccessDenied</Code></Error>", "is a web page"),
        (b"\x89HDF\r\n\x1a\n" + bytes(100), "is an HDF5 file"),
        (b"", "is empty"),
        (b"just some text, not a checkpoint at all", "of no form that zoo reads"),
        (bytes(range(256)) * 4, "of no form that zoo reads"),
    ],
)
@pytest.mark.parametrize("name", ["model.ckpt", "model.pb"])
def test_files_that_are_something_else(tmp_path, content, expected, name):
    (tmp_path / name).write_bytes(content)
    if name == "model.pb" and expected == "of no form that zoo reads":
        expected = "is damaged"
    with pytest.raises(CheckpointFormatError, match=expected) as caught:
        open_checkpoint(tmp_path / name)
    assert name in str(caught.value) and "Next:" in str(caught.value)


@pytest.mark.parametrize("name", ["a.tgz", "a.npz", "a.safetensors", "a.index", "a.zip"])
def test_web_page_under_every_suffix(tmp_path, name):
    (tmp_path / name).write_bytes(b"<html><body>404 not found, sorry for that</body></html>")
    with pytest.raises(CheckpointFormatError, match="is a web page"):
        open_checkpoint(tmp_path / name)


def test_member_of_something_that_is_no_archive(goldens):
    with pytest.raises(CheckpointFormatError, match="not an archive"):
        open_checkpoint(goldens / "adam.ckpt", member="x")


def test_closing_leaves_no_open_file(goldens, made_by_tensorflow, frozen):
    before = os.listdir("/proc/self/fd") if os.path.isdir("/proc/self/fd") else None
    for path in (goldens / "momentum", goldens / "adam.ckpt", frozen / "reference.pb"):
        with open_checkpoint(path) as checkpoint:
            checkpoint.read(checkpoint.names()[0])
    if before is not None:
        assert len(os.listdir("/proc/self/fd")) == len(before)


def test_reading_does_not_import_tensorflow(goldens):
    code = (
        "import sys; from zoo.checkpoints import open_checkpoint\n"
        f"with open_checkpoint({str(goldens / 'momentum')!r}) as c: [c.read(n) for n in c]\n"
        "assert 'tensorflow' not in sys.modules and 'keras' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
