"""`zoo.finetune`: a pretrained network on images of one's own, as Slim's scripts do it."""

from __future__ import annotations

import contextlib
import dataclasses
import importlib.util
import logging
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import keras
import tensorflow as tf

from zoo.errors import ArgumentError, nearest_names
from zoo.images import KINDS
from zoo.loading import load
from zoo.training import reports
from zoo.training.datasets import LabelledImages, open_images
from zoo.training.native_form import native_trainee
from zoo.training.pipeline import Pipeline
from zoo.training.progress import Interruptible
from zoo.training.run_folder import BEST, RunFolder, digest
from zoo.training.stages import OPTIMIZERS, Training
from zoo.training.strategies import check_batch_size, strategy_of
from zoo.training.trainees import Trainee
from zoo.training.workers import Workers

logger = logging.getLogger("zoo")


@dataclasses.dataclass(frozen=True)
class FineTuned:
    """What `zoo.finetune` gives back.

    Attributes:
        model: the model with its best weights.
        history: a row for each epoch: stage (from 0), epoch (from 1), loss, accuracy, val_loss,
            val_accuracy.
        best: metric, value, stage and epoch of the best weights.
        class_names: in the order of the outputs.
        skipped: images that were left out, as "file: why".
        folder: where `best.keras`, `last.keras`, `labels.txt`, `curve.png`, `report.md` and `logs`
            are.
        report: all of this and the numbers of images, as a dict.
    """

    model: keras.Model
    report: dict
    folder: Path

    history = property(lambda self: self.report["history"])
    best = property(lambda self: self.report["best"])
    class_names = property(lambda self: self.report["class_names"])
    skipped = property(lambda self: self.report["skipped"])

    def __str__(self) -> str:
        return reports.text(self.report)


def finetune(
    model: str | keras.Model,
    data,
    *,
    folder: str | os.PathLike = "finetuned",
    validation=0.2,
    class_names: Sequence[str] | None = None,
    label_offset: int = 0,
    epochs: int = 10,
    head_epochs: int = 1,
    batch_size: int = 32,
    trainable_scopes: Sequence[str] | None = None,
    freeze_until: str | None = None,
    batch_norm: str = "frozen",
    optimizer: str | keras.optimizers.Optimizer = "adam",
    learning_rate: float | None = None,
    head_learning_rate: float | None = None,
    schedule: str = "fixed",
    decoupled_weight_decay: float | None = None,
    label_smoothing: float = 0.0,
    auxiliary_weight: float = 0.4,
    class_weights: str | Mapping[int, float] | None = None,
    moving_average: float | None = None,
    patience: int | None = None,
    preprocessing: str | None = "model",
    augmentation: str | keras.layers.Layer | None = "slim",
    native: bool = False,
    strategy: str | tf.distribute.Strategy | None = None,
    save_every: int | None = None,
    tensorboard: bool | None = None,
    seed: int = 0,
    verbose: str | int = "auto",
    **load_arguments,
) -> FineTuned:
    """Trains a pretrained network to tell classes of one's own apart.

    In two stages, as Slim's fine-tuning scripts: the head first, then all variables or those
    chosen. The same call goes on where an earlier one was stopped, with the same steps, up to
    the random draws of dropout in TF1 code.

    Args:
        model: a registered name, which is loaded with a head for the data's classes; or a
            functional model of `zoo.load`, `zoo.wrap`, `zoo.to_native` or Keras, which is trained
            in place.
        data: a folder with a subfolder of images for each class; TFRecord files of Slim's format;
            or a `tf.data.Dataset` of (image, label). See `zoo.training.datasets.open_images`.
        folder: where all that is kept goes.
        validation: the part of the data that is held back (of each class), or data as above, or
            None for no validation.
        class_names, label_offset: of TFRecords and datasets, as in `open_images`.
        epochs: of the second stage. An epoch drops what is less than a batch, anew each time.
        head_epochs: of the first stage; 0 leaves it out.
        batch_size: images in a step.
        trainable_scopes: the scopes of the second stage ("Mixed_7c", "InceptionV3/Logits"); all
            by default. The head is always trained.
        freeze_until: the same, by the first scope that is trained: what the network makes before
            it stays.
        batch_norm: "frozen", with its moving averages as at inference, gamma and beta fixed; or
            "live", by the statistics of each batch, as Slim's scripts have it. Live batch norm
            with the decay of ImageNet's training (0.9997) needs thousands of steps.
        optimizer: "adam", "momentum", "rmsprop" (Slim's, with epsilon 1), "sgd", or a Keras
            optimizer, of which each stage gets a copy with the rates below if they are given.
        learning_rate, head_learning_rate: of the second and the first stage.
        schedule: "fixed", "exponential" (Slim's: times 0.94 every two epochs) or "cosine".
        decoupled_weight_decay: in place of the network's own regularization losses, for the same
            variables, or for all kernels where it has none.
        label_smoothing: from 0 to 1.
        auxiliary_weight: of the loss of auxiliary logits, for networks of `zoo.load`, or by their
            name, that have them.
        class_weights: "balanced", or class -> weight of its images in the loss.
        moving_average: decay of the moving averages of the weights (0.999), which are then what
            is validated and saved.
        patience: epochs without a better validation loss after which a stage ends; None for no
            early stopping.
        preprocessing: "model" for the registered network's; a name in `zoo.images.KINDS`; or None
            for images that are preprocessed already.
        augmentation: "slim" for its training preprocessing of this kind; "keras" for Keras's
            layers after the evaluation preprocessing; a Keras layer for preprocessed images,
            which gets batches of one and draws by their place in the training, not by its own
            seed; or None. Images preprocessed already get no augmentation of Slim's.
        native: a network that is loaded by its name is trained as plain Keras layers
            (`zoo.to_native`); what is kept of it is without its auxiliary logits.
        strategy: several devices or machines that share each batch: "mirrored", "multiworker" or
            "tpu", as `zoo.training.strategies.strategy_of` has them, or a strategy under which a
            `model` was made. A step is that of one device on the whole batch, but for live batch
            norm, whose statistics are each replica's, and dropout. Each worker makes the same
            call; the chief alone keeps the folder. A run may go on under another strategy.
        save_every: steps between states saved within an epoch, beside that at its end.
        tensorboard: logs for TensorBoard in `logs`; by default where its package is installed.
        seed: of order, augmentation and new variables.
        verbose: as in Keras's `fit`.
        **load_arguments: of `zoo.load`: tf1_ckpt, dtype="mixed_bfloat16", dropout_keep_prob, ...

    Returns:
        The model with the weights that were best in validation, and the report.

    Raises:
        ArgumentError, ImageError: of the data or arguments, before training starts.
        TrainingError: the loss is no number any more, memory ran out, or a worker is gone.
        UnsupportedEnvironmentError: strategy="tpu" where there is none.
        OSError: the disk is full; the last good state stays.
        KeyboardInterrupt: after Ctrl-C, once the state is saved.

    Example:
        >>> result = zoo.finetune("mobilenet_v1_1.0_224", "flowers", epochs=5)
        >>> result.model.decode(result.model.predict(result.model.preprocess("rose.jpg")), top=1)
    """
    elsewhere = "data validation folder verbose tensorboard save_every strategy".split()
    settings = {name: value for name, value in locals().items() if name not in elsewhere}
    settings["load_arguments"] = {k: v for k, v in load_arguments.items() if k != "progress"}
    _check_arguments(settings)
    tensorboard = _has_tensorboard(tensorboard)
    strategy = strategy_of(strategy)  # several workers before any other use of TensorFlow
    check_batch_size(strategy, batch_size)
    images, held_back, skipped = _images(data, validation, class_names, label_offset, seed)
    _check_enough(images, batch_size)
    keras.utils.set_random_seed(seed)
    with strategy.scope() if strategy else contextlib.nullcontext():
        trainee = _trainee(model, images.class_names, native, strategy, load_arguments)
    settings |= {"model": trainee.model.name, "data": digest(images.labels)}
    pipeline = Pipeline(trainee, images, held_back, settings)
    workers = Workers(strategy)
    with workers.noticing_losses():
        run = RunFolder(folder, settings, workers)
        # Beside a plain Keras model, which does not keep them; zoo.evaluate looks there.
        run.write("labels.txt", lambda path: _write_labels(path, images.class_names))
        how = {"save_every": save_every, "tensorboard": tensorboard, "verbose": verbose}
        with strategy.scope() if strategy else contextlib.nullcontext():
            _train(Training(trainee, pipeline, run, settings, strategy=strategy, **how), run)
        run.restore_model(trainee.model, BEST)
        run.save_model(trainee.model, BEST)  # once more, with nothing frozen in it
        report = {
            "model": trainee.spec.name if trainee.spec else trainee.model.name,
            "images": len(images),
            "validation_images": len(held_back or ()),
            "class_names": images.class_names,
            "skipped": skipped,
            "best": run["best"],
            "history": run.history,
        }
        run.write("curve.png", lambda path: reports.write_curves(path, report["history"]))
        run.write("report.md", lambda path: path.write_text(reports.text(report), "utf-8"))
    return FineTuned(trainee.model, report, run.path)


def _train(training: Training, run: RunFolder) -> None:
    with Interruptible() as interrupted:
        try:
            training.run_stages(interrupted)
        except KeyboardInterrupt:
            logger.warning(
                "Interrupted. %s keeps %s: the same call or command goes on from there.",
                run.path,
                run.where() if run["arrays"] else "nothing yet",
            )
            raise


def _images(data, validation, class_names, label_offset: int, seed: int):
    """(images to train with, those to validate with or None, what was left out)."""
    images = open_images(data, class_names=class_names, label_offset=label_offset)
    images, held_back = _split(images, validation, label_offset, seed)
    skipped = [*images.skipped, *(held_back.skipped if held_back not in (None, images) else ())]
    skipped = list(dict.fromkeys(skipped))
    if skipped:
        told = "%d images that cannot be read are left out: %s" + ", ..." * (len(skipped) > 5)
        logger.warning(told, len(skipped), "; ".join(skipped[:5]))
    return images, held_back, skipped


def _check_enough(images: LabelledImages, batch_size: int) -> None:
    if len(images) < batch_size:
        raise ArgumentError(
            "The data set is smaller than a batch.",
            received=f"{len(images)} images to train with, batch_size={batch_size}",
            next_step=f"pass batch_size={max(1, len(images) // 2)} or less, or more images.",
        )


def _trainee(model, names: list[str], native: bool, strategy, load_arguments: dict) -> Trainee:
    """The network to train, made if it is given by its name."""
    if isinstance(model, str):
        model = load(model, num_classes=len(names), class_names=names, **load_arguments)
    elif load_arguments or native:
        given = [*load_arguments, *["native"] * native]
        raise ArgumentError("These arguments go with a model's name.", received=", ".join(given))
    trainee = native_trainee(model) if native else Trainee(model)
    if strategy and not all(map(_made_under(strategy), trainee.whole.variables)):
        raise ArgumentError(
            "The model was not made under this strategy.",
            received=f"{model.name}, and {type(strategy).__name__}",
            next_step="make it within `with strategy.scope():`, or pass its name.",
        )
    if trainee.num_classes != len(names):
        raise ArgumentError(
            "The model's outputs are not the data's classes.",
            received=f"{trainee.num_classes} outputs, {len(names)} classes",
            next_step=f"make it with zoo.load(NAME, num_classes={len(names)}), or "
            "give all names as class_names=.",
        )
    return trainee


def _made_under(strategy: tf.distribute.Strategy) -> Callable[[keras.Variable], bool]:
    return lambda variable: strategy.extended.variable_created_in_scope(variable.value)


def _check_arguments(given: dict) -> None:
    """Raises ArgumentError where an argument has no value that the recipe knows."""
    numbers = {"epochs": 0, "head_epochs": 0, "batch_size": 1}
    for name, least in numbers.items():
        if isinstance(given[name], bool) or not isinstance(given[name], int) or given[name] < least:
            raise ArgumentError(
                f"{name} is a whole number, {least} or more.", received=repr(given[name])
            )
    if given["epochs"] + given["head_epochs"] == 0:
        raise ArgumentError("There is nothing to do in 0 epochs.")
    choices = {"batch_norm": ("frozen", "live"), "preprocessing": ("model", *KINDS)}
    choices |= {"augmentation": ("slim", "keras"), "class_weights": ("balanced",)}
    choices |= {"optimizer": tuple(OPTIMIZERS), "schedule": ("fixed", "exponential", "cosine")}
    for name, accepted in choices.items():
        value = given[name]
        if isinstance(value, str) and value not in accepted:
            raise ArgumentError(
                f"{name} has no such value.",
                received=repr(value),
                accepted=", ".join(accepted),
                nearest=nearest_names(value, accepted),
            )
    if given["trainable_scopes"] is not None and given["freeze_until"] is not None:
        raise ArgumentError("trainable_scopes and freeze_until both say what is trained.")


def _has_tensorboard(wanted: bool | None) -> bool:
    """Whether logs are written: TensorFlow needs TensorBoard's package for it."""
    installed = importlib.util.find_spec("tensorboard") is not None
    if wanted and not installed:
        raise ArgumentError(
            "TensorBoard is not installed.",
            received="tensorboard=True",
            next_step="pip install tensorboard.",
        )
    return installed if wanted is None else wanted


def _split(images: LabelledImages, validation, label_offset: int, seed: int):
    if validation is None:
        return images, None
    if isinstance(validation, float | int):
        larger, smaller = images.split(validation, seed)
        if not len(smaller):
            raise ArgumentError(
                "There are too few images to hold some of them back.",
                received=f"{len(images)} images of {len(images.class_names)} classes, "
                f"validation={validation}",
                next_step="pass validation=None, or other images as validation=.",
            )
        return larger, smaller
    names = images.class_names
    return images, open_images(validation, class_names=names, label_offset=label_offset)


def _write_labels(path: Path, names: Sequence[str]) -> None:
    """As Slim's conversion scripts write them: "0:daisy"."""
    lines = (f"{index}:{' '.join(name.split())}\n" for index, name in enumerate(names))
    path.write_text("".join(lines), encoding="utf-8")
