"""`zoo inspect`: what a checkpoint holds, and which architecture it fits."""

from __future__ import annotations

import math
from collections import Counter
from typing import TYPE_CHECKING, Annotated

import typer

from zoo.cli import output
from zoo.cli.progress import working
from zoo.cli.startup import import_tensorflow
from zoo.hub.progress import bytes_text

if TYPE_CHECKING:
    from zoo.checkpoints import Checkpoint
    from zoo.dialects import Recognition
    from zoo.identification import Fit

_ROLES = {  # zoo.checkpoints.classify -> plural, in the order shown
    "variable": "variables",
    "auxiliary": "auxiliary variables",
    "moving_average": "moving averages",
    "optimizer_slot": "optimizer slots",
    "global_step": "global step",
}
_FORMATS = {
    "v2": "V2 bundle (tf.train.Saver, since TensorFlow 0.12)",
    "v1": "V1 file (tf.train.Saver, before TensorFlow 0.12)",
    "graph_def": "frozen GraphDef",
    "saved_model": "TF1 SavedModel",
    "npz": "NumPy .npz",
    "safetensors": "safetensors",
    "hdf5": "HDF5 (Keras)",
}
_SHOWN_PARTIAL_FITS = 3


def inspect(
    context: typer.Context,
    checkpoint: Annotated[
        str,
        typer.Argument(
            metavar="CHECKPOINT",
            help="A V2 prefix, V1 file, training directory, SavedModel, frozen .pb, .npz, "
            ".safetensors, an archive of these (ARCHIVE!MEMBER picks one of several), .h5, .keras, "
            "or the address of one: hf://OWNER/REPO[@REVISION][/FILE], https://....",
        ),
    ],
    everything: Annotated[
        bool, typer.Option("--all", help="List every name with its shape, dtype and role.")
    ] = False,
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Tell what is in a checkpoint, and what it fits.

    An architecture fits by the names and shapes of its variables; the size of its head does not
    count, and is told. Weights of the same network in timm, Transformers, keras.applications or
    a native model are told too.
    """
    from zoo.dialects import open_weights

    with open_weights(checkpoint) as opened:
        contents = _contents(opened)
        import_tensorflow(debug=context.obj)
        from zoo.dialects import recognise
        from zoo.identification import identify

        with working("Comparing with the registered architectures"):
            foreign = recognise(opened)
            fits = [] if foreign else [fit for fit in identify(opened) if fit.matched]
        step = _global_step(opened, contents)
    if json:
        output.print_json(_as_dict(opened, contents, foreign, fits, step, everything))
        return
    print(output.emphasize(output.printable(checkpoint)))
    output.facts(
        [("format", _FORMATS[opened.format])]
        + [(_ROLES[role], _role_text(contents, role, step)) for role in _present(contents)]
        + ([("dialect", str(foreign))] if foreign else [])
        + [("fits", line) for line in _fit_texts(fits, foreign)]
    )
    if everything:
        print()
        rows = [(row["name"], _shape_text(row), row["dtype"], row["role"]) for row in contents]
        output.table(("NAME", "SHAPE", "DTYPE", "ROLE"), rows)


def _contents(checkpoint: Checkpoint) -> list[dict]:
    from zoo.checkpoints import classify

    return [
        {
            "name": name,
            "shape": list(checkpoint.shape(name)),
            "dtype": str(checkpoint.dtype(name)),
            "role": role,
            "bytes": math.prod(checkpoint.shape(name)) * checkpoint.dtype(name).itemsize,
        }
        for name, role in classify(checkpoint.names()).items()
    ]


def _present(contents: list[dict]) -> list[str]:
    there = {row["role"] for row in contents}
    return [role for role in _ROLES if role in there]


def _summary(contents: list[dict], role: str) -> dict:
    rows = [row for row in contents if row["role"] == role]
    return {
        "count": len(rows),
        "values": sum(math.prod(row["shape"]) for row in rows),
        "bytes": sum(row["bytes"] for row in rows),
        "dtypes": dict(Counter(row["dtype"] for row in rows)),
    }


def _role_text(contents: list[dict], role: str, step: int | None) -> str:
    if role == "global_step" and step is not None:
        return str(step)
    summary = _summary(contents, role)
    dtypes = ", ".join(summary["dtypes"])
    return (
        f"{summary['count']} ({summary['values']:,} values, {bytes_text(summary['bytes'])}, "
        f"{dtypes})"
    )


def _global_step(checkpoint: Checkpoint, contents: list[dict]) -> int | None:
    """Its value, if the checkpoint has exactly one."""
    names = [row["name"] for row in contents if row["role"] == "global_step"]
    if len(names) != 1 or math.prod(checkpoint.shape(names[0])) != 1:
        return None
    return int(checkpoint.read(names[0]).item())


def _fit_texts(fits: list[Fit], foreign: Recognition | None) -> list[str]:
    if foreign:
        return [", ".join(foreign.models) if foreign.complete else "nothing as a whole"]
    complete = [str(fit) for fit in fits if fit.complete]
    if complete:
        return complete
    if not fits:
        return ["no registered architecture"]
    partial = [str(fit) for fit in fits[:_SHOWN_PARTIAL_FITS]]
    return ["no registered architecture as a whole; nearest:", *partial]


def _shape_text(row: dict) -> str:
    return "x".join(map(str, row["shape"])) or "scalar"


def _as_dict(opened, contents, foreign, fits, step, everything: bool) -> dict:
    values = {
        "path": opened.path,
        "format": opened.format,
        "roles": {role: _summary(contents, role) for role in _present(contents)},
        "global_step": step,
        "dialect": foreign
        and {
            "name": foreign.dialect.name,
            "network": str(foreign.counterpart),
            "models": foreign.models,
            "matched": foreign.matched,
            "total": foreign.total,
            "complete": foreign.complete,
            "num_classes": foreign.classes,
        },
        "fits": [
            {
                "models": fit.models,
                "matched": fit.matched,
                "total": fit.total,
                "complete": fit.complete,
                "num_classes": fit.num_classes,
                "outer_scope": fit.outer_scope,
            }
            for fit in fits
        ],
    }
    return {**values, "variables": contents} if everything else values
