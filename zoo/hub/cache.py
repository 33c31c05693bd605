"""The cache: where fetched files live, what is known of them, listing, checking, clearing.

<cache>/<model>.<tag>/<kind>-<key>/<file>        a verified file
                                   <file>.json   its record: size, hashes, when and whence
                                   <file>.part   what an interrupted download has left
                                   <file>.lock   held by the process that fetches
<cache>/pins/<model>.<tag>.<key>.json            what a moving address led to when first used
"""

from __future__ import annotations

import contextlib
import datetime
import fnmatch
import hashlib
import json
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path, PurePosixPath

from zoo.atomic import replacing
from zoo.errors import HashMismatchError
from zoo.hub.progress import say
from zoo.hub.verify import Expected, Fingerprint
from zoo.registry import SourceSpec

TRUE_WORDS = ("1", "true", "yes", "on")
BUNDLE_FILE = re.compile(r"\.(index|data-\d{5}-of-\d{5})$")  # of a V2 checkpoint


def cache_dir() -> Path:
    """Where fetched files are kept: the environment variable ZOO_CACHE, else the user's cache."""
    if folder := os.environ.get("ZOO_CACHE"):
        return Path(folder).expanduser()
    import platformdirs

    return Path(platformdirs.user_cache_dir("zoo"))


def is_offline() -> bool:
    """Whether ZOO_OFFLINE or HF_HUB_OFFLINE forbids the network."""
    return any(
        os.environ.get(name, "").strip().lower() in TRUE_WORDS
        for name in ("ZOO_OFFLINE", "HF_HUB_OFFLINE")
    )


@dataclass(frozen=True)
class Record:
    """What is known of a cached file.

    Attributes:
        source: what was fetched, for people to read.
        mtime_ns, ctime_ns: when the content and anything at all of the file was last changed, by
            the clock of this machine; a file with these times and this size is taken to be
            unchanged. They are compared with nothing but themselves, so the clock may be wrong.
        fetched: ISO 8601, UTC.
        first_use: the hashes are enforced from now on, since nobody published one.
    """

    checkpoint: str
    source: str
    size: int
    hashes: dict[str, str]
    mtime_ns: int
    fetched: str
    first_use: bool = False
    ctime_ns: int = 0


class Slot:
    """The place in the cache for what one source of one checkpoint gives.

    Attributes:
        inside: the file's path within a cache, this one or a copy of it.
        path: the file.
    """

    def __init__(self, checkpoint: str, spec: SourceSpec, filename: str) -> None:
        self.checkpoint = checkpoint
        self.spec = spec
        self.inside = PurePosixPath(checkpoint, f"{spec.kind}-{_key(spec)}", filename)
        self.path = cache_dir() / self.inside

    @property
    def record_path(self) -> Path:
        return record_path(self.path)

    def expected(self) -> Expected:
        """What the file must be: as published, else as recorded on first use."""
        record = read_record(self.path)
        if self.spec.digest is None and record is not None and record.first_use:
            return Expected(record.size, "sha256", record.hashes["sha256"], self.record_path)
        return Expected(self.spec.size, self.spec.algorithm, self.spec.digest)

    def holds_file(self, expected: Expected) -> bool:
        """Whether the verified file is here. Its bytes are read only if it seems to have changed.

        Raises:
            HashMismatchError: there is a file, but not the expected one.
        """
        if not self.path.is_file():
            return False
        record = read_record(self.path)
        if record is not None and self._unchanged(record, expected):
            return True
        fingerprint = expected.check(self.path, f"The cached {self.path}")
        # A cache that may only be read serves too.
        with contextlib.suppress(OSError):
            self.keep(fingerprint, record.source if record else "found in the cache")
        return True

    def _unchanged(self, record: Record, expected: Expected) -> bool:
        stat = self.path.stat()
        seen = (stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns)
        if seen != (record.size, record.mtime_ns, record.ctime_ns):
            return False
        if expected.size not in (None, record.size):
            return False
        return expected.digest is None or record.hashes.get(expected.algorithm) == expected.digest

    def keep(self, fingerprint: Fingerprint, source: str) -> None:
        """Write the record of the verified file."""
        stat = self.path.stat()
        record = Record(
            checkpoint=self.checkpoint,
            source=source,
            size=fingerprint.size,
            hashes=fingerprint.hashes,
            mtime_ns=stat.st_mtime_ns,
            ctime_ns=stat.st_ctime_ns,
            fetched=now(),
            first_use=self.spec.digest is None,
        )
        write_atomically(self.record_path, json.dumps(asdict(record), indent=1))

    @contextmanager
    def locked(self, progress: bool = True) -> Iterator[None]:
        """Hold the slot against every other process; waits for one that holds it."""
        with locked(self.path, progress):
            yield


def _key(spec: SourceSpec) -> str:
    """Tells apart what differs: two addresses, and two files that are wanted of one address."""
    options = dict(spec.options)
    options.pop("mirrors", None)  # They give the same file.
    digest = spec.digest
    if "file" in options:  # The files of one V2 checkpoint have to lie side by side.
        options["file"] = BUNDLE_FILE.sub("", options["file"])
        digest = digest if options["file"] == spec.options["file"] else None
    identity = json.dumps([spec.kind, spec.member, digest, sorted(options.items())], default=str)
    return hashlib.sha256(identity.encode()).hexdigest()[:8]


@contextmanager
def locked(path: Path, progress: bool = True) -> Iterator[None]:
    """Hold `path` against every other process; waits for one that holds it."""
    from filelock import FileLock, Timeout

    path.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(_beside(path, ".lock"))
    try:
        lock.acquire(timeout=0)
    except Timeout:
        say(f"another process is fetching {path.name}; waiting for it", progress)
        lock.acquire()
    try:
        yield
    finally:
        lock.release()


def _beside(path: Path, suffix: str) -> Path:
    return path.with_name(path.name + suffix)


def record_path(path: Path) -> Path:
    return _beside(path, ".json")


def read_record(path: Path) -> Record | None:
    """The record of the file `path`; None if there is none, or it cannot be understood."""
    try:
        values = json.loads(record_path(path).read_text(encoding="utf-8"))
        record = Record(**values)
        return record if isinstance(record.hashes["sha256"], str) else None
    except (OSError, ValueError, TypeError, KeyError):
        return None


def now() -> str:
    """ISO 8601, UTC, to the second."""
    return datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds")


def write_atomically(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as (made,):
        made.write_text(text, encoding="utf-8")


# -- The cache as a whole ----------------------------------------------------------------------


@dataclass(frozen=True)
class CachedFile:
    """A verified file in the cache. `size` is in bytes."""

    checkpoint: str
    path: Path
    size: int
    source: str
    fetched: str


def list_cached(pattern: str = "*") -> list[CachedFile]:
    """The files in the cache whose checkpoint ("model.tag") matches the glob `pattern`."""
    found = []
    for folder in _slot_folders(pattern):
        for path in sorted(folder.glob("*.json")):
            file = path.with_suffix("")
            record = read_record(file)
            if record is not None and file.is_file():
                size = file.stat().st_size
                found.append(
                    CachedFile(record.checkpoint, file, size, record.source, record.fetched)
                )
    return found


def verify_cached(pattern: str = "*") -> list[tuple[CachedFile, str | None]]:
    """Read every cached file and compare it with its record; the text says what is wrong."""
    results = []
    for cached in list_cached(pattern):
        record = read_record(cached.path)
        problem = None
        try:
            for algorithm, digest in record.hashes.items():
                Expected(record.size, algorithm, digest).check(cached.path, str(cached.path))
        except HashMismatchError as error:
            problem = f"received {error.received}, recorded {error.accepted}"
        except OSError as error:
            problem = f"cannot be read: {error.strerror}"
        results.append((cached, problem))
    return results


def prune(pattern: str = "*", *, unfinished_only: bool = False, forget: bool = False) -> int:
    """Delete cached files; returns the bytes freed. What another process fetches is left alone.

    What was recorded on first use, hashes and revisions, stays, so that the file is still
    recognised when it is fetched again.

    Args:
        pattern: a glob for the checkpoint's full name, "model.tag".
        unfinished_only: keep whole files, delete what interrupted downloads have left.
        forget: delete what was recorded on first use too; the next one starts anew.
    """
    freed = sum(_clear(folder, unfinished_only, forget) for folder in _slot_folders(pattern))
    if forget:
        freed += sum(_delete(path) for path in _pins(pattern))
    return freed


def pin_path(checkpoint: str, address: str) -> PurePosixPath:
    """Where, inside a cache, it is kept what a moving address led to when it was first used."""
    key = hashlib.sha256(address.encode()).hexdigest()[:8]
    return PurePosixPath("pins", f"{checkpoint}.{key}.json")


def _pins(pattern: str) -> list[Path]:
    found = sorted((cache_dir() / "pins").glob("*.json"))
    return [path for path in found if fnmatch.fnmatch(path.name.rsplit(".", 2)[0], pattern)]


def _slot_folders(pattern: str) -> list[Path]:
    root = cache_dir()
    if not root.is_dir():
        return []
    return [
        folder
        for checkpoint in sorted(root.iterdir())
        if checkpoint.is_dir() and fnmatch.fnmatch(checkpoint.name, pattern)
        for folder in sorted(checkpoint.iterdir())
        if folder.is_dir()
    ]


def _clear(folder: Path, unfinished_only: bool, forget: bool) -> int:
    from filelock import FileLock, Timeout

    whole = {path.with_suffix("") for path in folder.glob("*.json")}
    whole = {path for path in whole if read_record(path) is not None}
    freed = 0
    with contextlib.ExitStack() as held:
        try:
            for lock in folder.glob("*.lock"):
                held.enter_context(FileLock(lock).acquire(timeout=0))
        except Timeout:
            return 0
        for path in list(folder.iterdir()):
            if path.suffix == ".lock" or path.with_suffix("") in whole:
                continue
            if unfinished_only and path in whole:
                continue
            freed += _delete(path)
        if not unfinished_only:
            for path in whole:
                if forget or not read_record(path).first_use:
                    freed += _delete(record_path(path))
    with contextlib.suppress(OSError):  # not empty: a record was kept
        for lock in folder.glob("*.lock"):
            lock.unlink()
        folder.rmdir()
        folder.parent.rmdir()
    return freed


def _delete(path: Path) -> int:
    if path.is_dir() and not path.is_symlink():
        freed = sum(file.stat().st_size for file in path.rglob("*") if file.is_file())
        shutil.rmtree(path, ignore_errors=True)
        return freed
    freed = path.lstat().st_size
    path.unlink(missing_ok=True)
    return freed
