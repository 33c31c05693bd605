"""From labelled images to the batches that a network is trained and validated with."""

from __future__ import annotations

from collections.abc import Mapping

import keras
import numpy as np
import tensorflow as tf

from zoo.errors import ArgumentError, InputShapeError
from zoo.images import KINDS
from zoo.images.preprocessing import _checked_batch
from zoo.training import augmentation as augmentations
from zoo.training.datasets import LabelledImages
from zoo.training.trainees import AUXILIARY, LOGITS, Trainee


class Pipeline:
    """Batches for the network out of labelled images.

    Args:
        trainee: the network.
        images, held_back: to train and to validate with; None for no validation.
        settings: the arguments of `zoo.finetune` by name.

    Attributes:
        auxiliary: whether targets are a dict, for the auxiliary logits too.
        steps_per_epoch: whole batches in one pass.

    Raises:
        ArgumentError, InputShapeError: the settings or images do not fit the network.
    """

    def __init__(
        self,
        trainee: Trainee,
        images: LabelledImages,
        held_back: LabelledImages | None,
        settings: dict,
    ) -> None:
        self._images, self._held_back = images, held_back
        self._batch_size, self._seed = settings["batch_size"], settings["seed"]
        self._classes = trainee.num_classes
        self._kind, self._size = _preprocessing(trainee, settings["preprocessing"])
        self._channels = trainee.model.input_shape[-1]
        self._augmentation = settings["augmentation"]
        if self._augmentation == "keras":
            self._augmentation = augmentations.keras_layers()
        if isinstance(self._augmentation, keras.layers.Layer):
            self._augmentation(tf.zeros((1, *self._size, self._channels)), training=True)  # builds
        self._weights = _class_weights(settings["class_weights"], images.labels, self._classes)
        self.auxiliary = trainee.has_auxiliary and settings["auxiliary_weight"] > 0
        self.steps_per_epoch = len(images) // self._batch_size
        self._check_first_image()

    def training(
        self, stage: int, step: int, *, rows: range | None = None, together: int | None = None
    ) -> tf.data.Dataset:
        """Batches from a step of a stage on, without end.

        Each image of each is a function of stage, step and row alone, whoever makes it and in
        however many parts.

        Args:
            stage, step: from 0.
            rows: of each batch, which are made; all by default.
            together: rows in what the dataset yields; all of `rows` by default.
        """
        size = self._batch_size
        rows = rows or range(size)
        first, behind = divmod(step, self.steps_per_epoch)
        per_epoch = self.steps_per_epoch * size

        def of_epoch(epoch):
            references = self._images.shuffled(self._seed, epoch + stage * 1_000_000)
            places = tf.data.Dataset.range(epoch * per_epoch, (epoch + 1) * per_epoch)
            return tf.data.Dataset.zip(places, references)

        def is_wanted(place, _):
            return (place % size >= rows.start) & (place % size < rows.stop)

        def prepared(place, reference_and_label):
            reference, label = reference_and_label
            seed = tf.stack([tf.cast(self._seed + stage, tf.int64), place])
            return self._for_training(self._images.read(reference), seed), label

        examples = tf.data.Dataset.range(first, np.iinfo(np.int32).max).flat_map(of_epoch)
        examples = examples.skip(behind * size)
        if len(rows) < size:
            examples = examples.filter(is_wanted)
        return (
            examples.map(prepared, num_parallel_calls=tf.data.AUTOTUNE)
            .batch(together or len(rows), drop_remainder=True)
            .map(self._targets, num_parallel_calls=tf.data.AUTOTUNE)
            .prefetch(tf.data.AUTOTUNE)
        )

    def given_out(
        self, strategy: tf.distribute.Strategy, stage: int, step: int
    ) -> tf.distribute.DistributedDataset:
        """The same batches, of which each worker makes the rows of its own replicas."""

        def of_worker(context: tf.distribute.InputContext) -> tf.data.Dataset:
            share = self._batch_size // context.num_replicas_in_sync
            here = self._batch_size // context.num_input_pipelines
            start = here * context.input_pipeline_id
            return self.training(stage, step, rows=range(start, start + here), together=share)

        return strategy.distribute_datasets_from_function(of_worker)

    def validation(self, strategy: tf.distribute.Strategy | None = None) -> tf.data.Dataset | None:
        """All of the images held back, as at inference; on a TPU, whole batches of them."""
        if self._held_back is None:
            return None
        of_one_size = isinstance(strategy, tf.distribute.TPUStrategy)  # it compiles for one
        batches = (
            self._held_back.images()
            .map(lambda x, y: (self._plain(x), y), num_parallel_calls=tf.data.AUTOTUNE)
            .batch(self._batch_size, drop_remainder=of_one_size)
        )
        batches = batches.map(lambda x, y: self._targets(x, y, weighted=False)).prefetch(1)
        count, rest = divmod(len(self._held_back), self._batch_size)
        count += rest > 0 and not of_one_size
        return batches.apply(tf.data.experimental.assert_cardinality(count))

    def _check_first_image(self) -> None:
        """What is wrong with all images is told before training, and as an error of zoo's."""
        for image, _ in self._images.images().take(1):
            shape = (*self._size, self._channels)
            if self._kind is None and tuple(image.shape) != shape:
                raise InputShapeError(
                    "The images are not preprocessed for this model.",
                    received=f"shape {tuple(image.shape)}",
                    accepted=f"{shape}, or another preprocessing= than None",
                )
            self._plain(image)

    def _for_training(self, image, seed) -> tf.Tensor:
        if isinstance(self._augmentation, keras.layers.Layer):
            return augmentations.by_keras(self._augmentation, self._plain(image), seed)
        if self._kind is None or self._augmentation is None:
            return self._plain(image)
        image = augmentations.KINDS[self._kind](_rgb(image), self._size, seed)
        return tf.ensure_shape(image, [*self._size, self._channels])

    def _plain(self, image) -> tf.Tensor:
        shape = [*self._size, self._channels]
        if self._kind is None:
            return tf.ensure_shape(tf.cast(image, tf.float32), shape)
        image = KINDS[self._kind](_rgb(image)[tf.newaxis], self._size)[0]
        return tf.ensure_shape(image, shape)

    def _targets(self, images, labels, weighted: bool = True):
        def for_each_output(value):
            return {LOGITS: value, AUXILIARY: value} if self.auxiliary else value

        targets = for_each_output(tf.one_hot(labels, self._classes))
        if self._weights is None or not weighted:
            return images, targets
        return images, targets, for_each_output(tf.gather(self._weights, labels))


def _rgb(image) -> tf.Tensor:
    """(H, W, 3), uint8 or float32, checked to be in [0, 1]."""
    return _checked_batch(image[tf.newaxis])[0]


def _preprocessing(trainee: Trainee, kind: str | None) -> tuple[str | None, tuple[int, int]]:
    size = trainee.model.input_shape[1:3]
    if kind == "model":
        if trainee.spec is None:
            raise ArgumentError(
                "This model does not say how images are preprocessed for it.",
                received="preprocessing='model'",
                accepted=f"{', '.join(KINDS)}, or None for images that are preprocessed",
            )
        kind = trainee.spec.preprocessing
    if None in size:
        side = trainee.spec.input_size if trainee.spec else None
        if side is None:
            raise ArgumentError(
                "The size of the images is not known.",
                received=f"a model of input shape {trainee.model.input_shape}",
                next_step="make the model with an input shape of fixed height and width.",
            )
        size = (side, side)
    return kind, tuple(size)


def _class_weights(wanted, labels: np.ndarray, classes: int):
    """float32 (classes,), or None for equal ones."""
    if wanted is None:
        return None
    if wanted == "balanced":  # as scikit-learn has it: images / (classes * images of the class)
        counts = np.bincount(labels, minlength=classes)
        return tf.constant(len(labels) / (classes * np.maximum(counts, 1)), tf.float32)
    if not isinstance(wanted, Mapping) or not set(wanted) <= set(range(classes)):
        raise ArgumentError(
            "class_weights maps classes to numbers.",
            received=repr(wanted),
            accepted=f"'balanced', or a dict with keys of 0 to {classes - 1}",
        )
    return tf.constant([float(wanted.get(index, 1)) for index in range(classes)])
