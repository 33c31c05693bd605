"""Checkpoints by address: hf://OWNER/REPO[@REVISION][/FILE], https://..., file://... or a path."""

from __future__ import annotations

import dataclasses
import json
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from zoo.errors import ArgumentError, DownloadError, OfflineError, nearest_names
from zoo.hub import huggingface, mirror
from zoo.hub.cache import (
    BUNDLE_FILE,
    cache_dir,
    is_offline,
    locked,
    now,
    pin_path,
    write_atomically,
)
from zoo.hub.download import local_errors, shown
from zoo.hub.fetching import fetch
from zoo.hub.huggingface import Address, HubFile
from zoo.hub.progress import say
from zoo.registry import CheckpointSpec, SourceSpec, is_trusted_transport

if TYPE_CHECKING:
    from zoo.checkpoints import Checkpoint

SCHEMES = ("hf", "https", "http", "file")
Choice = Callable[[Address, list[HubFile]], list[HubFile]]
_ADDRESS = re.compile(r"([A-Za-z][A-Za-z0-9+.\-]*)://")


def open_checkpoint(
    path: str | os.PathLike, member: str | None = None, *, offline: bool | None = None
) -> Checkpoint:
    """Opens a checkpoint of any form, by its path or its address.

    Args:
        path: what `zoo.checkpoints.open_checkpoint` takes, or an address: hf://OWNER/REPO with,
            if need be, @REVISION and /FILE; https://...; file://.... What an address gives is
            fetched, verified and cached.
        member: the checkpoint inside an archive; the same as `ARCHIVE!MEMBER`.
        offline: use the cache alone; None leaves it to ZOO_OFFLINE and HF_HUB_OFFLINE.

    Returns:
        An open `Checkpoint`. Close it, or use it as a context manager.

    Raises:
        DownloadError: the address could not be fetched.
        whatever `zoo.checkpoints.open_checkpoint` raises.
    """
    from zoo import checkpoints

    return checkpoints.open_checkpoint(local_path(path, offline=offline), member)


def is_address(place: str | os.PathLike) -> bool:
    """Whether it is SCHEME://..., not a path."""
    return _ADDRESS.match(os.fspath(place)) is not None


def local_path(
    place: str | os.PathLike, *, offline: bool | None = None, progress: bool = True
) -> str:
    """The path of what an address gives, fetched if need be; a path is handed back as it is.

    A branch or a tag of a repository is pinned when it is first used: from then on the address
    means the commit that it led to. `zoo cache prune --forget` lifts that.

    Args:
        place: a path or an address; `!MEMBER` may follow either.
        offline: use the cache alone; None leaves it to ZOO_OFFLINE and HF_HUB_OFFLINE.
        progress: tell on stderr what is done, with a bar where that is a terminal.

    Returns:
        A path, with `!MEMBER` if that was given, for `zoo.checkpoints.open_checkpoint`.

    Raises:
        ArgumentError: it is no address that zoo understands.
        DownloadError: nothing can be had from there; OfflineError, HashMismatchError if that
            is why.
    """
    text = os.fspath(place)
    match = _ADDRESS.match(text)
    if match is None:
        return text
    scheme = match[1].lower()
    if scheme not in SCHEMES:
        raise ArgumentError(
            f"zoo fetches nothing by the scheme {match[1]}://.",
            received=shown(text),
            accepted=", ".join(f"{name}://" for name in SCHEMES),
            nearest=nearest_names(match[1], SCHEMES),
        )
    offline = is_offline() if offline is None else offline
    address, mark, member = text.partition("!")
    fetcher = {"hf": _from_hub, "file": _from_file}.get(scheme, _from_web)
    return f"{fetcher(address, offline, progress)}{mark}{member}"


def _from_file(address: str, offline: bool, progress: bool) -> str:
    parts = urlsplit(address)
    if parts.netloc not in ("", "localhost"):
        raise ArgumentError(
            "A file:// address names a file on this machine.",
            received=address,
            accepted="file:///absolute/path",
        )
    return unquote(parts.path)


def _from_web(address: str, offline: bool, progress: bool) -> str:
    if not is_trusted_transport(address):
        raise ArgumentError(
            "Plain http is not safe: anybody on the way could change the file.",
            received=shown(address),
            next_step="Use https, or fetch the file by hand and give its path.",
        )
    host = re.sub(r"[^\w.\-]", "_", urlsplit(address).hostname or "")
    spec = CheckpointSpec("https", host, (SourceSpec("https", {"url": address}),))
    return str(fetch(spec, offline=offline, progress=progress).path)


# -- The Hub -----------------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class Pin:
    """What a revision led to when it was first used: a commit, and the files at it."""

    address: str
    commit: str
    files: tuple[HubFile, ...]
    pinned: str


def _from_hub(address: str, offline: bool, progress: bool) -> str:
    parsed = huggingface.parse_address(address)
    if parsed.file is not None:
        huggingface.check_no_pickle(parsed, parsed.file)  # before anything is asked
    paths = fetch_files(parsed, huggingface.choose, offline, progress)
    return BUNDLE_FILE.sub("", str(paths[0]))


def fetch_files(
    address: Address, choose: Choice, offline: bool, progress: bool, *, again: bool = False
) -> list[Path]:
    """The local paths of the files that `choose` picks of a repository, verified.

    Args:
        again: more files of a repository that some have been fetched of just now.

    Raises:
        DownloadError: they cannot be had, or `choose` raises it.
    """
    pin, chosen = _pinned(address, choose, offline, progress and not again)
    paths = []
    for file in chosen:
        source = huggingface.source_of(address.repo, pin.commit, file)
        spec = CheckpointSpec(*checkpoint_name(address.repo).split(".", 1), (source,))
        paths.append(fetch(spec, offline=offline, progress=progress).path)
    return paths


def checkpoint_name(repo: str) -> str:
    """What the cache calls the files of a repository."""
    return f"hf.{repo.replace('/', '--')}"


def _pinned(
    address: Address, choose: Choice, offline: bool, progress: bool
) -> tuple[Pin, list[HubFile]]:
    """The recorded pin of the address's revision, else one made now; and the files chosen of it.

    Many processes at once ask the Hub once. Nothing is recorded of a repository that does not
    have what is looked for: it may yet come.
    """
    place = Address(address.repo, address.revision)
    inside = pin_path(checkpoint_name(place.repo), str(place))
    path = cache_dir() / inside
    if (pin := _read_pin(_text(path))) is not None:
        if place.revision != pin.commit:
            say(f"{place} is commit {pin.commit[:12]}, as of {pin.pinned}", progress)
        return pin, choose(address, list(pin.files))
    pin = _read_pin(mirror.read_text(inside, offline))
    if pin is None and offline:
        raise OfflineError(
            f"{place} has not been used on this machine, and offline mode forbids to fetch it.",
            next_step="Unset ZOO_OFFLINE and HF_HUB_OFFLINE (or pass offline=False) and load it "
            "once with a network.",
        )
    with local_errors(path), locked(path, progress):
        if (made := _read_pin(_text(path))) is not None:
            return made, choose(address, list(made.files))
        pin = pin or _make_pin(place, progress)
        chosen = choose(address, list(pin.files))
        write_atomically(path, json.dumps(dataclasses.asdict(pin), indent=1))
    return pin, chosen


def _make_pin(place: Address, progress: bool) -> Pin:
    commit, files = huggingface.list_files(place.repo, place.revision, progress)
    if place.revision != commit:
        say(f"{place} is commit {commit[:12]}", progress)
    return Pin(str(place), commit, tuple(files), now())


def unpin(repo: str, revision: str | None) -> None:
    """Forget what a revision led to: its next use finds out anew."""
    inside = pin_path(checkpoint_name(repo), str(Address(repo, revision)))
    (cache_dir() / inside).unlink(missing_ok=True)


def _text(path: Path) -> str | None:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, ValueError):
        return None


def _read_pin(text: str | None) -> Pin | None:
    """None if there is none, or it cannot be understood."""
    try:
        values = json.loads(text or "")
        files = tuple(HubFile(**file) for file in values.pop("files"))
        pin = Pin(files=files, **values)
        huggingface.check_commit(pin.commit)
    except (ValueError, TypeError, KeyError, AttributeError, DownloadError):
        return None
    return pin if all(huggingface.is_safe_path(file.path) for file in files) else None
