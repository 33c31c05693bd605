"""Unpacking `.tar`, `.tar.gz`, `.tgz` and `.zip` files that nobody vouches for.

Only plain files with plain relative names are taken, each written by this module itself under a
temporary folder, so neither links nor `../` nor device files can reach outside it. What an archive
says of its sizes is bounded before anything is written, and what comes out is counted again.
"""

from __future__ import annotations

import contextlib
import gzip
import io
import os
import stat
import struct
import tarfile
import zipfile
from pathlib import Path, PurePosixPath

from zoo.checkpoints.checkpoint import NO_ROOM, reading
from zoo.checkpoints.wire import WireError
from zoo.errors import UnsafeArchiveError

MAX_BYTES = 8 << 30  # VGG 19 with Adam's two slots, the largest to expect, is 1.7 GB.
MAX_RATIO = 200  # Far above trained weights; gzip itself reaches about 1000 on zeros.
MAX_RATIO_FREE = 64 << 20  # Below this, any ratio is harmless.
MAX_MEMBERS = 10_000
MAX_LISTING = MAX_MEMBERS * 512  # bytes of a zip's list of members, which is read at one go
_CHUNK = 1 << 20


def is_archive(path: str | os.PathLike) -> bool:
    """Whether the content (not the name) is that of a tar, gzip or zip file."""
    try:
        with Path(path).open("rb") as file:
            head = file.read(512)
    except OSError:
        return False
    return head.startswith((b"\x1f\x8b", b"PK\x03\x04", b"PK\x05\x06")) or (
        head[257:262] == b"ustar"
    )


def unpack(path: str | os.PathLike, folder: str | os.PathLike) -> list[str]:
    """Unpacks an archive's files into `folder`, which must be empty; returns their names.

    Raises:
        UnsafeArchiveError: a name leads outside, a member is a link or a device, or it expands
            beyond MAX_BYTES, MAX_RATIO or MAX_MEMBERS.
        CheckpointFormatError: the archive is damaged.
    """
    bounds = _Bounds(path)
    with reading(path, "unpacking"):
        if is_zip(path):
            _unpack_zip(path, Path(folder), bounds)
        else:
            _unpack_tar(path, Path(folder), bounds)
    return bounds.names


class _Bounds:
    """Keeps count of what one archive has claimed and given."""

    def __init__(self, path: str | os.PathLike) -> None:
        self.path = path
        self.names: list[str] = []
        self._members = 0
        self._claimed = 0
        self._limit = min(MAX_BYTES, max(MAX_RATIO_FREE, MAX_RATIO * os.path.getsize(path)))

    def member(self, name: str, size: int) -> PurePosixPath:
        """Admits one member of a claimed size, or raises; returns its safe relative path."""
        self._members += 1
        self._claimed += size
        if self._members > MAX_MEMBERS:
            raise self.unsafe(f"holds more than {MAX_MEMBERS} members")
        self.expanded(self._claimed)
        parts = PurePosixPath(name.replace("\\", "/"))
        if parts.is_absolute() or ".." in parts.parts or ":" in name or "\x00" in name:
            raise self.unsafe(f"has a member that would be written outside its folder: {name!r}")
        return parts

    def expanded(self, size: int) -> None:
        if size > self._limit:
            raise self.unsafe(f"expands to more than {self._limit >> 20} MiB")

    def unsafe(self, what: str) -> UnsafeArchiveError:
        return _unsafe(self.path, what)


def _unsafe(path: str | os.PathLike, what: str) -> UnsafeArchiveError:
    return UnsafeArchiveError(
        f"The archive {path} {what}.",
        accepted="plain files with relative names, expanding to a bounded size",
        next_step="Do not use this file; fetch the archive from its publisher.",
    )


class _ZipBytes(io.BufferedReader):
    """A zip's file, of which nothing longer than MAX_LISTING is read into memory at one go."""

    def read(self, size: int | None = -1) -> bytes:
        if size is None or size < 0:
            size = os.fstat(self.fileno()).st_size - self.tell()
        if size > MAX_LISTING:
            raise _unsafe(self.name, f"lists more than {MAX_MEMBERS} members")
        return super().read(size)


@contextlib.contextmanager
def open_zip(path: str | os.PathLike):
    """A `zipfile.ZipFile` whose list of members is bounded, and complete.

    Raises:
        UnsafeArchiveError: it lists more than MAX_MEMBERS members.
        WireError, zipfile.BadZipFile: the list is damaged.
    """
    with _ZipBytes(io.FileIO(os.fspath(path))) as file, zipfile.ZipFile(file) as archive:
        members = len(archive.infolist())
        if members > MAX_MEMBERS:
            raise _unsafe(path, f"lists more than {MAX_MEMBERS} members")
        _check_listing(path, members)
        yield archive


def check_expansion(path: str | os.PathLike, archive: zipfile.ZipFile) -> None:
    """Raises UnsafeArchiveError if the members together are longer than their file can tell."""
    _Bounds(path).expanded(sum(member.file_size for member in archive.infolist()))


def is_zip(path: str | os.PathLike) -> bool:
    """Whether a zip's end record is in the file; nothing else is read."""
    with _ZipBytes(io.FileIO(os.fspath(path))) as file:
        return zipfile.is_zipfile(file)


def _check_listing(path: str | os.PathLike, listed: int) -> None:
    """Compares the number of members with a zip's end record, which `zipfile` does not do."""
    with Path(path).open("rb") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(max(0, size - 22 - 0xFFFF))  # the record, and the longest comment after it
        tail = file.read()
    place = tail.rfind(b"PK\x05\x06")
    if place < 0 or len(tail) - place < 22:
        raise WireError("its list of members is cut off")
    (count,) = struct.unpack_from("<H", tail, place + 10)
    if count not in (listed, 0xFFFF):  # 0xFFFF: the number is in a zip64 record.
        raise WireError(f"it lists {listed} of {count} members")


def _unpack_zip(path: str | os.PathLike, folder: Path, bounds: _Bounds) -> None:
    with open_zip(path) as archive:
        admitted = []
        for member in archive.infolist():
            target = bounds.member(member.filename, member.file_size)
            kind = stat.S_IFMT(member.external_attr >> 16)
            if member.is_dir():
                continue
            if kind not in (0, stat.S_IFREG):
                raise bounds.unsafe(f"has a member that is no plain file: {member.filename!r}")
            admitted.append((member, target))
        for member, target in admitted:
            with archive.open(member) as source:
                _write(source, member.file_size, folder, target, bounds)


def _unpack_tar(path: str | os.PathLike, folder: Path, bounds: _Bounds) -> None:
    with Path(path).open("rb") as raw:
        compressed = raw.read(2) == b"\x1f\x8b"
        raw.seek(0)
        source = _BoundedStream(gzip.GzipFile(fileobj=raw) if compressed else raw, bounds)
        with tarfile.open(fileobj=source, mode="r:") as archive:
            for member in archive:
                target = bounds.member(member.name, member.size)
                if member.isdir():
                    continue
                if not member.isreg() or member.issparse():
                    raise bounds.unsafe(f"has a member that is no plain file: {member.name!r}")
                _write(archive.extractfile(member), member.size, folder, target, bounds)
            _check_end(source, archive.offset)


def _check_end(source: _BoundedStream, offset: int) -> None:
    """tarfile takes a damaged header for the end; the true end is a block of zeros."""
    source.seek(offset)
    if source.read(tarfile.BLOCKSIZE) != bytes(tarfile.BLOCKSIZE):
        raise WireError("its end is missing, or a header within it is damaged")
    while source.read(_CHUNK):  # To the end, where gzip compares its checksum.
        pass


class _BoundedStream(io.RawIOBase):
    """A stream that refuses to expand beyond the bounds, or to fill memory at one go."""

    def __init__(self, source, bounds: _Bounds) -> None:
        self._source = source
        self._bounds = bounds

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._source.tell()

    def seek(self, offset: int, whence: int = 0) -> int:
        if whence == 0:
            self._bounds.expanded(offset - MAX_MEMBERS * tarfile.RECORDSIZE)
        return self._source.seek(offset, whence)

    def read(self, size: int = -1) -> bytes:
        if not 0 <= size <= _CHUNK:  # Only a header of absurd length asks for so much.
            raise self._bounds.unsafe("has a header of absurd length")
        self._bounds.expanded(self._source.tell() - MAX_MEMBERS * tarfile.RECORDSIZE)
        return self._source.read(size)


def _write(source, size: int, folder: Path, target: PurePosixPath, bounds: _Bounds) -> None:
    try:
        written = _copy(source, size, folder, target, bounds)
    except OSError as error:
        if error.errno not in NO_ROOM:
            raise
        what = f"{error.strerror}: unpacking {bounds.path} (TMPDIR names another place)"
        raise OSError(error.errno, what) from error
    if written != size:
        raise WireError(f"the member {str(target)!r} ends after {written} of {size} bytes")
    bounds.names.append(str(target))


def _copy(source, size: int, folder: Path, target: PurePosixPath, bounds: _Bounds) -> int:
    path = folder.joinpath(target)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        file = path.open("xb")
    except (FileExistsError, NotADirectoryError, IsADirectoryError):
        raise bounds.unsafe(f"has two members in one place: {str(target)!r}") from None
    written = 0
    with file:
        while chunk := source.read(min(_CHUNK, size - written + 1)):
            written += len(chunk)
            if written > size:
                raise bounds.unsafe(f"has a member longer than it says: {str(target)!r}")
            file.write(chunk)
    return written
