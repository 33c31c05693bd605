"""`zoo export`: a model in the form that another program runs."""

from __future__ import annotations

from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from zoo import registry
from zoo.cli import output
from zoo.cli.info import complete_name
from zoo.cli.loading import Ckpt, NumClasses, StripScope, load_arguments
from zoo.cli.progress import variables_bar, working
from zoo.cli.startup import import_tensorflow
from zoo.errors import CheckpointFormatError, CheckpointNotFoundError

if TYPE_CHECKING:
    import keras


class Form(str, Enum):
    keras = "keras"
    tf1 = "tf1"
    saved_model = "saved_model"
    tflite = "tflite"
    onnx = "onnx"
    stablehlo = "stablehlo"


class Quantization(str, Enum):
    dynamic = "dynamic"


def export(
    context: typer.Context,
    model: Annotated[
        str,
        typer.Argument(
            metavar="NAME|FILE",
            help="A registered model, or a .keras file that one was saved to.",
            autocompletion=complete_name,
        ),
    ],
    to: Annotated[
        Form,
        typer.Option(
            "--to",
            help="keras: plain Keras layers, for Keras alone. "
            "tf1: a training directory for TensorFlow 1.15. saved_model: a SavedModel that "
            "takes encoded images. tflite: a LiteRT file. onnx: an ONNX file. stablehlo: the TF1 "
            "code's graph for JAX and XLA, without weights, and FILE.json, which names its inputs "
            "and outputs.",
        ),
    ],
    out: Annotated[
        str,
        typer.Option(
            "--out",
            metavar="PATH",
            help="Folder to write to; for keras, tflite, onnx and stablehlo a file.",
        ),
    ],
    meta_graph: Annotated[
        bool, typer.Option("--meta", help="tf1: also the MetaGraph, for import_meta_graph.")
    ] = False,
    frozen: Annotated[
        bool, typer.Option("--frozen", help="tf1: also frozen.pb, variables as constants.")
    ] = False,
    fold: Annotated[
        bool, typer.Option("--fold", help="keras: batch norm folded in, for inference alone.")
    ] = False,
    quantize: Annotated[
        Quantization | None,
        typer.Option("--quantize", help="tflite: weights as 8-bit integers."),
    ] = None,
    batch: Annotated[
        int | None, typer.Option(min=1, help="stablehlo: images in a batch; 1 if not given.")
    ] = None,
    training: Annotated[
        bool, typer.Option("--training", help="stablehlo: a training step by gradient descent.")
    ] = False,
    ckpt: Ckpt = None,
    num_classes: NumClasses = None,
    strip_scope: StripScope = None,
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Write a model for another program.

    Prints the paths of what it wrote, one a line.
    """
    is_file = model.endswith(".keras")
    if is_file and (ckpt, num_classes, strip_scope) != (None, None, None):
        raise typer.BadParameter("a .keras file has its own weights: no --ckpt and the like.")
    if (meta_graph or frozen) and to is not Form.tf1:
        raise typer.BadParameter("--meta and --frozen go with --to tf1.")
    if fold and to is not Form.keras:
        raise typer.BadParameter("--fold goes with --to keras.")
    if quantize and to is not Form.tflite:
        raise typer.BadParameter("--quantize goes with --to tflite.")
    if (batch is not None or training) and to is not Form.stablehlo:
        raise typer.BadParameter("--batch and --training go with --to stablehlo.")
    if not is_file:
        registry.info(model)
    import_tensorflow(debug=context.obj)
    loaded = (
        _saved(Path(model).expanduser())
        if is_file
        else _named(model, ckpt, num_classes, strip_scope)
    )
    path = Path(out).expanduser()
    from zoo.export import to_keras, to_onnx, to_saved_model, to_stablehlo, to_tf1, to_tflite

    with working("Writing"):
        if to is Form.keras:
            files = to_keras(loaded, path, fold_batch_norm=fold)
        elif to is Form.tf1:
            files = to_tf1(loaded, path, meta_graph=meta_graph, frozen=frozen)
        elif to is Form.saved_model:
            files = [to_saved_model(loaded, path)]
        elif to is Form.onnx:
            files = [to_onnx(loaded, path)]
        elif to is Form.stablehlo:
            files = to_stablehlo(loaded, batch=batch or 1, training=training).write(path)
        else:
            files = [to_tflite(loaded, path, quantize=quantize and quantize.value)]
    if json:
        output.print_json({"form": to.value, "files": [str(file) for file in files]})
        return
    for file in files:
        output.echo(str(file))


def _named(name: str, ckpt: str | None, num_classes: int | None, strip_scope: str | None):
    from zoo.loading import load

    with variables_bar() as progress:
        return load(name, progress=progress, **load_arguments(ckpt, num_classes, strip_scope))


def _saved(path: Path) -> keras.Model:
    from zoo.model import load_model

    if not path.is_file():
        raise CheckpointNotFoundError(f"There is no file {path}.", next_step="Check the path.")
    try:
        return load_model(path)
    except (TypeError, ValueError, OSError, KeyError) as error:  # as Keras says: no such class, ...
        raise CheckpointFormatError(
            f"{path} cannot be loaded as a Keras model of zoo's.",
            received=f"{type(error).__name__}: {str(error).splitlines()[0]}",
            next_step="A wrapped function of your own is known to Python alone: export it there, "
            "with zoo.export.",
        ) from error
