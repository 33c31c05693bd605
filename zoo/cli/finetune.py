"""`zoo finetune`: a network on images of one's own."""

from __future__ import annotations

import contextlib
import sys
from enum import Enum
from pathlib import Path
from typing import Annotated

import typer

from zoo import registry
from zoo.cli import output
from zoo.cli.info import Name
from zoo.cli.loading import Ckpt, StripScope, load_arguments
from zoo.cli.progress import hint, variables_bar
from zoo.cli.startup import import_tensorflow


class BatchNorm(str, Enum):
    frozen = "frozen"
    live = "live"


class Optimizer(str, Enum):
    adam = "adam"
    momentum = "momentum"
    rmsprop = "rmsprop"
    sgd = "sgd"


class Schedule(str, Enum):
    fixed = "fixed"
    exponential = "exponential"
    cosine = "cosine"


class Augmentation(str, Enum):
    slim = "slim"
    keras = "keras"
    none = "none"


class Strategy(str, Enum):
    mirrored = "mirrored"
    multiworker = "multiworker"
    tpu = "tpu"


class Precision(str, Enum):
    float32 = "float32"
    mixed_bfloat16 = "mixed_bfloat16"
    mixed_float16 = "mixed_float16"


def finetune(
    context: typer.Context,
    name: Name,
    data: Annotated[
        str,
        typer.Argument(
            metavar="DATA",
            help="A folder with a subfolder of images for each class; or TFRecord files of "
            "Slim's format, by their folder or pattern.",
        ),
    ],
    out: Annotated[
        str | None,
        typer.Option(
            "--out", metavar="FOLDER", help="Where the results go; NAME-finetuned by default."
        ),
    ] = None,
    validation: Annotated[
        str,
        typer.Option(
            "--validation", help="The part of the data to hold back, or data of its own, or none."
        ),
    ] = "0.2",
    epochs: Annotated[int, typer.Option("--epochs", min=0, help="Of the second stage.")] = 10,
    head_epochs: Annotated[
        int, typer.Option("--head-epochs", min=0, help="Of the first stage: the new head alone.")
    ] = 1,
    batch_size: Annotated[int, typer.Option("--batch-size", min=1)] = 32,
    trainable_scopes: Annotated[
        list[str] | None,
        typer.Option(
            "--trainable-scope", metavar="SCOPE", help="Train this scope and the head (repeatable)."
        ),
    ] = None,
    freeze_until: Annotated[
        str | None,
        typer.Option("--freeze-until", metavar="SCOPE", help="Train from this scope on."),
    ] = None,
    batch_norm: Annotated[BatchNorm, typer.Option("--batch-norm")] = BatchNorm.frozen,
    optimizer: Annotated[Optimizer, typer.Option("--optimizer")] = Optimizer.adam,
    learning_rate: Annotated[
        float | None, typer.Option("--learning-rate", help="Of the second stage.")
    ] = None,
    head_learning_rate: Annotated[
        float | None, typer.Option("--head-learning-rate", help="Of the first stage.")
    ] = None,
    schedule: Annotated[Schedule, typer.Option("--schedule")] = Schedule.fixed,
    decoupled_weight_decay: Annotated[
        float | None,
        typer.Option(
            "--decoupled-weight-decay", help="In place of the network's regularization losses."
        ),
    ] = None,
    label_smoothing: Annotated[float, typer.Option("--label-smoothing", min=0, max=1)] = 0.0,
    balance: Annotated[
        bool, typer.Option("--balance", help="Weigh rare classes more, to equal weights.")
    ] = False,
    moving_average: Annotated[
        float | None,
        typer.Option("--moving-average", metavar="DECAY", help="Validate and save averages."),
    ] = None,
    patience: Annotated[
        int | None,
        typer.Option("--patience", min=0, help="Epochs without a better loss that end a stage."),
    ] = None,
    augmentation: Annotated[Augmentation, typer.Option("--augmentation")] = Augmentation.slim,
    precision: Annotated[Precision, typer.Option("--precision")] = Precision.float32,
    native: Annotated[
        bool, typer.Option("--native", help="Train the network as plain Keras layers.")
    ] = False,
    strategy: Annotated[
        Strategy | None,
        typer.Option(
            "--strategy",
            help="Share each batch: all GPUs here, the workers that TF_CONFIG names (start the "
            "same command on each), or a TPU.",
        ),
    ] = None,
    label_offset: Annotated[
        int, typer.Option("--label-offset", help="To take off the labels of TFRecords.")
    ] = 0,
    save_every: Annotated[
        int | None,
        typer.Option("--save-every", min=1, metavar="STEPS", help="Also within an epoch."),
    ] = None,
    seed: Annotated[int, typer.Option("--seed", min=0)] = 0,
    ckpt: Ckpt = None,
    random: Annotated[
        bool, typer.Option("--random", help="Start from random values, not a checkpoint.")
    ] = False,
    strip_scope: StripScope = None,
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Fine-tune a network on images of your own.

    First the new head is trained, then the rest. The folder gets best.keras, last.keras,
    curve.png, report.md and logs for TensorBoard. What was interrupted goes on when the same
    command is given again.
    """
    if random and ckpt is not None:
        raise typer.BadParameter("--random takes no --ckpt.")
    registry.info(name)
    import_tensorflow(debug=context.obj)
    from zoo.training.finetuning import finetune as run

    options = {
        "folder": Path(out or f"{name}-finetuned").expanduser(),
        "validation": _validation(validation),
        "label_offset": label_offset,
        "epochs": epochs,
        "head_epochs": head_epochs,
        "batch_size": batch_size,
        "trainable_scopes": trainable_scopes or None,
        "freeze_until": freeze_until,
        "batch_norm": batch_norm.value,
        "optimizer": optimizer.value,
        "learning_rate": learning_rate,
        "head_learning_rate": head_learning_rate,
        "schedule": schedule.value,
        "decoupled_weight_decay": decoupled_weight_decay,
        "label_smoothing": label_smoothing,
        "class_weights": "balanced" if balance else None,
        "moving_average": moving_average,
        "patience": patience,
        "augmentation": None if augmentation is Augmentation.none else augmentation.value,
        "save_every": save_every,
        "native": native,
        "strategy": strategy and strategy.value,
        "seed": seed,
        "verbose": 1 if sys.stderr.isatty() else 2,  # no bars in a file
    }
    given = {**load_arguments(ckpt, None, strip_scope), "dtype": precision.value}
    given = {key: value for key, value in given.items() if value is not None}
    given |= {"weights": None} if random else {}
    # Progress is no result: it goes to stderr.
    with variables_bar() as progress, contextlib.redirect_stdout(sys.stderr):
        result = run(name, data, progress=progress, **options, **given)
    if json:
        output.print_json({**result.report, "folder": str(result.folder)})
        return
    print(output.printable(str(result), keep_lines=True))
    if result.folder.is_dir():  # of several workers the first one's machine has it
        hint(f"best.keras and the rest are in {result.folder}")


def _validation(text: str) -> float | str | None:
    if text == "none":
        return None
    try:
        return float(text)
    except ValueError:
        return text
