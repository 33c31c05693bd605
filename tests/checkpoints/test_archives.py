import io
import os
import tarfile
import tempfile
import zipfile

import numpy as np
import pytest

from zoo.checkpoints import archives, open_checkpoint
from zoo.errors import CheckpointFormatError, CheckpointNotFoundError, UnsafeArchiveError


@pytest.fixture(autouse=True)
def temporary(tmp_path, monkeypatch):
    """Unpacking happens under this folder, which every test must leave empty."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    yield folder
    assert os.listdir(folder) == []


def pack(path, source, names=None, inside=""):
    """An archive of the files of a folder, of the kind that its name tells."""
    names = sorted(os.listdir(source)) if names is None else names
    if path.suffix == ".zip":
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            for name in names:
                archive.write(source / name, inside + name)
    else:
        with tarfile.open(path, "w:gz" if path.suffix in (".gz", ".tgz") else "w") as archive:
            for name in names:
                archive.add(source / name, inside + name)
    return path


@pytest.mark.parametrize("suffix", [".tar.gz", ".tgz", ".tar", ".zip"])
@pytest.mark.parametrize("inside", ["", "model/train/"])
def test_training_directory_in_an_archive(
    goldens, tmp_path, golden_names, recorded, suffix, inside
):
    path = pack(tmp_path / f"a{suffix}", goldens / "momentum", inside=inside)
    with open_checkpoint(path) as checkpoint:
        assert checkpoint.format == "v2"
        assert checkpoint.path == f"{path}!{inside}model.ckpt-10"
        assert checkpoint.names() == sorted(golden_names["momentum"])
        found = checkpoint.read("Net/Conv/weights")
        np.testing.assert_array_equal(found, recorded("Net/Conv/weights", (3, 3, 2, 4)))


def test_v1_file_in_an_archive(goldens, tmp_path):
    with open_checkpoint(pack(tmp_path / "a.tar.gz", goldens, ["adam.ckpt"])) as checkpoint:
        assert checkpoint.format == "v1"


def test_the_checkpoint_comes_before_the_frozen_graph_beside_it(goldens, frozen, tmp_path):
    # As in the published mobilenet_v1 tarballs.
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "adam.ckpt").write_bytes((goldens / "adam.ckpt").read_bytes())
    (tmp_path / "in" / "graph.pb").write_bytes((frozen / "reference.pb").read_bytes())
    path = pack(tmp_path / "a.tgz", tmp_path / "in")
    with open_checkpoint(path) as checkpoint:
        assert checkpoint.format == "v1"
    with open_checkpoint(f"{path}!graph.pb") as checkpoint:
        assert checkpoint.format == "graph_def"


def test_several_checkpoints_are_listed_and_one_can_be_named(goldens, tmp_path):
    names = [name for name in os.listdir(goldens / "momentum") if name != "checkpoint"]
    path = pack(tmp_path / "a.tgz", goldens / "momentum", names, "m/")
    with pytest.raises(CheckpointFormatError, match=r"2 checkpoints(.|\n)*ckpt-10, m/model.ckpt-9"):
        open_checkpoint(path)
    with open_checkpoint(f"{path}!m/model.ckpt-9") as checkpoint:
        assert checkpoint.path == f"{path}!m/model.ckpt-9"
    with open_checkpoint(path, member="m/model.ckpt-10") as checkpoint:
        assert len(checkpoint) == 20
    for member in ("m/model.ckpt-11", "../model.ckpt-9", "/etc/passwd"):
        with pytest.raises(CheckpointNotFoundError, match=r"Accepted: m/model.ckpt-10, m/model"):
            open_checkpoint(path, member=member)


def test_an_archive_without_a_checkpoint_says_what_it_holds(tmp_path):
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "README").write_text("hello")
    with pytest.raises(CheckpointFormatError, match=r"holds no checkpoint(.|\n)*README"):
        open_checkpoint(pack(tmp_path / "a.zip", tmp_path / "in"))


@pytest.mark.parametrize("place", [5, 1000])
def test_damage_inside_is_told_by_the_archives_name(goldens, tmp_path, place):
    (tmp_path / "in").mkdir()
    content = bytearray((goldens / "adam.ckpt").read_bytes())
    content[place] ^= 1  # in the first block, and in a later one
    (tmp_path / "in" / "adam.ckpt").write_bytes(content)
    path = pack(tmp_path / "a.tgz", tmp_path / "in")
    with pytest.raises(CheckpointFormatError) as caught, open_checkpoint(path) as checkpoint:
        for name in checkpoint:
            checkpoint.read(name)
    assert f"{path}!adam.ckpt is damaged" in str(caught.value)
    assert "temporary" not in str(caught.value)


def tar_of(path, *members):
    with tarfile.open(path, "w:gz") as archive:
        for member, content in members:
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return path


def special(name, kind, link=""):
    member = tarfile.TarInfo(name)
    member.type, member.linkname = kind, link
    return member


@pytest.mark.parametrize(
    "member",
    [
        tarfile.TarInfo("../outside"),
        tarfile.TarInfo("a/../../outside"),
        tarfile.TarInfo("/outside"),
        tarfile.TarInfo("C:outside"),
        tarfile.TarInfo("..\\outside"),
        special("link", tarfile.SYMTYPE, "/etc"),
        special("link", tarfile.SYMTYPE, "model.ckpt"),
        special("link", tarfile.LNKTYPE, "model.ckpt"),
        special("device", tarfile.CHRTYPE),
        special("pipe", tarfile.FIFOTYPE),
    ],
    ids=lambda member: f"{member.name}-{member.type.decode()}",
)
def test_unsafe_tar_members(tmp_path, member):
    good = tarfile.TarInfo("model.ckpt")
    path = tar_of(tmp_path / "a.tgz", (good, b"text"), (member, b""))
    with pytest.raises(UnsafeArchiveError, match="Do not use this file"):
        open_checkpoint(path)
    assert sorted(os.listdir(tmp_path)) == ["a.tgz", "temporary"]


def test_a_file_below_a_file_is_an_error_of_zoos_own(tmp_path):
    members = [(tarfile.TarInfo(name), b"x") for name in ("a", "a/b")]
    with pytest.raises(CheckpointFormatError):
        open_checkpoint(tar_of(tmp_path / "a.tgz", *members))


def test_a_member_twice_is_an_error_of_zoos_own(tmp_path):
    members = [(tarfile.TarInfo("a"), b"x")] * 2
    with pytest.raises(CheckpointFormatError):
        open_checkpoint(tar_of(tmp_path / "a.tgz", *members))


@pytest.mark.parametrize("name", ["../outside", "/outside", "a/../../outside"])
def test_unsafe_zip_members(tmp_path, name):
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("model.ckpt", b"text")
        archive.writestr(name, b"")
    with pytest.raises(UnsafeArchiveError, match="outside its folder"):
        open_checkpoint(tmp_path / "a.zip")


def test_zip_link(tmp_path):
    link = zipfile.ZipInfo("link")
    link.external_attr = 0o120777 << 16
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr(link, "/etc/passwd")
    with pytest.raises(UnsafeArchiveError, match="no plain file"):
        open_checkpoint(tmp_path / "a.zip")


@pytest.mark.parametrize("suffix", [".tgz", ".zip"])
def test_bomb(tmp_path, suffix):
    (tmp_path / "in").mkdir()
    with (tmp_path / "in" / "zeros").open("wb") as file:
        file.truncate(100 << 20)
    path = pack(tmp_path / f"a{suffix}", tmp_path / "in")
    assert path.stat().st_size < 1 << 20
    with pytest.raises(UnsafeArchiveError, match="expands to more than"):
        open_checkpoint(path)


def test_bound_on_all_bytes(tmp_path, monkeypatch):
    monkeypatch.setattr(archives, "MAX_BYTES", 1000)
    members = [(tarfile.TarInfo(str(number)), os.urandom(400)) for number in range(3)]
    with pytest.raises(UnsafeArchiveError, match="expands to more than"):
        open_checkpoint(tar_of(tmp_path / "a.tgz", *members))


def test_bound_on_members(tmp_path, monkeypatch):
    monkeypatch.setattr(archives, "MAX_MEMBERS", 5)
    members = [(tarfile.TarInfo(str(number)), b"") for number in range(6)]
    with pytest.raises(UnsafeArchiveError, match="more than 5 members"):
        open_checkpoint(tar_of(tmp_path / "a.tgz", *members))


def test_header_of_absurd_length(tmp_path):
    # A pax header of 4 GiB, which tarfile would read into memory at one go.
    header = tarfile.TarInfo("pax")
    header.type, header.size = tarfile.XHDTYPE, 4 << 30
    (tmp_path / "a.tar").write_bytes(header.tobuf(tarfile.USTAR_FORMAT) + bytes(4096))
    with pytest.raises(UnsafeArchiveError, match="absurd length"):
        open_checkpoint(tmp_path / "a.tar")


def test_zip_listing_that_hides_a_member(goldens, tmp_path):
    """A longer comment in a zip's listing swallows the next member's line, unseen by zipfile."""
    path = pack(tmp_path / "a.zip", goldens / "momentum")
    content = bytearray(path.read_bytes())
    first = content.index(b"PK\x01\x02")
    second = content.index(b"PK\x01\x02", first + 1)
    third = content.index(b"PK\x01\x02", second + 1)
    content[first + 32 : first + 34] = (third - second).to_bytes(2, "little")
    path.write_bytes(content)
    with zipfile.ZipFile(path) as archive:
        assert len(archive.namelist()) == 4  # of 5
    with pytest.raises(CheckpointFormatError, match="lists 4 of 5 members"):
        open_checkpoint(path)


@pytest.mark.parametrize("damage", ["cut between members", "header overwritten"])
def test_tar_that_ends_early(goldens, tmp_path, damage):
    """tarfile takes both for the end of the archive, and would hide what follows."""
    path = pack(tmp_path / "a.tar", goldens, ["adam.ckpt", "names.json"])
    content = bytearray(path.read_bytes())
    with tarfile.open(path) as archive:
        second = archive.getmembers()[1].offset
    if damage == "header overwritten":
        content[second + 150] ^= 1
    path.write_bytes(content if damage == "header overwritten" else content[:second])
    with tarfile.open(path) as archive:
        assert archive.getnames() == ["adam.ckpt"]
    with pytest.raises(CheckpointFormatError, match="end is missing"):
        open_checkpoint(path)
