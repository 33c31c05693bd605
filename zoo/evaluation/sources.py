"""Labelled images to evaluate on: where they are, how one is read, which output it should get."""

from __future__ import annotations

import dataclasses
import hashlib
import os
from collections.abc import Callable, Sequence
from pathlib import Path

import tensorflow as tf

from zoo.errors import ArgumentError, ImageError
from zoo.evaluation.ground_truth import find_ground_truth, outputs_of_images
from zoo.evaluation.outputs import Outputs
from zoo.images.folders import class_folders, image_files
from zoo.images.records import SHARD, Record, find_shards, names_beside, parse_record, records

_ACCEPTED = (
    "a folder with a subfolder of images for each class; a folder of images and a file that says "
    "what they are; or TFRecord files of Slim's format, by their folder, path or pattern"
)


@dataclasses.dataclass(frozen=True)
class Source:
    """Images in a fixed order, none of which has been read yet.

    Attributes:
        images: each, for people to read (str).
        read: position -> bytes, of an image file or of a record.
        parse: these bytes, a string tensor -> (encoded image, number, synset), all tensors; the
            latter two are what a record says of its class.
        output: (position, number, synset) -> index of the network's output that is right.
        digest: by which the same data are known again.
        skipped: what cannot be read at all, as "file: why".
    """

    images: Sequence
    read: Callable[[int], bytes]
    parse: Callable[[tf.Tensor], tuple[tf.Tensor, tf.Tensor, tf.Tensor]]
    output: Callable[[int, int, bytes], int]
    digest: str
    skipped: list[str] = dataclasses.field(default_factory=list)

    def __len__(self) -> int:
        return len(self.images)


def check_data(data) -> None:
    """Raises ArgumentError where there is nothing: a model need not be loaded to see that."""
    if not isinstance(data, str | os.PathLike | list | tuple):
        raise ArgumentError(
            "These are no images with labels.", received=type(data).__name__, accepted=_ACCEPTED
        )
    if not find_shards(data) and (not data or not Path(data).expanduser().is_dir()):
        raise ArgumentError("There are no data here.", received=str(data), accepted=_ACCEPTED)


def open_source(
    data, outputs: Outputs, *, ground_truth=None, label_offset: int | None = None
) -> Source:
    """Finds the images and their classes.

    Args:
        data: a folder, or TFRecord files: a path, a pattern, or a list of paths.
        outputs: of the network.
        ground_truth: the file that says what the images of a flat folder are; None for the only
            text file in it.
        label_offset: number of the first class where numbers tell classes. None: for records 1 of
            ImageNet (0 is the background), else 0; for lines of a file what `outputs_of_images`
            says.

    Raises:
        ArgumentError: there are no such data, or they have classes that the network has not.
        ImageError: there are no images.
    """
    check_data(data)
    shards = find_shards(data)
    folder = None if isinstance(data, list | tuple) else Path(data).expanduser()
    if shards:
        if folder is not None and folder.is_dir():
            _check_one_part(shards, folder)
        source = _of_records(shards, outputs, label_offset)
    elif ground_truth is None and any(path.is_dir() for path in _visible(folder)):
        source = _of_classes(folder, outputs)
    else:
        source = _of_flat_folder(folder, outputs, ground_truth, label_offset)
    if not len(source):
        raise ImageError(
            "There are no images here.",
            received="\n            ".join([str(data), *source.skipped[:5]]),
            accepted=_ACCEPTED,
        )
    return source


def _visible(folder: Path) -> list[Path]:
    return [path for path in folder.iterdir() if path.name[0] != "."]


# -- Image files -------------------------------------------------------------------------------


def _of_classes(folder: Path, outputs: Outputs) -> Source:
    files, found = [], {}
    for name in (path.name for path in class_folders(folder)):
        of_class = image_files(folder / name)
        files += of_class
        found |= dict.fromkeys(of_class, name)
    indices = outputs.find(found.values())
    return _of_files(files, [indices[found[path]] for path in files], folder)


def _of_flat_folder(folder: Path, outputs: Outputs, ground_truth, label_offset) -> Source:
    files = image_files(folder, deep=False)
    if not files:
        return _of_files([], [], folder)
    truth = find_ground_truth(folder) if ground_truth is None else Path(ground_truth).expanduser()
    names = [path.name for path in files]
    return _of_files(files, outputs_of_images(truth, names, outputs, label_offset), folder)


def _of_files(files: list[Path], right: list[int], folder: Path) -> Source:
    identity = hashlib.sha256()
    for path, output in zip(files, right, strict=True):
        identity.update(f"{path.relative_to(folder)}\0{path.stat().st_size}\0{output}\n".encode())
    return Source(
        images=files,
        read=lambda position: files[position].read_bytes(),
        parse=lambda data: (data, tf.constant(0, tf.int64), tf.constant("")),
        output=lambda position, number, synset: right[position],
        digest=identity.hexdigest(),
    )


# -- TFRecord files ----------------------------------------------------------------------------


def _check_one_part(shards: list[Path], folder: Path) -> None:
    """A folder may hold the files of training and of validation, which are not to be mixed."""
    stems = sorted({SHARD.fullmatch(path.name)["stem"] or path.name for path in shards})
    if len(stems) > 1:
        raise ArgumentError(
            "These are TFRecord files of several parts of a data set.",
            received=f"{folder} with {', '.join(stems[:5])}",
            next_step=f"pass one of them as a pattern, such as '{folder / stems[-1]}*'.",
        )


def _of_records(files: list[Path], outputs: Outputs, label_offset: int | None) -> Source:
    skipped: list[str] = []
    found: list[Record] = [record for file in files for record in records(file, skipped)]
    identity = hashlib.sha256(f"{label_offset}".encode())
    for file in files:
        size = file.stat().st_size if file.exists() else -1
        identity.update(f"{file.name}\0{size}\n".encode())
    by_name = label_offset is None and outputs.are_named
    names = names_beside(files[0]) if by_name else None
    if outputs.is_imagenet and names and len(names) in (1000, 1001):
        names, label_offset = None, len(names) - 1000  # two classes share a name, but no number
    first = label_offset if label_offset is not None else int(outputs.is_imagenet)
    known: dict[tuple[int, bytes], int] = {}

    def output(position: int, number: int, synset: bytes) -> int:
        if (number, synset) not in known:
            known[number, synset] = _output_of_record(
                outputs, names, first, number, synset.decode("utf-8", "replace"), found[position]
            )
        return known[number, synset]

    return Source(
        images=found,
        read=lambda position: found[position].checked_bytes(),
        parse=parse_record,
        output=output,
        digest=identity.hexdigest(),
        skipped=skipped,
    )


def _output_of_record(
    outputs: Outputs, names: list[str] | None, first: int, number: int, synset: str, record: Record
) -> int:
    """By the record's synset id if it has one, by labels.txt if that is there, else by number."""
    if synset:
        return outputs.find([synset])[synset]
    if names is None:
        return outputs.of_number(number, first, record)
    if not 0 <= number < len(names):
        raise ArgumentError(
            "labels.txt beside the TFRecords has no such number.",
            received=f"{number} of {record}",
            accepted=f"0 to {len(names) - 1}",
        )
    return outputs.find([names[number]])[names[number]]
