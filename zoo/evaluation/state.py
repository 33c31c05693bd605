"""How far an evaluation is, in a file: a run that was stopped goes on from there."""

from __future__ import annotations

import glob
import hashlib
import json
import shutil
import zipfile
from pathlib import Path

import numpy as np

from zoo.atomic import replacing
from zoo.errors import ArgumentError
from zoo.evaluation.tally import ROW, Tally
from zoo.hub.cache import cache_dir


def default_path(key: dict) -> Path:
    """Where the state of an evaluation is kept: in zoo's cache, by its key."""
    return cache_dir() / "evaluations" / f"{_digest(key)}.npz"


def save(path: Path, key: dict, tally: Tally) -> None:
    """Writes the state; complete under its name, or the one before stays.

    Args:
        key: what it is the state of: strings and numbers.

    Raises:
        OSError: it cannot be written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    skipped = {str(place): why for place, why in tally.skipped.items()}
    with replacing(path) as (made,), open(made, "wb") as file:
        np.savez(
            file,
            key=np.array(json.dumps(key)),
            rows=tally.rows[: tally.done],
            skipped=np.array(json.dumps(skipped)),
        )


def restore(path: Path, key: dict, tally: Tally) -> None:
    """Gives the tally what an earlier run has counted, if there is a state.

    Raises:
        ArgumentError: the file is no state, or that of another evaluation.
    """
    if not path.exists():
        return
    try:
        with np.load(path, allow_pickle=False) as file:
            saved, rows = json.loads(str(file["key"])), file["rows"]
            skipped = {int(place): why for place, why in json.loads(str(file["skipped"])).items()}
        if rows.dtype != ROW or rows.ndim != 1 or len(rows) > len(tally.rows):
            raise ValueError
    except (ValueError, KeyError, OSError, EOFError, AttributeError, zipfile.BadZipFile) as error:
        raise ArgumentError(
            "This file is no state of an evaluation, or it is damaged.",
            received=str(path),
            next_step="delete it, or pass restart=True.",
        ) from error
    differing = [name for name in key if saved.get(name) != key[name]]
    if differing:
        raise ArgumentError(
            "This is the state of another evaluation.",
            received="; ".join(f"{n}: {key[n]}, not {saved.get(n)}" for n in differing),
            accepted=f"that which {path} was begun with",
            next_step="pass another state=, or restart=True to begin anew.",
        )
    tally.rows[: len(rows)] = rows
    tally.done, tally.skipped = len(rows), skipped


def remove(path: Path) -> None:
    """Deletes the state, and what a process that was killed while it wrote one has left."""
    path.unlink(missing_ok=True)
    for unfinished in path.parent.glob(f".{glob.escape(path.name)}.*"):
        shutil.rmtree(unfinished, ignore_errors=True)


def _digest(key: dict) -> str:
    return hashlib.sha256(json.dumps(key, sort_keys=True).encode()).hexdigest()[:32]
