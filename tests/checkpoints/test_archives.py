import errno
import gzip
import io
import os
import resource
import struct
import tarfile
import tempfile
import tracemalloc
import zipfile

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

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


@pytest.mark.parametrize("names", [("a", "a/b"), ("a/b", "a"), ("a", "a"), ("a", "./a")])
def test_two_members_in_one_place(tmp_path, names):
    members = [(tarfile.TarInfo(name), b"x") for name in names]
    with pytest.raises(UnsafeArchiveError, match="two members in one place"):
        open_checkpoint(tar_of(tmp_path / "a.tgz", *members))


def test_no_room_to_unpack_is_not_taken_for_damage(tmp_path, monkeypatch):
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    path = tar_of(tmp_path / "a.tgz", (tarfile.TarInfo("a"), os.urandom(200_000)))
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, limits[1]))
    try:
        with pytest.raises(OSError, match="a.tgz .TMPDIR") as caught:
            open_checkpoint(path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert caught.value.errno == errno.EFBIG


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


# -- A million members, and what else an archive may claim -------------------------------------


def test_a_million_members_in_a_tar(tmp_path):
    # One gzip stream of 1000 members, a thousand times: gzip streams may follow each other.
    block = special("folder", tarfile.DIRTYPE).tobuf() * 1000
    (tmp_path / "a.tar.gz").write_bytes(gzip.compress(block) * 1000)
    with pytest.raises(UnsafeArchiveError, match="more than 10000 members"):
        open_checkpoint(tmp_path / "a.tar.gz")


@pytest.mark.parametrize("told", [1_000_000, 1, 65535])
def test_a_million_members_in_a_zip(tmp_path, told):
    """The list alone would take a gigabyte of memory; its end record may give any number."""
    listed = zipfile.ZipInfo("a")
    entry = struct.pack("<4s4B4HL2L5H2L", b"PK\x01\x02", *[0] * 11, 1, *[0] * 6) + b"a"
    assert len(entry) == 46 + len(listed.filename)
    size = len(entry) * 1_000_000
    count = min(told, 65535)
    end = struct.pack("<4s4H2LH", b"PK\x05\x06", 0, 0, count, count, size, 0, 0)
    path = tmp_path / "a.zip"
    path.write_bytes(entry * 1_000_000 + end)
    tracemalloc.start()
    with pytest.raises(CheckpointFormatError):
        open_checkpoint(path)
    with pytest.raises(UnsafeArchiveError, match="more than 10000 members"):
        archives.unpack(path, tmp_path / "unpacked")
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 50 << 20


def test_too_many_members_in_a_zip(tmp_path):
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        for number in range(archives.MAX_MEMBERS + 1):
            archive.writestr(f"{number}", b"")
    with pytest.raises(UnsafeArchiveError, match="more than 10000 members"):
        open_checkpoint(tmp_path / "a.zip")


@pytest.mark.parametrize("kind", [tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.FIFOTYPE, b"S", b"Z"])
def test_devices_and_kinds_that_nobody_knows(tmp_path, kind):
    with pytest.raises(CheckpointFormatError):
        open_checkpoint(tar_of(tmp_path / "a.tgz", (special("sda", kind), b"")))


def test_bomb_of_many_small_members(tmp_path):
    member = gzip.compress(bytes(1 << 20), 9)
    path = tmp_path / "a.tar.gz"
    info = tarfile.TarInfo("zeros")
    info.size = 80 << 20
    path.write_bytes(gzip.compress(info.tobuf()) + member * 80 + gzip.compress(bytes(1024)))
    with pytest.raises(UnsafeArchiveError, match="expands to more than"):
        open_checkpoint(path)


# -- Archives of any content -------------------------------------------------------------------

PARTS = st.sampled_from(["..", ".", "", "a", "b", "model.ckpt", "C:", "~", "\\", "a\\..", "é", " "])
NAMES = st.lists(PARTS, min_size=1, max_size=4).map("/".join)
KINDS = st.sampled_from([b"0", b"\0", b"1", b"2", b"3", b"4", b"5", b"6", b"7", b"L", b"x", b"S"])
MEMBERS = st.lists(st.tuples(NAMES, KINDS, st.binary(max_size=20), NAMES), max_size=4)
FEW = settings(max_examples=60, deadline=None)


def unpacked(path):
    """The files that an archive gives, or None if it is refused; nothing else may happen."""
    with tempfile.TemporaryDirectory() as outside:
        inside = os.path.join(outside, "inside")
        os.mkdir(inside)
        try:
            names = archives.unpack(path, inside)
        except CheckpointFormatError:
            names = None
        assert os.listdir(outside) == ["inside"]
        for folder, folders, files in os.walk(inside):
            assert not any(os.path.islink(os.path.join(folder, name)) for name in folders + files)
        if names is None:
            return None
        found = {}
        for name in names:
            with open(os.path.join(inside, name), "rb") as file:
                found[name] = file.read()
        return found


def in_memory(form, members):
    packed = io.BytesIO()
    if form == "zip":
        with zipfile.ZipFile(packed, "w") as archive:
            for name, kind, data, _ in members:
                info = zipfile.ZipInfo(name or "x")
                info.external_attr = (0o120777 if kind == b"2" else 0o100644) << 16
                archive.writestr(info, data)
    else:
        with tarfile.open(fileobj=packed, mode=form) as archive:
            for name, kind, data, link in members:
                info = special(name, kind, link)
                info.size = len(data) if kind in (b"0", b"\0", b"7") else 0
                archive.addfile(info, io.BytesIO(data))
    return packed.getvalue()


@pytest.mark.filterwarnings("ignore:Duplicate name")
@pytest.mark.parametrize("form", ["zip", "w", "w:gz"])
@FEW
@given(members=MEMBERS)
def test_any_members_stay_in_their_folder_or_are_refused(tmp_path_factory, form, members):
    path = tmp_path_factory.mktemp("any") / "a"
    path.write_bytes(in_memory(form, members))
    found = unpacked(path)
    contents = {data for _, kind, data, _ in members if kind in (b"0", b"\0", b"7", b"5")}
    if form != "zip" and found is not None:
        assert set(found.values()) <= contents


GOOD = [("a/b", b"0", b"weights" * 9, ""), ("c", b"0", b"more", "")]


@pytest.mark.parametrize("form", ["zip", "w", "w:gz"])
@FEW
@given(data=st.data())
def test_any_damage_of_an_archive_is_refused_or_changes_nothing_unseen(
    tmp_path_factory, form, data
):
    content = bytearray(in_memory(form, GOOD))
    place = data.draw(st.integers(0, len(content) - 1))
    patch = data.draw(st.binary(min_size=1, max_size=8))
    content[place : place + data.draw(st.integers(0, 8))] = patch
    path = tmp_path_factory.mktemp("damaged") / "a"
    path.write_bytes(content)
    found = unpacked(path)
    if form != "w" and found is not None:  # A plain tar has no checksum of what is in it.
        assert set(found.values()) <= {b"weights" * 9, b"more"}


@pytest.mark.parametrize("head", [b"", b"\x1f\x8b\x08", b"PK\x03\x04", b"PK\x05\x06"])
@FEW
@given(tail=st.binary(max_size=600))
def test_any_bytes_are_no_archive(tmp_path_factory, head, tail):
    path = tmp_path_factory.mktemp("bytes") / "a"
    path.write_bytes(head + tail)
    assert not unpacked(path)
