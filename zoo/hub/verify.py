"""Whether a file is the one that was published."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path

from zoo.errors import HashMismatchError

_CHUNK = 1 << 20

GIT_BLOB = "git-blob"  # git's own name of a file: SHA-1 of "blob", its size and its content


@dataclass(frozen=True)
class Fingerprint:
    """What a file is: its size in bytes and hashes (algorithm -> hex digest; sha256 always)."""

    size: int
    hashes: dict[str, str]


@dataclass(frozen=True)
class Expected:
    """What a file must be. All None: anything is taken.

    Attributes:
        size: in bytes.
        algorithm, digest: a hash by its hashlib name, or GIT_BLOB, and its lower-case hex digest.
        first_use: where the record is kept, if the digest is not a published one but was
            recorded when the file was first fetched.
    """

    size: int | None = None
    algorithm: str | None = None
    digest: str | None = None
    first_use: Path | None = None

    def check(self, path: Path, label: str) -> Fingerprint:
        """Read `path` once and compare.

        Args:
            label: what messages call the file.

        Raises:
            HashMismatchError: its size or hash differs.
        """
        size = path.stat().st_size
        if self.size is not None and size != self.size:
            raise self.mismatch(label, f"{size} bytes", f"{self.size} bytes")
        fingerprint = fingerprint_of(path, self.algorithm)
        if self.algorithm and fingerprint.hashes[self.algorithm] != self.digest:
            raise self.mismatch(
                label,
                f"{self.algorithm} {fingerprint.hashes[self.algorithm]} ({size} bytes)",
                f"{self.algorithm} {self.digest}",
            )
        return fingerprint

    def mismatch(self, label: str, received: str, accepted: str) -> HashMismatchError:
        if self.first_use is None:
            return HashMismatchError(
                f"{label} is not the published file; it was not kept.",
                received=received,
                accepted=accepted,
                next_step="A proxy may have replaced it, or the publisher changed it. "
                "Download the file by hand and pass tf1_ckpt= once you trust it.",
            )
        return HashMismatchError(
            f"{label} has changed since it was first fetched; it was not kept.",
            received=received,
            accepted=f"{accepted}, recorded on first use",
            next_step=f"If the change is meant, delete {self.first_use} (or run "
            "`zoo cache prune --forget`) and fetch again.",
        )


def fingerprint_of(path: Path, algorithm: str | None = None) -> Fingerprint:
    """Size, sha256 and, if another is named, one more hash of a file."""
    size = 0
    with open(path, "rb") as file:
        length = os.fstat(file.fileno()).st_size
        hashers = {name: _hasher(name, length) for name in {"sha256", algorithm or "sha256"}}
        while chunk := file.read(_CHUNK):
            size += len(chunk)
            for hasher in hashers.values():
                hasher.update(chunk)
    return Fingerprint(size, {name: hasher.hexdigest() for name, hasher in hashers.items()})


def _hasher(algorithm: str, length: int):
    if algorithm == GIT_BLOB:
        return hashlib.sha1(b"blob %d\0" % length, usedforsecurity=False)
    return hashlib.new(algorithm)
