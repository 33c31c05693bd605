"""`zoo.finetune`: a pretrained network on images of one's own, as Slim's scripts do it."""

from __future__ import annotations

import dataclasses
import importlib.util
import logging
import os
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import keras
import tensorflow as tf

from zoo.dialects.files import complete_or_absent
from zoo.errors import ArgumentError, TrainingError, nearest_names
from zoo.images import KINDS
from zoo.loading import load
from zoo.native import to_native
from zoo.training import reports
from zoo.training.datasets import LabelledImages, open_images
from zoo.training.optimizers import RMSProp
from zoo.training.pipeline import Pipeline
from zoo.training.progress import (
    BEST,
    LAST,
    Interruptible,
    KeepBest,
    KeepState,
    RunFolder,
    StopEarly,
    digest,
    state_of,
)
from zoo.training.schedules import learning_rate as scheduled
from zoo.training.trainees import AUXILIARY, LOGITS, Trainee, gives_probabilities

logger = logging.getLogger("zoo")

# Name -> what makes it, and the learning rates of the new head and of the rest. Those of "rmsprop"
# are Slim's, of scripts/finetune_inception_v3_on_flowers.sh and train_image_classifier.py.
OPTIMIZERS: dict[str, tuple[Callable, float, float]] = {
    "adam": (keras.optimizers.Adam, 1e-3, 1e-4),
    "momentum": (lambda *a, **k: keras.optimizers.SGD(*a, momentum=0.9, **k), 1e-2, 1e-3),
    "rmsprop": (RMSProp, 1e-2, 1e-4),
    "sgd": (keras.optimizers.SGD, 1e-2, 1e-3),
}


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
        folder: where `best.keras`, `last.keras`, `curve.png`, `report.md` and `logs` are.
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


@dataclasses.dataclass(frozen=True)
class _Stage:
    """A part of the run: which variables are trained, how long, at what rate."""

    names: list[str]
    epochs: int
    rate: float | None


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
    save_every: int | None = None,
    tensorboard: bool | None = None,
    seed: int = 0,
    verbose: str | int = "auto",
    **load_arguments,
) -> FineTuned:
    """Trains a pretrained network to tell classes of one's own apart.

    In two stages, as Slim's fine-tuning scripts: the head first, then all variables or those
    chosen. The same call goes on where an earlier one was stopped, with the same steps, up to
    the random draws of dropout in TF1 code and of Keras's augmentation layers.

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
        auxiliary_weight: of the loss of auxiliary logits, for models of `zoo.load` that have them.
        class_weights: "balanced", or class -> weight of its images in the loss.
        moving_average: decay of the moving averages of the weights (0.999), which are then what
            is validated and saved.
        patience: epochs without a better validation loss after which a stage ends; None for no
            early stopping.
        preprocessing: "model" for the registered network's; a name in `zoo.images.KINDS`; or None
            for images that are preprocessed already.
        augmentation: "slim" for its training preprocessing of this kind; "keras" for Keras's
            layers after the evaluation preprocessing; a Keras layer for preprocessed batches; or
            None. Images preprocessed already get no augmentation of Slim's.
        native: a network that is loaded by its name is trained as plain Keras layers
            (`zoo.to_native`), without auxiliary logits.
        save_every: steps between states saved within an epoch, beside that at its end.
        tensorboard: logs for TensorBoard in `logs`; by default where its package is installed.
        seed: of order, augmentation and new variables.
        verbose: as in Keras's `fit`.
        **load_arguments: of `zoo.load`: tf1_ckpt, dtype="mixed_bfloat16", dropout_keep_prob, ...

    Returns:
        The model with the weights that were best in validation, and the report.

    Raises:
        ArgumentError, ImageError: of the data or arguments, before training starts.
        TrainingError: the loss is no number any more, or memory ran out.
        OSError: the disk is full; the last good state stays.
        KeyboardInterrupt: after Ctrl-C, once the state is saved.

    Example:
        >>> result = zoo.finetune("mobilenet_v1_1.0_224", "flowers", epochs=5)
        >>> result.model.decode(result.model.predict(result.model.preprocess("rose.jpg")), top=1)
    """
    settings = {
        name: value
        for name, value in locals().items()
        if name not in ("data", "validation", "folder", "verbose", "tensorboard", "save_every")
    }
    settings["load_arguments"] = {k: v for k, v in load_arguments.items() if k != "progress"}
    _check_arguments(settings)
    tensorboard = _has_tensorboard(tensorboard)
    images = open_images(data, class_names=class_names, label_offset=label_offset)
    images, held_back = _split(images, validation, label_offset, seed)
    skipped = [*images.skipped, *(held_back.skipped if held_back not in (None, images) else ())]
    skipped = list(dict.fromkeys(skipped))
    if skipped:
        logger.warning(
            "%d images cannot be read and are left out: %s", len(skipped), "; ".join(skipped[:5])
        )
    if len(images) < batch_size:
        raise ArgumentError(
            "The data set is smaller than a batch.",
            received=f"{len(images)} images to train with, batch_size={batch_size}",
            next_step=f"pass batch_size={max(1, len(images) // 2)} or less, or more images.",
        )
    keras.utils.set_random_seed(seed)
    if isinstance(model, str):
        names = images.class_names
        model = load(model, num_classes=len(names), class_names=names, **load_arguments)
        model = to_native(model) if native else model
    elif load_arguments or native:
        given = [*load_arguments, *["native"] * native]
        raise ArgumentError("These arguments go with a model's name.", received=", ".join(given))
    trainee = Trainee(model)
    if trainee.num_classes != len(images.class_names):
        raise ArgumentError(
            "The model's outputs are not the data's classes.",
            received=f"{trainee.num_classes} outputs, {len(images.class_names)} classes",
            next_step=f"make it with zoo.load(NAME, num_classes={len(images.class_names)}), or "
            "give all names as class_names=.",
        )
    settings |= {"model": model.name, "data": digest(images.labels)}
    pipeline = Pipeline(trainee, images, held_back, settings)
    run = RunFolder(folder, settings)
    training = _Training(trainee, pipeline, run, settings, save_every, tensorboard, verbose)
    with Interruptible() as interrupted:
        try:
            training.run_stages(interrupted)
        except KeyboardInterrupt:
            logger.warning(
                "Interrupted. %s keeps %s: the same call goes on from there.",
                run.path,
                run.where() if run["arrays"] else "nothing yet",
            )
            raise
    model.load_weights(run.path / BEST)
    run.save_model(model, BEST)  # once more, with nothing frozen in it
    report = {
        "model": trainee.spec.name if trainee.spec else model.name,
        "images": len(images),
        "validation_images": len(held_back or ()),
        "class_names": images.class_names,
        "skipped": skipped,
        "best": run["best"],
        "history": run.history,
    }
    _write_report(run.path, report)
    return FineTuned(model, report, run.path)


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


class _Training:
    """The stages of a run, from wherever its folder says that it is."""

    def __init__(self, trainee, pipeline, run, settings, save_every, tensorboard, verbose) -> None:
        self._trainee, self._pipeline, self._run = trainee, pipeline, run
        self._settings, self._save_every = settings, save_every
        self._tensorboard, self._verbose = tensorboard, verbose
        self._frozen = settings["batch_norm"] == "frozen"

    def run_stages(self, interrupted: threading.Event) -> None:
        if self._run["done"]:
            return
        stages = self._stages()
        for number, stage in enumerate(stages):
            if number < self._run["stage"] or stage.epochs == 0:
                continue
            with self._trainee.training_only(stage.names, batch_norm_frozen=self._frozen):
                self._run_stage(number, stage, interrupted)
        self._run.save_model(self._trainee.model, LAST)
        self._run.finish()

    def _stages(self) -> list[_Stage]:
        given = self._settings
        head = self._trainee.head()
        chosen = list(self._trainee.variables)
        if given["trainable_scopes"] is not None:
            chosen = [*self._trainee.within(given["trainable_scopes"]), *head]
        elif given["freeze_until"] is not None:
            chosen = [*self._trainee.after(given["freeze_until"]), *head]
        idle = () if self._pipeline.auxiliary else self._trainee.auxiliary
        head, chosen = ([n for n in names if not n.startswith(idle)] for names in (head, chosen))
        return [
            _Stage(head, given["head_epochs"], self._rate("head_learning_rate", 1)),
            _Stage(chosen, given["epochs"], self._rate("learning_rate", 2)),
        ]

    def _rate(self, argument: str, place: int) -> float | None:
        optimizer = self._settings["optimizer"]
        if self._settings[argument] is not None or not isinstance(optimizer, str):
            return self._settings[argument]
        return OPTIMIZERS[optimizer][place]

    def _run_stage(self, number: int, stage: _Stage, interrupted) -> None:
        model = self._compiled(stage)
        steps_per_epoch = self._pipeline.steps_per_epoch
        if self._run["stage"] != number:
            self._run.save(state_of(model), stage=number, step=0, stopped=False)
        while True:
            # Also after a part of an epoch: `fit` ends with the averages in place of the weights.
            if self._run["arrays"]:
                self._run.restore(state_of(model))
            step = self._run["step"]
            if step >= stage.epochs * steps_per_epoch or self._run["stopped"]:
                break
            epoch, behind = divmod(step, steps_per_epoch)
            self._fit(
                model,
                number,
                step,
                interrupted,
                initial_epoch=epoch,
                epochs=epoch + 1 if behind else stage.epochs,
                steps_per_epoch=steps_per_epoch - behind,
            )
        model.optimizer.finalize_variable_values(model.trainable_variables)

    def _compiled(self, stage: _Stage) -> keras.Model:
        auxiliary = self._pipeline.auxiliary
        model = self._trainee.logits_model(
            batch_norm_frozen=self._frozen,
            auxiliary=auxiliary,
            regularized=self._settings["decoupled_weight_decay"] is None,
        )
        if not model.trainable_variables:
            raise ArgumentError(
                "No variable is left to train.",
                received=f"trainable_scopes={self._settings['trainable_scopes']}, "
                f"batch_norm={self._settings['batch_norm']!r}",
            )

        def cross_entropy():
            return keras.losses.CategoricalCrossentropy(
                from_logits=not gives_probabilities(self._trainee.model),
                label_smoothing=self._settings["label_smoothing"],
            )

        accuracy = keras.metrics.CategoricalAccuracy(name="accuracy")
        losses = {LOGITS: cross_entropy(), AUXILIARY: cross_entropy()}
        weights = {LOGITS: 1.0, AUXILIARY: self._settings["auxiliary_weight"]}
        model.compile(
            self._optimizer(stage),
            losses if auxiliary else losses[LOGITS],
            loss_weights=weights if auxiliary else None,
            metrics={LOGITS: [accuracy]} if auxiliary else [accuracy],
        )
        model.optimizer.build(model.trainable_variables)
        return model

    def _optimizer(self, stage: _Stage) -> keras.optimizers.Optimizer:
        given, average = self._settings["optimizer"], self._settings["moving_average"]
        decay = self._settings["decoupled_weight_decay"]
        options = {} if decay is None else {"weight_decay": decay}
        options |= {} if average is None else {"use_ema": True, "ema_momentum": average}
        if stage.rate is not None:
            options["learning_rate"] = scheduled(
                self._settings["schedule"],
                stage.rate,
                steps_per_epoch=self._pipeline.steps_per_epoch,
                epochs=stage.epochs,
            )
        if isinstance(given, str):
            optimizer = OPTIMIZERS[given][0](**options)
        else:
            optimizer = type(given).from_config({**given.get_config(), **options})
        if decay is not None:
            kept = {id(v) for v in self._trainee.regularized()} or {
                id(v) for v in self._trainee.model.weights if len(v.shape) > 1
            }
            rest = [v for v in self._trainee.model.trainable_variables if id(v) not in kept]
            optimizer.exclude_from_weight_decay(var_list=rest)
        policies = {layer.compute_dtype for layer in self._trainee.model._flatten_layers()}
        if "float16" in policies:
            optimizer = keras.optimizers.LossScaleOptimizer(optimizer)
        return optimizer

    def _fit(self, model, stage: int, step: int, interrupted, **span) -> None:
        validation = self._pipeline.validation()
        try:
            model.fit(
                self._pipeline.training(stage, step),
                validation_data=validation,
                callbacks=self._callbacks(stage, step, interrupted, validation is not None),
                verbose=self._verbose,
                shuffle=False,
                **span,
            )
        except tf.errors.ResourceExhaustedError as error:
            size = self._settings["batch_size"]
            raise TrainingError(
                "Memory ran out in a step.",
                received=f"batch_size={size}; TensorFlow says: {error.message.splitlines()[0]}",
                next_step=f"pass batch_size={size // 2} and another folder."
                if size > 1
                else 'pass a smaller input_shape=, or dtype="mixed_bfloat16".',
            ) from error

    def _callbacks(self, stage: int, step: int, interrupted, validated: bool) -> list:
        prefix = "val_" if validated else ""
        name = f"{LOGITS}_accuracy" if self._pipeline.auxiliary else "accuracy"
        per_epoch = self._pipeline.steps_per_epoch
        patience = self._settings["patience"]
        callbacks = []
        if patience is not None:
            past = [row for row in self._run.history if row["stage"] == stage]
            callbacks.append(StopEarly(past, monitor=prefix + "loss", patience=patience))
        callbacks.append(
            KeepState(self._run, stage, step, per_epoch, self._save_every, interrupted)
        )
        if self._settings["moving_average"] is not None:
            callbacks.append(keras.callbacks.SwapEMAWeights(swap_on_epoch=True))
        callbacks.append(KeepBest(self._run, self._trainee.model, prefix + name, stage))
        if self._tensorboard:
            logs = str(self._run.path / "logs" / f"stage-{stage + 1}")
            callbacks.append(keras.callbacks.TensorBoard(logs, write_graph=False))
        return callbacks


def _write_report(folder: Path, report: dict) -> None:
    with complete_or_absent(folder / "curve.png") as made:
        reports.write_curves(made, report["history"])
    with complete_or_absent(folder / "report.md") as made:
        made.write_text(reports.text(report), encoding="utf-8")
