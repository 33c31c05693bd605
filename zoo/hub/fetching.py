"""A published checkpoint -> a verified local file, from the first source that works."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from zoo.errors import DownloadError, HashMismatchError, OfflineError
from zoo.hub import mirror
from zoo.hub.cache import Slot, is_offline
from zoo.hub.download import local_errors
from zoo.hub.progress import say
from zoo.hub.sources import Source, reason, source_for, together
from zoo.registry import CheckpointSpec, SourceSpec


@dataclass(frozen=True)
class Fetched:
    """A checkpoint's file on this machine.

    Attributes:
        path: the file; leave it as it is, other programs share it.
        source: where it came from.
        member: name of the checkpoint inside `path`, if that is an archive; None if the archive
            holds just one, or the file is the checkpoint.
    """

    path: Path
    source: SourceSpec
    member: str | None


def fetch(
    checkpoint: CheckpointSpec, *, offline: bool | None = None, progress: bool = True
) -> Fetched:
    """The local file of a checkpoint: from the cache, one's own mirror, or its sources in order.

    Args:
        offline: use the cache and local files alone. None: as ZOO_OFFLINE or HF_HUB_OFFLINE say.
        progress: tell on stderr what is done, with a bar where that is a terminal.

    Raises:
        OfflineError: offline, and neither the cache nor this machine has the file.
        HashMismatchError: every source gave another file than the expected one.
        DownloadError: no source works, or the cache cannot be written to.
    """
    offline = is_offline() if offline is None else offline
    candidates, failures = [], []
    for spec in checkpoint.sources:
        try:
            source = source_for(spec)
            if (path := source.local_file()) is not None:
                return Fetched(path, spec, source.member)
        except DownloadError as error:
            failures.append(error)
            continue
        slot = Slot(checkpoint.full_name, spec, source.filename())
        if _is_cached(slot, progress):
            return Fetched(slot.path, spec, source.member)
        candidates.append((source, slot))
    for source, slot in candidates:
        if _mirrored(slot, offline, progress):
            return Fetched(slot.path, source.spec, source.member)
    if offline:
        raise _offline_error(checkpoint, candidates, failures)
    for source, slot in candidates:
        try:
            _retrieve(source, slot, progress)
            return Fetched(slot.path, source.spec, source.member)
        except DownloadError as error:
            if error.errno is not None:  # this machine's trouble; no other source would help
                raise
            failures.append(error)
            if source is not candidates[-1][0]:
                say(f"{reason(error)} Trying the next source", progress)
    raise together(
        f"{checkpoint.full_name} could not be fetched; none of its sources works:",
        failures,
        "Try again when the network is there, or download the file by hand and pass tf1_ckpt=PATH.",
    )


def _is_cached(slot: Slot, progress: bool) -> bool:
    with local_errors(slot.path):
        try:
            return slot.holds_file(slot.expected())
        except HashMismatchError:
            say(f"the cached {slot.path} is damaged and is not used", progress)
            return False


def _mirrored(slot: Slot, offline: bool, progress: bool) -> bool:
    """Whether one's own mirror, if there is one, had the file, which then is in the slot."""
    base = mirror.mirror()
    if base is None or (offline and mirror.is_remote(base)):
        return False
    with local_errors(slot.path), slot.locked(progress):
        try:
            expected = slot.expected()
            if not slot.holds_file(expected):
                found = mirror.retrieve(slot.inside, slot.path, expected, offline, progress)
                if found is None:
                    return False
                slot.keep(*found)
            return True
        except DownloadError as error:
            if error.errno is not None:
                raise
            say(f"the mirror does not serve: {reason(error)}", progress)
            return False


def _retrieve(source: Source, slot: Slot, progress: bool) -> None:
    """Fetch into the slot, unless another process has done so while this one waited."""
    with local_errors(slot.path), slot.locked(progress):
        expected = slot.expected()
        try:
            if slot.holds_file(expected):
                return
        except HashMismatchError:
            slot.path.unlink()
        slot.keep(source.retrieve(slot.path, expected, progress), source.label())


def _offline_error(
    checkpoint: CheckpointSpec,
    candidates: list[tuple[Source, Slot]],
    failures: list[DownloadError],
) -> OfflineError:
    lines = [f"{checkpoint.full_name} is not in the cache, and offline mode forbids fetching it."]
    lines += [f"  - {reason(failure)}" for failure in failures]
    lines += [f"  - {source.label()} is looked for at {slot.path}" for source, slot in candidates]
    return OfflineError(
        "\n".join(lines),
        next_step="Unset ZOO_OFFLINE and HF_HUB_OFFLINE (or pass offline=False) and load the "
        "model once with a network; or put the file there by hand; or pass tf1_ckpt=PATH.",
    )
