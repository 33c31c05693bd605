"""From a path to an open checkpoint, whatever the path points at."""

from __future__ import annotations

import codecs
import glob
import os
import re
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from zoo.checkpoints.archives import is_archive, is_zip, open_zip, unpack
from zoo.checkpoints.arrays import NpzCheckpoint, SafetensorsCheckpoint, is_safetensors
from zoo.checkpoints.bundle import BundleCheckpoint, is_bundle_header
from zoo.checkpoints.checkpoint import (
    Checkpoint,
    damaged,
    mistaken_content,
    reading,
    relabelled,
)
from zoo.checkpoints.graph_def import GraphDefCheckpoint, is_graph_def
from zoo.checkpoints.sstable import Table, is_table
from zoo.checkpoints.v1 import V1Checkpoint
from zoo.errors import (
    CheckpointFormatError,
    CheckpointNotFoundError,
    UnsafeArchiveError,
    nearest_names,
)

_FORMS = (
    "a V2 prefix, a V1 file, a training directory, a frozen .pb, a SavedModel directory, .npz, "
    ".safetensors, or a .tar.gz, .tgz, .tar or .zip of these"
)
_SHARD = re.compile(r"^(?P<stem>.+)-(?P<shard>\d{5}|\?{5})-of-(?P<count>\d{5})$")
_DATA = re.compile(r"^(?P<prefix>.+)\.data-\d{5}-of-\d{5}$")
_STATE_FILE = "checkpoint"
_SAVED_MODEL = "saved_model.pb"
_PREFERENCE = (("v2", "v1"), ("saved_model",), ("npz", "safetensors"), ("graph_def",))


def open_checkpoint(path: str | os.PathLike, member: str | None = None) -> Checkpoint:
    """Opens a checkpoint of any form, told by its content rather than by its name.

    Args:
        path: one of
            - a V2 checkpoint's prefix, or its `.index` or `.data-...` file,
            - a V1 checkpoint's file, or the prefix of its shards,
            - a training directory: its `checkpoint` file names the latest; without one it must
              hold exactly one checkpoint,
            - a SavedModel directory of TF1 (`variables/` under it is read),
            - a frozen GraphDef `.pb`, an `.npz`, a `.safetensors`,
            - a `.tar.gz`, `.tgz`, `.tar` or `.zip` with one of these inside. `ARCHIVE!MEMBER`
              picks one of several.
            Where a directory or archive has several forms of one network, V2 and V1
            checkpoints come before SavedModels, arrays, and frozen graphs.
        member: the checkpoint inside an archive; the same as `ARCHIVE!MEMBER`.

    Returns:
        An open `Checkpoint`. Close it, or use it as a context manager.

    Raises:
        CheckpointNotFoundError: nothing is at `path`, or no checkpoint is in the directory.
        CheckpointFormatError: the file is of no form above, damaged, incomplete, or one of
            several to choose from.
        UnsafeArchiveError: an archive would write outside its folder, has links, or is a bomb.

    V2, V1 and `.npz` carry checksums, and every read compares them. Frozen graphs and
    `.safetensors` carry none: there sizes and structure are all that can be checked.
    """
    given = os.fspath(path)
    if member is None and not os.path.lexists(given) and "!" in given:
        given, member = _split_member(given)
    if member is not None and not os.path.isfile(given):
        raise _not_found(given)
    if os.path.isdir(given):
        return _open_found(_in_directory(given), given)
    if not os.path.isfile(given):
        return _open_prefix(given)
    if not given.endswith(".index") and _is_plain_archive(given):
        return _open_archive(given, member)
    if member is not None:
        raise CheckpointFormatError(
            f"{given} is not an archive, so it has no member {member!r}.",
            next_step="Give the checkpoint's own path.",
        )
    return _open_file(given, given)


@dataclass(frozen=True)
class Found:
    """A checkpoint seen on disk: its form, and the path or prefix that opens it."""

    form: str
    path: str


def _open_found(found: Found, given: str) -> Checkpoint:
    if found.form == "v2":
        return BundleCheckpoint(given, found.path)
    if found.form == "v1":
        return V1Checkpoint(given, _v1_shards(found.path))
    if found.form == "saved_model":
        return _open_saved_model(found.path, given)
    forms = {
        "npz": NpzCheckpoint,
        "safetensors": SafetensorsCheckpoint,
        "graph_def": GraphDefCheckpoint,
    }
    return forms[found.form](given, found.path)


def _open_file(path: str, given: str) -> Checkpoint:
    """Opens a file by what it holds, or a file that belongs to a prefix."""
    data = _DATA.match(path)
    if data:
        return _open_belonging(path, data["prefix"], given, "data file")
    if path.endswith(".meta"):
        return _open_belonging(path, path.removesuffix(".meta"), given, "graph")
    if os.path.basename(path) == _SAVED_MODEL:
        return _open_saved_model(os.path.dirname(path) or ".", given)
    if os.path.basename(path) == _STATE_FILE and not is_table(path):
        return _open_found(_in_directory(os.path.dirname(path) or "."), given)
    found = look_at(path)
    if found is not None:
        return _open_found(found, given)
    if path.endswith(".index") and os.path.getsize(path):
        raise damaged(path, "it does not end as an index does; it is cut off or overwritten")
    if path.endswith((".npz", ".tgz", ".gz", ".tar", ".zip")):
        raise damaged(path, "its beginning or end is missing or overwritten")
    raise _unknown_form(path)


def look_at(path: str) -> Found | None:
    """What checkpoint a file is, by its content; None if it is none."""
    if path.endswith(".meta") or _DATA.match(path):
        return None
    if is_table(path):
        with reading(path, "reading its first entry"):
            table = Table(path)
            try:
                _, first = table.first()
                bundle = is_bundle_header(first)
            finally:
                table.close()
        if not bundle:
            return Found("v1", path)
        return Found("v2", path.removesuffix(".index")) if path.endswith(".index") else None
    if os.path.basename(path) == _SAVED_MODEL:
        return Found("saved_model", os.path.dirname(path) or ".")
    if is_safetensors(path):
        return Found("safetensors", path)
    if _is_npz(path):
        return Found("npz", path)
    if path.endswith(".pb") or is_graph_def(path):
        return Found("graph_def", path) if not mistaken_content(path) else None
    return None


def _open_belonging(path: str, prefix: str, given: str, what: str) -> Checkpoint:
    if os.path.isfile(f"{prefix}.index"):
        return BundleCheckpoint(given, prefix)
    if os.path.isfile(prefix):
        return _open_file(prefix, given)
    if mistaken_content(path):
        raise damaged(path, "")
    raise CheckpointFormatError(
        f"{path} is a checkpoint's {what} alone; {os.path.basename(prefix)}.index is missing.",
        next_step="Put all files of the checkpoint into one directory.",
    )


def _open_prefix(given: str) -> Checkpoint:
    if os.path.isfile(f"{given}.index"):
        return BundleCheckpoint(given, given)
    if _v1_shards(given):
        return V1Checkpoint(given, _v1_shards(given))
    if glob.glob(f"{glob.escape(given)}.data-?????-of-?????"):
        raise CheckpointFormatError(
            f"The checkpoint {given} lacks its index file {os.path.basename(given)}.index.",
            next_step="Put the index beside the data file, under this name.",
        )
    raise _not_found(given)


def _open_saved_model(directory: str, given: str) -> Checkpoint:
    prefix = os.path.join(directory, "variables", "variables")
    if not os.path.isfile(f"{prefix}.index"):
        raise CheckpointFormatError(
            f"The SavedModel {directory} has no variables.",
            received="a saved_model.pb without variables/variables.index",
            next_step="Copy its `variables` directory too, or give the checkpoint it came from.",
        )
    checkpoint = BundleCheckpoint(given, prefix)
    checkpoint.format = "saved_model"
    return checkpoint


def _open_archive(given: str, member: str | None) -> Checkpoint:
    folder = tempfile.TemporaryDirectory(prefix="zoo-checkpoint-")
    try:
        names = unpack(given, folder.name)
        with relabelled(folder.name, given):
            found = _in_archive(given, folder.name, names, member)
            checkpoint = _open_found(found, found.path)
        inside = os.path.relpath(found.path, folder.name)
        checkpoint.path = f"{given}!{inside}"
        checkpoint._unpacked = folder.name, given
    except BaseException:
        folder.cleanup()
        raise
    checkpoint._on_close.insert(0, folder.cleanup)
    return checkpoint


def _in_archive(given: str, folder: str, names: list[str], member: str | None) -> Found:
    if member is not None:
        return _member(given, folder, names, member)
    files = [os.path.join(folder, name) for name in names]
    candidates = _preferred(files)
    if not candidates:
        raise CheckpointFormatError(
            f"The archive {given} holds no checkpoint.",
            received=_shortened(sorted(names)) if names else "an empty archive",
            accepted=_FORMS,
            next_step="Give the archive that has the checkpoint.",
        )
    folders = {os.path.dirname(candidate.path) for candidate in candidates}
    if len(candidates) > 1 and len(folders) == 1:
        latest = _latest(folders.pop())
        if latest is not None:
            return latest
    if len(candidates) > 1:
        inside = sorted(os.path.relpath(found.path, folder) for found in candidates)
        raise CheckpointFormatError(
            f"The archive {given} holds {len(candidates)} checkpoints.",
            received=_shortened(inside),
            next_step=f"Name one: {given}!{inside[0]}",
        )
    return candidates[0]


def _member(given: str, folder: str, names: list[str], member: str) -> Found:
    path = os.path.join(folder, member)
    inside = os.path.realpath(path).startswith(os.path.realpath(folder) + os.sep)
    if inside and os.path.isfile(f"{path}.index"):
        return Found("v2", path)
    if inside and os.path.isdir(path):
        return _in_directory(path)
    found = look_at(path) if inside and os.path.isfile(path) else None
    if found is not None:
        return found
    stems = sorted({re.sub(r"\.(index|meta|data-\d+-of-\d+)$", "", name) for name in names})
    raise CheckpointNotFoundError(
        f"The archive {given} holds no checkpoint of this name.",
        received=member,
        accepted=_shortened(stems),
        nearest=nearest_names(member, stems),
    )


def _in_directory(directory: str) -> Found:
    if os.path.isfile(os.path.join(directory, _SAVED_MODEL)):
        return Found("saved_model", directory)
    latest = _latest(directory)
    if latest is not None:
        return latest
    names = sorted(os.listdir(directory))
    paths = [os.path.join(directory, name) for name in names]
    candidates = _preferred(path for path in paths if os.path.isfile(path))
    if len(candidates) == 1:
        return candidates[0]
    if not candidates:
        raise CheckpointNotFoundError(
            f"The directory {directory} holds no checkpoint.",
            received=_shortened(names) if names else "an empty directory",
            accepted=_FORMS,
            next_step="Give the directory or file that has the checkpoint.",
        )
    inside = sorted(os.path.basename(found.path) for found in candidates)
    raise CheckpointFormatError(
        f"The directory {directory} holds {len(candidates)} checkpoints and no `checkpoint` file "
        "that names the latest.",
        received=_shortened(inside),
        next_step=f"Give one of them: {os.path.join(directory, inside[-1])}",
    )


def _latest(directory: str) -> Found | None:
    """The checkpoint that the directory's `checkpoint` file names, if there is such a file.

    The file often has the path on the machine that trained the network, so only the last part
    counts, and only inside this directory.
    """
    path = Path(directory, _STATE_FILE)
    if not path.is_file() or is_table(path):
        return None
    with reading(path, "reading the name of the latest checkpoint"):
        content = path.read_bytes()[: 1 << 20]
        stated = re.search(rb'^\s*model_checkpoint_path:\s*"((?:[^"\\]|\\.)*)"', content, re.M)
    if stated is None:
        return None
    name = codecs.escape_decode(stated[1])[0].decode("utf-8", "replace")
    latest = os.path.join(directory, re.split(r"[\\/]", name)[-1])
    if os.path.isfile(f"{latest}.index"):
        return Found("v2", latest)
    if _v1_shards(latest):
        return Found("v1", latest)
    present = sorted(os.path.basename(found.path) for found in _preferred(_files(directory)))
    raise CheckpointNotFoundError(
        f"{path} names a checkpoint that is not in its directory.",
        received=name,
        accepted=_shortened(present) if present else None,
        nearest=nearest_names(os.path.basename(latest), present),
        next_step="Give the path of the checkpoint that you want.",
    )


def _files(directory: str) -> list[str]:
    return [entry.path for entry in os.scandir(directory) if entry.is_file()]


def _preferred(paths: Iterable[str]) -> list[Found]:
    """The checkpoints among files, of the most telling form that is there."""
    found = {_without_shard(seen) for path in paths if (seen := look_at(path)) is not None}
    inside = {os.path.join(seen.path, "variables") for seen in found if seen.form == "saved_model"}
    found = {seen for seen in found if os.path.dirname(seen.path) not in inside}
    for forms in _PREFERENCE:
        chosen = [seen for seen in found if seen.form in forms]
        if chosen:
            return sorted(chosen, key=lambda seen: seen.path)
    return []


def _without_shard(found: Found) -> Found:
    shard = _SHARD.match(found.path) if found.form == "v1" else None
    return Found("v1", shard["stem"]) if shard else found


def _v1_shards(path: str) -> list[str]:
    """The files of a V1 checkpoint: itself, or all `PATH-0000I-of-0000N`."""
    shard = _SHARD.match(path)
    if os.path.isfile(path) and not shard:
        return [path]
    stem = shard["stem"] if shard else path
    shards = sorted(glob.glob(f"{glob.escape(stem)}-?????-of-?????"))
    for last in shards:
        count = int(_SHARD.match(last)["count"]) if _SHARD.match(last) else -1
        expected = [f"{stem}-{number:05d}-of-{count:05d}" for number in range(count)]
        missing = [name for name in expected if not os.path.isfile(name)]
        if missing:
            raise CheckpointFormatError(
                f"The checkpoint {stem} lacks the shard {os.path.basename(missing[0])}.",
                next_step="Put all of its files into one directory.",
            )
        return expected
    return []


def _split_member(given: str) -> tuple[str, str | None]:
    """The archive and the member in ARCHIVE!MEMBER; the archive must exist."""
    for place in (mark.start() for mark in re.finditer("!", given)):
        if os.path.isfile(given[:place]):
            return given[:place], given[place + 1 :]
    return given, None


def _is_plain_archive(path: str) -> bool:
    return is_archive(path) and not is_table(path) and not _is_npz(path)


def _is_npz(path: str) -> bool:
    """A zip of nothing but arrays."""
    try:
        if not is_zip(path):
            return False
        with open_zip(path) as archive:
            names = archive.namelist()
    except UnsafeArchiveError:
        raise
    except Exception:  # Damaged: its name decides which error is given.
        return path.endswith(".npz")
    return path.endswith(".npz") or (bool(names) and all(name.endswith(".npy") for name in names))


def _unknown_form(path: str) -> CheckpointFormatError:
    mistaken = mistaken_content(path)
    if mistaken:
        return damaged(path, "")
    return CheckpointFormatError(
        f"{path} is of no form that zoo reads, or it is damaged beyond recognition.",
        received=f"{os.path.getsize(path)} bytes that neither begin nor end as a checkpoint does",
        accepted=_FORMS,
        next_step="If it should be a checkpoint, fetch or copy it again: it may be cut off.",
    )


def _not_found(given: str) -> CheckpointNotFoundError:
    directory, name = os.path.split(given)
    directory = directory or "."
    if not os.path.isdir(directory):
        return CheckpointNotFoundError(
            f"There is no checkpoint at {given}: the directory {directory} does not exist.",
            next_step="Check the path.",
        )
    present = {
        re.sub(r"\.(index|meta|data-\d+-of-\d+)$", "", entry) for entry in os.listdir(directory)
    }
    return CheckpointNotFoundError(
        f"There is no checkpoint at {given}.",
        received=_shortened(sorted(present)) if present else "an empty directory",
        nearest=nearest_names(name, present),
        accepted=_FORMS,
        next_step="Check the path.",
    )


def _shortened(names: list[str], most: int = 12) -> str:
    shown = ", ".join(names[:most])
    return shown if len(names) <= most else f"{shown} and {len(names) - most} more"
