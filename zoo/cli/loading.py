"""What `zoo predict` and `zoo verify` share: the options that say which weights are loaded."""

from __future__ import annotations

import os
from typing import Annotated

import typer

Ckpt = Annotated[
    str | None,
    typer.Option(
        "--ckpt",
        metavar="PATH",
        help="A TF1 checkpoint of your own, in any form `zoo inspect` reads, or its address "
        "(hf://OWNER/REPO[@REVISION][/FILE], https://...); otherwise the "
        "published one is fetched.",
    ),
]
NumClasses = Annotated[
    int | None,
    typer.Option("--num-classes", min=1, help="Classes of the checkpoint's head, if not usual."),
]
StripScope = Annotated[
    str | None,
    typer.Option(
        "--strip-scope", metavar="SCOPE", help="Outer scope of the checkpoint's names, to drop."
    ),
]


def load_arguments(ckpt: str | None, num_classes: int | None, strip_scope: str | None) -> dict:
    """The options as arguments of `zoo.load`. Imports TensorFlow."""
    from zoo.checkpoints import NameMap

    return {
        "tf1_ckpt": os.path.expanduser(ckpt) if ckpt is not None else None,
        "num_classes": num_classes,
        "name_map": NameMap(strip_scope=strip_scope) if strip_scope else None,
    }
