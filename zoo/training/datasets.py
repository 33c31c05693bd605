"""Images with labels, out of folders, TFRecord files or datasets: checked once, then read in order.

Every image is decoded once before training. What cannot be read is left out, by name, so that an
epoch has a known number of steps, and a step the same images whenever it is taken.
"""

from __future__ import annotations

import concurrent.futures
import dataclasses
import os
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import tensorflow as tf

from zoo.errors import ArgumentError, ImageError
from zoo.images.files import decode_image_op, decoding_failure, read_image_op
from zoo.images.folders import class_folders, image_files
from zoo.images.records import Record, find_shards, names_beside, parse_record
from zoo.images.records import records as records_of

_ACCEPTED = (
    "a folder with a subfolder of images for each class; TFRecord files as Slim's scripts write "
    "them, or their folder; or a finite tf.data.Dataset of (image, label)"
)

# A shuffled dataset of a user's holds decoded images, whose memory is to be bounded.
_SHUFFLED_IMAGES = 1024


@dataclasses.dataclass(frozen=True)
class LabelledImages:
    """Images and their labels, all of which can be read.

    Attributes:
        references: dataset of (reference, label), always in the same order.
        read: reference -> image, (height, width, 3) uint8 or float, inside `tf.data`.
        labels: int64 (images,), in the order of `references`.
        class_names: a name for each class.
        skipped: what was left out, as "file: why".
        buffer: how many references a shuffle may hold.
    """

    references: tf.data.Dataset
    read: Callable
    labels: np.ndarray
    class_names: list[str]
    skipped: list[str] = dataclasses.field(default_factory=list)
    buffer: int = 2**31

    def __len__(self) -> int:
        return len(self.labels)

    def images(self) -> tf.data.Dataset:
        """(image, label), in order."""
        return self.references.map(self._read, num_parallel_calls=tf.data.AUTOTUNE)

    def shuffled(self, seed: int, epoch) -> tf.data.Dataset:
        """(reference, label) in the order of an epoch, which may be a tensor."""
        # Dataset.shuffle takes no tensor for a seed; the operation beneath it does.
        variant = tf.raw_ops.ShuffleDataset(
            input_dataset=tf.data.experimental.to_variant(self.references),
            buffer_size=max(1, min(len(self), self.buffer)),
            seed=seed,
            seed2=tf.cast(epoch, tf.int64) + 1,
            reshuffle_each_iteration=False,
            output_types=[part.dtype for part in tf.nest.flatten(self.references.element_spec)],
            output_shapes=[part.shape for part in tf.nest.flatten(self.references.element_spec)],
        )
        return tf.data.experimental.from_variant(variant, self.references.element_spec)

    def split(self, fraction: float, seed: int) -> tuple[LabelledImages, LabelledImages]:
        """The larger and the smaller part; of each class with two images or more, both have some.

        Raises:
            ArgumentError: the fraction is not between 0 and 1.
        """
        if not 0 < fraction < 1:
            raise ArgumentError(
                "The part of the data to validate with is between 0 and 1.",
                received=f"validation={fraction}",
            )
        random = np.random.default_rng(seed)
        chosen = np.zeros(len(self), bool)
        for label in np.unique(self.labels):
            places = random.permutation(np.flatnonzero(self.labels == label))
            count = min(max(1, round(fraction * len(places))), len(places) - 1)
            chosen[places[:count]] = True
        return self._only(~chosen), self._only(chosen)

    def _only(self, chosen: np.ndarray) -> LabelledImages:
        kept = tf.constant(chosen)
        references = (
            self.references.enumerate()
            .filter(lambda place, _: kept[place])
            .map(lambda _, reference: reference)
        )
        return dataclasses.replace(self, references=references, labels=self.labels[chosen])

    def _read(self, reference, label):
        return self.read(reference), label


def open_images(
    data, *, class_names: Sequence[str] | None = None, label_offset: int = 0
) -> LabelledImages:
    """Labelled images, each decoded once to see that it can be.

    Args:
        data: a folder with a subfolder of image files for each class, in the order of their
            names; TFRecord files in the format of Slim's conversion scripts (`image/encoded`,
            `image/class/label`), given by path, pattern, list of paths or their folder, where
            `labels.txt` names the classes; or a finite `tf.data.Dataset` of (image, label), not
            batched, the image (height, width, 1 or 3) of uint8 or floats.
        class_names: a name for each class, where the data do not tell.
        label_offset: what to take off the labels of TFRecords and datasets, so that the first
            class is 0 (`labels_offset` of Slim's script; 1 for ImageNet without background).

    Raises:
        ArgumentError: there are no such data, fewer than two classes, or labels out of range.
        ImageError: no image of the data can be read.
    """
    if isinstance(data, tf.data.Dataset):
        images = _from_dataset(data, class_names, label_offset)
    else:
        images = _from_files(data, class_names, label_offset)
    if len(images.class_names) < 2 or len(np.unique(images.labels)) < 2:
        raise ArgumentError(
            "A classifier is trained with two classes or more.",
            received=f"{len(images)} images, all of class "
            f"{images.class_names[images.labels[0]] if len(images) else None!r}",
            accepted=_ACCEPTED,
        )
    return images


def _from_files(data, class_names, label_offset: int) -> LabelledImages:
    if isinstance(data, list | tuple):
        return _from_records([Path(path) for path in data], class_names, label_offset)
    if not isinstance(data, str | os.PathLike):
        raise ArgumentError(
            "These are no images with labels.", received=type(data).__name__, accepted=_ACCEPTED
        )
    path = Path(data).expanduser()
    records = find_shards(path)
    if not records and path.is_dir():
        return _from_folder(path, class_names)
    if not records:
        raise ArgumentError("There are no data here.", received=path, accepted=_ACCEPTED)
    return _from_records(records, class_names, label_offset)


# ------------------------------------------------------------------------------ folder of images


def _from_folder(folder: Path, class_names: Sequence[str] | None) -> LabelledImages:
    names = [path.name for path in class_folders(folder)]
    if class_names is not None and sorted(class_names) != names:
        raise ArgumentError(
            "The folder's classes are not those named.",
            received=", ".join(class_names),
            accepted=", ".join(names),
        )
    names = list(class_names or names)
    if len(names) < 2:
        raise ArgumentError(
            "A classifier is trained with two classes or more, and this folder has "
            + ("1 subfolder." if names else "no subfolders."),
            received=folder / names[0] if names else folder,
            accepted=_ACCEPTED,
            next_step="put the images of each class in a subfolder of its name.",
        )
    files = [
        (path, label) for label, name in enumerate(names) for path in image_files(folder / name)
    ]
    reasons = _in_threads(lambda file: _why_not(file[0].read_bytes), files)
    skipped = [f"{f}: {why}" for (f, _), why in zip(files, reasons, strict=True) if why]
    good = [file for file, why in zip(files, reasons, strict=True) if not why]
    _check_some(good, folder, skipped)
    empty = set(range(len(names))) - {label for _, label in good}
    if empty:
        raise ArgumentError(
            "Classes of this folder have no image that can be read.",
            received=", ".join(str(folder / names[label]) for label in sorted(empty)),
            next_step="add images to them, or move them out.",
        )
    paths, labels = [os.fsencode(path) for path, _ in good], _as_labels(x for _, x in good)
    references = tf.data.Dataset.from_tensor_slices((paths, labels))
    return LabelledImages(references, read_image_op, labels, names, skipped)


# ------------------------------------------------------------------------------ TFRecord files


def _from_records(
    files: list[Path], class_names: Sequence[str] | None, label_offset: int
) -> LabelledImages:
    skipped: list[str] = []
    records = [record for file in files for record in records_of(file, skipped)]
    results = _in_threads(_look_at_record, records)
    skipped += [f"{r}: {why}" for r, (_, why) in zip(records, results, strict=True) if why]
    good = [(r, label) for r, (label, why) in zip(records, results, strict=True) if not why]
    _check_some(good, ", ".join(map(str, files[:3])), skipped)
    labels = _as_labels(label for _, label in good) - label_offset
    names = class_names or names_beside(files[0])
    names = _checked_names(names, labels, lambda place: str(good[place][0]), label_offset)
    references = tf.data.Dataset.from_tensor_slices(
        (
            {
                "file": [os.fsencode(record.file) for record, _ in good],
                "offset": np.array([record.offset for record, _ in good], np.int64),
                "size": np.array([record.size for record, _ in good], np.int64),
            },
            labels,
        )
    )
    return LabelledImages(references, _read_record, labels, names, skipped)


def _look_at_record(record: Record) -> tuple[int, str | None]:
    """(label, None), or why it cannot be used."""
    try:
        encoded, label, _ = parse_record(record.checked_bytes())
    except OSError as error:
        return 0, error.strerror or str(error)
    except tf.errors.OpError as error:
        return 0, f"no example of Slim's format ({decoding_failure(error)})"
    return int(label), _why_not(encoded.numpy)


def _read_record(reference):
    def read(file, offset, size):
        return Record(Path(os.fsdecode(file)), int(offset), int(size), 0).bytes()

    places = [reference["file"], reference["offset"], reference["size"]]
    data = tf.ensure_shape(tf.numpy_function(read, places, tf.string), [])
    return decode_image_op(parse_record(data)[0])


# ------------------------------------------------------------------------------ tf.data.Dataset


def _from_dataset(
    dataset: tf.data.Dataset, class_names: Sequence[str] | None, label_offset: int
) -> LabelledImages:
    spec = dataset.element_spec
    good = isinstance(spec, tuple) and len(spec) == 2
    if not good or not all(isinstance(part, tf.TensorSpec) for part in spec):
        raise ArgumentError(
            "The dataset's elements are not an image and its label.",
            received=str(spec),
            accepted="(image, label)",
        )
    if not spec[1].dtype.is_integer or spec[1].shape.rank not in (0, 1):
        raise ArgumentError(
            "A label is a whole number, the class's index.", received=f"labels of {spec[1]}"
        )
    if spec[1].shape.rank == 1:
        dataset = dataset.unbatch()
    if dataset.cardinality() == tf.data.INFINITE_CARDINALITY:
        raise ArgumentError("The dataset has no end.", next_step="pass dataset.take(n).")
    dataset = dataset.map(lambda image, label: (image, tf.cast(label, tf.int64) - label_offset))
    labels = _as_labels(dataset.map(lambda image, label: label).as_numpy_iterator())
    _check_some(labels, "the dataset", [])
    names = _checked_names(class_names, labels, lambda place: f"element {place}", label_offset)
    return LabelledImages(dataset, lambda image: image, labels, names, buffer=_SHUFFLED_IMAGES)


# ------------------------------------------------------------------------------ all of them


def _checked_names(given, labels: np.ndarray, place_of: Callable, label_offset: int) -> list[str]:
    names = list(given or (f"class {index}" for index in range(max(labels.max() + 1, 1))))
    outside = np.flatnonzero((labels < 0) | (labels >= len(names)))
    if outside.size:
        worst = outside[0]
        first, last = labels.min() + label_offset, labels.max() + label_offset
        shifted = first != label_offset and (not given or last - first < len(names))
        raise ArgumentError(
            f"{outside.size} of {len(labels)} labels are out of range.",
            received=f"label {labels[worst] + label_offset} of {place_of(worst)}"
            + (f", less label_offset={label_offset}" if label_offset else ""),
            accepted=f"{label_offset} to {len(names) - 1 + label_offset}",
            next_step=f"pass label_offset={first}, if that is the first class."
            if shifted
            else "labels.txt beside the files, or class_names=, names all classes.",
        )
    return names


def _check_some(good: Sequence, where, skipped: list[str]) -> None:
    if not len(good):
        raise ImageError(
            "No image here can be read." if skipped else "There are no images here.",
            received="\n            ".join([str(where), *skipped[:5]]),
            accepted=_ACCEPTED,
        )


def _as_labels(labels) -> np.ndarray:
    return np.fromiter(labels, np.int64)


def _why_not(read_bytes: Callable[[], bytes]) -> str | None:
    """Why these bytes are no image that TensorFlow decodes; None if they are one."""
    try:
        decode_image_op(tf.constant(read_bytes()))
    except OSError as error:
        return error.strerror or str(error)
    except tf.errors.OpError as error:
        return decoding_failure(error)
    return None


def _in_threads(function: Callable, items: list) -> list:
    """Decoding waits for no lock of Python's."""
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as threads:
        return list(threads.map(function, items))
