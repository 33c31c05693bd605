"""TFRecord files of labelled images, in the format of TF-Slim's conversion scripts."""

from __future__ import annotations

import dataclasses
import re
import struct
from collections.abc import Iterator
from pathlib import Path

import tensorflow as tf

from zoo.checkpoints.crc32c import masked_crc32c
from zoo.errors import ArgumentError

SHARD = re.compile(r"(?P<stem>.+)[-_]\d{5}-of-\d{5}(\.tfrecords?)?|.+\.tfrecords?")

_FEATURES = {
    "image/encoded": tf.io.FixedLenFeature([], tf.string),
    "image/class/label": tf.io.FixedLenFeature([], tf.int64),
    # ImageNet's records have it, those of other data sets do not.
    "image/class/synset": tf.io.FixedLenFeature([], tf.string, default_value=""),
}


@dataclasses.dataclass(frozen=True)
class Record:
    """Where a record lies: `size` bytes from `offset` on."""

    file: Path
    offset: int
    size: int
    number: int

    def bytes(self) -> bytes:
        with open(self.file, "rb") as file:
            file.seek(self.offset)
            return file.read(self.size)

    def checked_bytes(self) -> bytes:
        """The same, held to the checksum that follows them.

        Raises:
            OSError: they are not what was written.
        """
        with open(self.file, "rb") as file:
            file.seek(self.offset)
            data = file.read(self.size)
            checksum = file.read(4)
        if len(checksum) < 4 or struct.unpack("<I", checksum)[0] != masked_crc32c(data):
            raise OSError("damaged: its checksum is another")
        return data

    def __str__(self) -> str:
        return f"{self.file}, record {self.number}"


def find_shards(data) -> list[Path]:
    """The files that are meant: by a list of paths, a folder, a path or a pattern.

    Empty where nothing is found, or where a folder has no file that is named as a shard is.
    """
    if isinstance(data, list | tuple):
        return [Path(path).expanduser() for path in data]
    path = Path(data).expanduser()
    if path.is_dir():
        return sorted(file for file in path.iterdir() if SHARD.fullmatch(file.name))
    return [path] if path.is_file() else sorted(path.parent.glob(path.name))


def records(file: Path, skipped: list[str]) -> Iterator[Record]:
    """Where the records of a file are: a length of 8 bytes, its checksum of 4, the record, and
    its checksum. What ends too early is noted in `skipped`."""
    try:
        whole = file.stat().st_size
        with open(file, "rb") as stream:
            place = number = 0
            while place < whole:
                header = stream.read(12)
                size = struct.unpack("<Q", header[:8])[0] if len(header) == 12 else whole
                if place + size + 16 > whole:
                    skipped.append(f"{file}: cut short or no TFRecord file, from record {number}")
                    return
                yield Record(file, place + 12, size, number)
                place += size + 16
                number += 1
                stream.seek(place)
    except OSError as error:
        skipped.append(f"{file}: {error.strerror}")


def parse_record(data: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """The encoded image, the label and the synset id ("" if it is not told) of a record."""
    example = tf.io.parse_single_example(data, _FEATURES)
    return example["image/encoded"], example["image/class/label"], example["image/class/synset"]


def names_beside(file: Path) -> list[str] | None:
    """The names in labels.txt beside a file of records, as Slim's scripts write it: "0:daisy"."""
    path = file.parent / "labels.txt"
    if not path.is_file():
        return None
    rows = [line.partition(":") for line in path.read_text(encoding="utf-8").splitlines() if line]
    try:
        names = {int(number): name for number, _, name in rows}
    except ValueError:
        raise ArgumentError(
            "labels.txt beside the TFRecords is not as Slim's scripts write it.",
            received=path,
            accepted='lines such as "0:daisy"',
        ) from None
    return [names.get(number, f"class {number}") for number in range(max(names, default=0) + 1)]
