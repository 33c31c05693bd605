"""`zoo.evaluate`: top-1 and top-5 accuracy of a network on labelled images."""

from __future__ import annotations

import hashlib
import logging
import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

from zoo.errors import ArgumentError, ImageError
from zoo.evaluation import state as states
from zoo.evaluation import tally as counting
from zoo.evaluation.published import compare
from zoo.evaluation.result import Evaluation, versions
from zoo.evaluation.sources import Source, check_data, open_source
from zoo.evaluation.streaming import Batch, batches
from zoo.evaluation.subject import Subject, subject_of
from zoo.evaluation.tally import Tally

logger = logging.getLogger("zoo")

# Seconds between two states: what a run that is killed has to do again, and a batch.
SAVE_EVERY = 5.0


def evaluate(
    model: str | os.PathLike | keras.Model,
    data,
    *,
    ground_truth: str | os.PathLike | None = None,
    labels: str | os.PathLike | Sequence[str] | None = None,
    label_offset: int | None = None,
    form: str | None = None,
    preprocessing: str | None = None,
    batch_size: int = 32,
    limit: int | None = None,
    state: str | os.PathLike | None = None,
    restart: bool = False,
    progress: Callable[[int, int, str], None] | None = None,
    **load_arguments,
) -> Evaluation:
    """How often a network is right on labelled images, by Slim's own evaluation preprocessing.

    Images are read as a stream, by all cores. The same call goes on where an earlier one was
    stopped.

    Args:
        model: a registered name; "hf://owner/repo", where `zoo.publish` put a model; a `.keras`
            file, such as `zoo.finetune` makes; or a functional model of `zoo.load`,
            `zoo.to_native` or Keras.
        data: a folder with a subfolder of images for each class, named by its synset id or name;
            a flat folder of images; or TFRecord files of Slim's format, by their folder, path,
            pattern or a list of paths.
        ground_truth: the file that says what the images of a flat folder are, as
            `zoo.evaluation.ground_truth.ACCEPTED` has it; None for the only text file in it.
        labels: the names of the network's outputs, or a file with a name a line, where the network
            does not know them; ImageNet's if it has 1000 or 1001 outputs.
        label_offset: the number of the first class, where records or lines have numbers: by
            default 1 in ImageNet's records, where 0 is the background, and 0 elsewhere.
        form: "native" makes plain Keras layers of it first; None takes it as it is.
        preprocessing: a name in `zoo.images.KINDS`; None for the network's own.
        batch_size: images that the network gets at once.
        limit: so many images, evenly spread over the data; None for all.
        state: the file to keep the state in; None for one in zoo's cache. It goes when all is done.
        restart: begin anew, whatever an earlier run has counted.
        progress: called as (done, total, text) after each batch.
        **load_arguments: of `zoo.load`: tf1_ckpt, source, num_classes, input_shape, ...

    Raises:
        ArgumentError: the data have classes that the network has not, or do not tell them.
        ImageError: no image can be read.
        KeyboardInterrupt: after Ctrl-C, once the state is saved.
        whatever `zoo.load` raises.

    Example:
        >>> result = zoo.evaluate("mobilenet_v1_1.0_224", "ILSVRC2012/val")
        >>> print(result, result.comparison.verdict)
    """
    check_data(data)
    check_counts(batch_size=batch_size, limit=limit)
    subject = subject_of(
        model, form=form, labels=labels, preprocessing=preprocessing, **load_arguments
    )
    return measure(
        subject,
        data,
        ground_truth=ground_truth,
        label_offset=label_offset,
        batch_size=batch_size,
        limit=limit,
        state=state,
        restart=restart,
        progress=progress,
    )


def check_counts(**counts: int | None) -> None:
    """Raises ArgumentError for what is neither None nor a whole number from 1."""
    for name, count in counts.items():
        if count is None:
            continue
        if isinstance(count, bool) or not isinstance(count, int) or count < 1:
            raise ArgumentError(f"{name} is a whole number, 1 or more.", received=repr(count))


def measure(
    subject: Subject,
    data,
    *,
    ground_truth=None,
    label_offset: int | None = None,
    batch_size: int = 32,
    limit: int | None = None,
    state=None,
    restart: bool = False,
    progress: Callable[[int, int, str], None] | None = None,
) -> Evaluation:
    """`evaluate` for a network that has been got hold of already; the arguments are the same."""
    source = open_source(
        data, subject.outputs, ground_truth=ground_truth, label_offset=label_offset
    )
    count = len(source) if limit is None else min(limit, len(source))
    positions = np.arange(count) * len(source) // count
    key = _key(subject, source, count)
    path = states.default_path(key) if state is None else Path(state).expanduser()
    tally = Tally(count)
    if restart:
        states.remove(path)
    states.restore(path, key, tally)
    keeper = _Keeper(path, key, tally)
    try:
        for batch in batches(source, positions, tally.done, subject.prepare, batch_size):
            tally.add(batch.places, _rows(subject, batch, batch_size), batch.skipped)
            keeper.save_now_and_then()
            if progress is not None:
                progress(tally.done, count, _running(tally))
    except BaseException as error:
        if keeper.save() and isinstance(error, KeyboardInterrupt):
            logger.warning(
                "Stopped after %d of %d images; the same call goes on from there (%s).",
                tally.done,
                count,
                path,
            )
        raise
    result = _evaluation(subject, source, positions, tally, str(data), limit)
    states.remove(path)
    return result


class _Keeper:
    """Saves the state every few seconds; a disk that does not take it is told of once."""

    def __init__(self, path: Path, key: dict, tally: Tally) -> None:
        self._path, self._key, self._tally = path, key, tally
        self._saved, self._told = time.monotonic(), False

    def save_now_and_then(self) -> None:
        if time.monotonic() - self._saved >= SAVE_EVERY:
            self.save()

    def save(self) -> bool:
        """Whether there is something to go on from."""
        if not self._tally.done:
            return False
        self._saved = time.monotonic()
        try:
            states.save(self._path, self._key, self._tally)
        except OSError as error:
            if not self._told:
                logger.warning("The state cannot be saved, so nothing can go on from it: %s", error)
            self._told = True
            return False
        return True


def _key(subject: Subject, source: Source, count: int) -> dict:
    names = "\n".join(label.name for label in subject.outputs.labels)
    return {
        "model": subject.name,
        "form": subject.form,
        "dtype": subject.dtype,
        "weights": subject.weights,
        "preprocessing": f"{subject.kind} {subject.size[0]}x{subject.size[1]}",
        "outputs": hashlib.sha256(names.encode()).hexdigest(),
        "data": source.digest,
        "images": count,
        "versions": " ".join(versions().values()),
    }


def _rows(subject: Subject, batch: Batch, batch_size: int) -> np.ndarray:
    if not len(batch.places):
        return np.zeros(0, counting.ROW)
    try:
        outputs = subject(batch.images)
    except tf.errors.ResourceExhaustedError as error:
        raise ArgumentError(
            "A batch does not fit into the memory.",
            received=f"batch_size={batch_size}",
            next_step=f"pass batch_size={max(1, batch_size // 2)}.",
        ) from error
    return counting.rows_of(outputs, batch.right, are_logits=subject.are_logits)


def _running(tally: Tally) -> str:
    _, rows = tally.counted()
    return f"top-1 {counting.top1(rows):.1f} %" if len(rows) else ""


def _evaluation(
    subject: Subject, source: Source, positions, tally: Tally, data: str, limit: int | None
) -> Evaluation:
    places, rows = tally.counted()
    unread = [f"{source.images[positions[place]]}: {why}" for place, why in tally.skipped.items()]
    skipped = [*source.skipped, *unread]
    if not len(rows):
        raise ImageError(
            "No image here can be read.", received="\n            ".join([data, *skipped[:5]])
        )
    top1 = counting.top1(rows)
    top5 = counting.top5(rows) if len(subject.outputs) > counting.TOP else None
    classes = len(np.unique(rows["right"]))
    comparison = None
    if subject.is_as_published and subject.spec.checkpoint and subject.spec.checkpoint.published:
        comparison = compare(
            subject.spec.checkpoint.full_name,
            subject.spec.checkpoint.published,
            top1=top1,
            top5=top5,
            images=len(rows),
            classes=classes,
            all_classes=len(subject.outputs) - subject.outputs.label_offset,
        )
    is_the_registrys = subject.is_registered and subject.is_as_published
    return Evaluation(
        model=subject.name,
        form=subject.form,
        dtype=subject.dtype,
        data=data,
        images=len(rows),
        classes=classes,
        top1=top1,
        top5=top5,
        top1_error=counting.standard_error(top1, len(rows)),
        top5_error=None if top5 is None else counting.standard_error(top5, len(rows)),
        mean_loss=float(rows["loss"].mean()),
        broken=int((rows["predicted"] < 0).sum()),
        skipped=skipped,
        preprocessing=subject.preprocessing,
        comparison=comparison,
        limit=limit,
        registered=subject.spec.checkpoint.full_name if is_the_registrys else None,
        weights=subject.weights,
        _rows=rows,
        _image=lambda row: str(source.images[positions[places[row]]]),
        _outputs=subject.outputs,
    )
