"""What every form of checkpoint becomes once it is open: names, shapes, dtypes, lazy arrays."""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from zoo.errors import ArgumentError, CheckpointFormatError, ZooError, nearest_names

NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)  # this machine's trouble, not the file's


@dataclass(frozen=True)
class Tensor:
    """What a checkpoint says of one tensor, and where its values are (each form's own matter)."""

    shape: tuple[int, ...]
    dtype: np.dtype
    where: object = field(default=None, repr=False)


class Checkpoint:
    """Named arrays in a file, whatever the file's form. `open_checkpoint` makes one.

    Iterates over its names; `name in checkpoint` and `len(checkpoint)` work. A context manager:
    leaving it closes the file and removes what an archive was unpacked to.

    Attributes:
        path: the path that was opened, as given.
        format: one of "v2", "v1", "graph_def", "saved_model", "npz", "safetensors"; an archive's
            checkpoint has its own form.
    """

    format = ""

    def __init__(self, path: str | os.PathLike, tensors: dict[str, Tensor]) -> None:
        self.path = os.fspath(path)
        self._tensors = tensors
        self._on_close: list[Callable[[], None]] = []
        self._unpacked: tuple[str, str] | None = None  # temporary folder, archive

    def names(self) -> list[str]:
        """The names of all variables, sorted."""
        return sorted(self._tensors)

    def __contains__(self, name: object) -> bool:
        return name in self._tensors

    def __len__(self) -> int:
        return len(self._tensors)

    def __iter__(self) -> Iterator[str]:
        return iter(self.names())

    def shape(self, name: str) -> tuple[int, ...]:
        return self._tensor(name).shape

    def dtype(self, name: str) -> np.dtype:
        return self._tensor(name).dtype

    def read(self, name: str, *, check: bool = True) -> np.ndarray:
        """The values of one variable, read from the file now; the array may be read-only.

        Args:
            name: as in `names()`.
            check: compare the checksum, if the form has one. False is for values that were
                checked a moment ago.

        Raises:
            ArgumentError: the checkpoint holds nothing of this name.
            CheckpointFormatError: the values are damaged.
        """
        tensor = self._tensor(name)
        with relabelled(*self._unpacked or ("", "")), reading(self.path, f"reading {name!r}"):
            return self._read(name, tensor, check)

    def close(self) -> None:
        while self._on_close:
            self._on_close.pop()()

    def __enter__(self) -> Checkpoint:
        return self

    def __exit__(self, *_exception) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<{self.format} checkpoint {self.path!r}: {len(self)} variables>"

    def _read(self, name: str, tensor: Tensor, check: bool) -> np.ndarray:
        raise NotImplementedError

    def _tensor(self, name: str) -> Tensor:
        try:
            return self._tensors[name]
        except KeyError:
            raise ArgumentError(
                f"The checkpoint {self.path} holds nothing of this name.",
                received=name,
                nearest=nearest_names(str(name), self._tensors),
                next_step="`zoo inspect` lists what is inside.",
            ) from None


@contextlib.contextmanager
def reading(path: str | os.PathLike, doing: str):
    """Turns whatever a parser of untrusted bytes raises into one clear error about the file."""
    try:
        yield
    except (ZooError, PermissionError, NameError, ImportError):  # not for what the file holds
        raise
    except Exception as error:
        if isinstance(error, OSError) and error.errno in NO_ROOM:
            raise
        reason = str(error) or type(error).__name__
        raise damaged(path, f"{doing}: {reason}") from error


@contextlib.contextmanager
def relabelled(folder: str, archive: str):
    """Errors about a file in an archive's temporary folder say ARCHIVE!MEMBER instead."""
    try:
        yield
    except ZooError as error:
        if folder:
            error.what = error.what.replace(f"{folder}{os.sep}", f"{archive}!")
        raise


def damaged(path: str | os.PathLike, detail: str) -> CheckpointFormatError:
    """The error for a file that is not what its name or its head says."""
    mistaken = mistaken_content(path)
    if mistaken:
        what, next_step = mistaken
        return CheckpointFormatError(f"{path} {what}.", next_step=next_step)
    return CheckpointFormatError(
        f"The checkpoint {path} is damaged ({detail}).",
        next_step="Fetch or copy the file again, and compare its size and hash with its source's.",
    )


def mistaken_content(path: str | os.PathLike) -> tuple[str, str] | None:
    """If the file is something else, often saved in a checkpoint's place: what, and what to do."""
    try:
        with Path(path).open("rb") as file:
            head = file.read(512)
    except OSError:
        return None
    start = head.lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if not head:
        return "is empty", "Fetch or copy the file again."
    if head.startswith(b"version https://git-lfs"):
        return "is a Git LFS pointer, not the file itself", "Run `git lfs pull` where it came from."
    if start.startswith((b"<!doctype", b"<html", b"<head", b"<?xml", b"<error")):
        return (
            "is a web page, probably an error message saved in the checkpoint's place",
            "Look at it in a browser, and fetch the checkpoint again from the right address.",
        )
    if head.startswith(b"\x89HDF\r\n\x1a\n"):
        return (
            "is an HDF5 file (Keras weights or model), not a TF1 checkpoint",
            "Load it with Keras, or give the checkpoint that it was made from. `zoo.load` and "
            "`zoo convert` take weights of keras.applications.",
        )
    if head.startswith(b"\x80") and b"torch" in head.lower():
        return (
            "is a pickled PyTorch file, which can run code and is not read",
            "Give the TF1 checkpoint itself, or timm's or Transformers' .safetensors.",
        )
    return None
