"""Image files in folders, found by their suffixes and in the order of their names."""

from __future__ import annotations

from pathlib import Path

from zoo.errors import ArgumentError

SUFFIXES = (".jpg", ".jpeg", ".png", ".gif", ".bmp", ".webp")
_SPLITS = {"train", "training", "val", "valid", "validation", "test", "eval"}


def image_files(folder: Path, *, deep: bool = True) -> list[Path]:
    """The image files of a folder, with those of folders in it if `deep`."""
    found = folder.rglob("*") if deep else folder.iterdir()
    return sorted(path for path in found if path.suffix.lower() in SUFFIXES and path.is_file())


def class_folders(folder: Path) -> list[Path]:
    """The folders in a folder, each of which holds the images of a class.

    Raises:
        ArgumentError: they are parts of a data set, such as train and validation.
    """
    found = sorted(path for path in folder.iterdir() if path.is_dir() and path.name[0] != ".")
    names = [path.name for path in found]
    if names and {name.lower() for name in names} <= _SPLITS:
        raise ArgumentError(
            "This folder holds parts of a data set, not classes.",
            received=f"{folder} with {', '.join(names)}",
            next_step=f"pass one of them, such as {found[0]}.",
        )
    return found
