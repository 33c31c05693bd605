"""`zoo map`: which TF1 variable each weight of a network's native form is."""

from __future__ import annotations

from typing import Annotated

import typer

from zoo.cli import output
from zoo.cli.startup import import_tensorflow


def weight_map(
    context: typer.Context,
    name: Annotated[str, typer.Argument(metavar="NAME", help="A registered model.")],
    json: Annotated[
        bool, typer.Option("--json", help="Print JSON, as zoo.native.WeightMap.read takes it.")
    ] = False,
) -> None:
    """Show the TF1 name of each weight of a network in plain Keras (zoo.to_native).

    No checkpoint is needed. In a pipe: TF1 name, layer, weight and shape, separated by tabs.
    """
    import_tensorflow(debug=context.obj)
    import zoo
    from zoo.shim import skip_initializers

    with skip_initializers():
        native = zoo.to_native(zoo.load(name, weights=None), training=False)
    if json:
        print(native.weight_map.to_json())
        return
    rows = [
        [" ".join(entry.tf1) or f"({entry.how})", entry.layer, entry.weight, _text(entry.shape)]
        for entry in native.weight_map
    ]
    rows += [
        [left, output.NOTHING, output.NOTHING, output.NOTHING]
        for left in native.weight_map.left_out
    ]
    output.table(["TF1 variable", "layer", "weight", "shape"], rows)


def _text(shape: tuple[int, ...]) -> str:
    return "x".join(map(str, shape))
