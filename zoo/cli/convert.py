"""`zoo convert`: a network's weights under another library's names."""

from __future__ import annotations

import dataclasses
from typing import Annotated

import typer

from zoo.cli import output
from zoo.cli.progress import hint, working
from zoo.cli.startup import import_tensorflow


def convert(
    context: typer.Context,
    source: Annotated[
        str,
        typer.Argument(
            metavar="CHECKPOINT",
            help="What `zoo inspect` reads: a TF1 checkpoint, or weights of the same network in "
            "timm, Transformers, keras.applications or zoo.to_native's Keras model; a path or an "
            "address.",
        ),
    ],
    to: Annotated[
        str,
        typer.Option(
            "--to",
            metavar="DIALECT",
            help="timm, transformers, keras.applications, native (zoo.to_native's Keras model), "
            "or slim, the TF1 names.",
        ),
    ],
    out: Annotated[
        str,
        typer.Option(
            "-o",
            "--output",
            metavar="FILE",
            help="The file to write: .safetensors or .npz; .weights.h5 for keras.applications; "
            "for slim also the prefix of a TensorFlow checkpoint.",
        ),
    ],
    model: Annotated[
        str | None,
        typer.Option(
            "--model",
            metavar="NAME",
            help="The network's name, here or there, if it is not to be found out.",
        ),
    ] = None,
    strip_scope: Annotated[
        str | None,
        typer.Option(
            "--strip-scope", metavar="SCOPE", help="Outer scope of the TF1 names, to drop."
        ),
    ] = None,
    moving_average: Annotated[
        bool, typer.Option("--moving-average", help="Take the moving averages of TF1 training.")
    ] = False,
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Write a network's weights with the names and axes of another library.

    Everything is matched strictly, both ways. What is not as it was is said: the background
    class, which timm and Keras do not have, and what they compute otherwise.
    """
    import_tensorflow(debug=context.obj)
    from zoo.checkpoints import NameMap
    from zoo.dialects import convert as run

    with working("Converting"):
        done = run(
            source,
            to=to,
            output=out,
            model=model,
            name_map=NameMap(strip_scope=strip_scope, moving_average=moving_average)
            if strip_scope or moving_average
            else None,
        )
    if json:
        output.print_json(dataclasses.asdict(done))
        return
    output.echo(str(done))
    for note in done.notes:
        hint(note)
