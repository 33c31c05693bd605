"""The file that says which class each image of a flat folder is of."""

from __future__ import annotations

import logging
import re
from collections.abc import Sequence
from pathlib import Path

from zoo.errors import ArgumentError, ImageError
from zoo.evaluation.outputs import SYNSET, Outputs
from zoo.images.labels import ilsvrc2012_ids

logger = logging.getLogger("zoo")

ACCEPTED = (
    'lines of an image\'s name and its class ("ILSVRC2012_val_00000001.JPEG 65", a synset id or '
    "a class's name for the number); or a line for each image, in the order of their names: a "
    "synset id, a name, or ILSVRC2012_ID as in ILSVRC2012_validation_ground_truth.txt"
)


def find_ground_truth(folder: Path) -> Path:
    """The only text file of a folder.

    Raises:
        ArgumentError: there is none, or several.
    """
    found = sorted(p for p in folder.iterdir() if p.suffix in (".txt", ".csv") and p.is_file())
    if len(found) == 1:
        return found[0]
    raise ArgumentError(
        "The images of this folder are in no subfolders, and "
        + ("no file beside them says" if not found else "several files may say")
        + " what they are.",
        received=", ".join([str(folder), *(path.name for path in found[:5])]),
        accepted=ACCEPTED,
        next_step="pass ground_truth= with the path of that file.",
    )


def outputs_of_images(
    path: Path, images: Sequence[str], outputs: Outputs, label_offset: int | None
) -> list[int]:
    """The index of the output that each image should get.

    Args:
        path: of the file, as `ACCEPTED` has it.
        images: names of the image files, in order.
        label_offset: the number of the first class, where classes are told by numbers. None: 0 in
            lines with names, as in Caffe's val.txt; where each line is a number alone and the
            classes are ImageNet's, numbers are ILSVRC2012_ID, which have an order of their own.

    Raises:
        ArgumentError: the file does not tell the class of every image, or tells one that the
            network does not have.
    """
    try:
        lines = Path(path).read_text(encoding="utf-8").splitlines()
    except UnicodeDecodeError:
        raise ArgumentError("This is no text file.", received=path, accepted=ACCEPTED) from None
    lines = [line.strip() for line in lines if line.strip() and not line.startswith("#")]
    named = _by_name(lines, images)
    if named is None:
        classes = _in_order(path, lines, images)
    else:
        classes = [named.get(image) for image in images]
        _check_complete(path, images, classes)
    if not all(text.isdecimal() for text in classes):
        found = outputs.find(classes)
        return [found[text] for text in classes]
    numbers = [int(text) for text in classes]
    if named is None and outputs.is_imagenet and label_offset is None:
        return _of_ilsvrc2012_ids(path, numbers, outputs)
    return [
        outputs.of_number(number, label_offset or 0, f"{image} in {path}")
        for image, number in zip(images, numbers, strict=True)
    ]


def _by_name(lines: list[str], images: Sequence[str]) -> dict[str, str] | None:
    """Image -> class, where lines begin with the names of images, with their suffix or without;
    None where they do not."""
    by_stem = {image.rpartition(".")[0]: image for image in images}
    by_name = {image: image for image in images} | by_stem
    found, foreign = {}, []
    for line in lines:
        first, _, rest = re.sub(r"[\t,]", " ", line, count=1).partition(" ")
        image = by_name.get(first.rpartition("/")[2])
        if image is None:
            foreign.append(line)
        else:
            found[image] = _class_in(rest.strip())
    if not found:
        return None
    if len(foreign) > 1:  # one may be a header
        logger.warning("%d lines name no image of the folder: %s, ...", len(foreign), foreign[1])
    return found


def _class_in(text: str) -> str:
    """The class in the rest of a line: a synset id may be followed by more, such as a box."""
    match = SYNSET.match(text)
    return match[0] if match else text


def _in_order(path: Path, lines: list[str], images: Sequence[str]) -> list[str]:
    if len(lines) != len(images):
        raise ArgumentError(
            "The file has neither the images' names nor a line for each image.",
            received=f"{len(lines)} lines in {path}, {len(images)} images",
            accepted=ACCEPTED,
        )
    return [_class_in(line) for line in lines]


def _check_complete(path: Path, images: Sequence[str], classes: list[str | None]) -> None:
    without = [image for image, text in zip(images, classes, strict=True) if not text]
    if without:
        raise ImageError(
            f"{len(without)} images have no class in this file.",
            received=f"{path}, without {', '.join(without[:5])}",
            accepted=ACCEPTED,
            next_step="add lines for them, or move them out of the folder.",
        )


def _of_ilsvrc2012_ids(path: Path, numbers: list[int], outputs: Outputs) -> list[int]:
    synsets = ilsvrc2012_ids()
    strange = [number for number in numbers if number not in synsets]
    if strange:
        raise ArgumentError(
            "Numbers alone are taken as ILSVRC2012_ID, and these are none.",
            received=f"{', '.join(map(str, strange[:5]))} in {path}",
            accepted="1 to 1000, in the order of the development kit's meta.mat",
            next_step="if classes are counted in the order of their synset ids, pass "
            "label_offset= with the number of the first: 0 or 1.",
        )
    found = outputs.find(synsets[number] for number in numbers)
    return [found[synsets[number]] for number in numbers]
