"""`zoo predict`: what a network sees in images."""

from __future__ import annotations

from typing import Annotated

import typer

from zoo import hub, registry
from zoo.cli import errors, output
from zoo.cli.info import complete_name
from zoo.cli.loading import Ckpt, NumClasses, StripScope, load_arguments
from zoo.cli.progress import variables_bar
from zoo.cli.startup import import_tensorflow
from zoo.errors import ImageError


def predict(
    context: typer.Context,
    model: Annotated[
        str,
        typer.Argument(
            metavar="NAME|FILE",
            help="A registered model, hf://OWNER/REPO that one was published to, or a .keras file, "
            "such as zoo finetune makes.",
            autocompletion=complete_name,
        ),
    ],
    images: Annotated[list[str], typer.Argument(metavar="IMAGE", help="Image files.")],
    ckpt: Ckpt = None,
    top: Annotated[int, typer.Option("--top", min=1, help="Classes to show for an image.")] = 5,
    num_classes: NumClasses = None,
    labels: Annotated[
        str | None,
        typer.Option(
            "--labels", metavar="FILE", help="Names of the classes, one a line, from index 0 on."
        ),
    ] = None,
    strip_scope: StripScope = None,
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Name what is in images.

    For each image the best classes: probability, index in the network's output, WordNet synset
    and name. In a pipe each line has the image's path too, in front. An image that cannot be
    read is reported, the others are still named, and the exit code is 3.
    """
    is_saved = model.endswith(".keras")
    if is_saved and (ckpt, num_classes, strip_scope) != (None, None, None):
        raise typer.BadParameter("a .keras file has its own weights: no --ckpt and the like.")
    if not is_saved and not hub.is_address(model):
        registry.info(model)
    names = _class_names(model, num_classes, labels)
    import_tensorflow(debug=context.obj)
    from zoo.batch.classifier import Classifier
    from zoo.images import read_image

    if len(images) == 1:
        read_image(images[0])  # Nothing is fetched for the sake of a file that is no image.
    given = load_arguments(ckpt, num_classes, strip_scope)
    with variables_bar() as progress:
        classifier = Classifier(model, class_names=names, top=top, progress=progress, **given)
    rows, code = [], 0
    for image in images:
        (row,) = classifier.rows([image])
        if "error" in row:
            code = errors.report(ImageError(row["error"]))
        elif not json:
            _show(image, row["predictions"], first=not any("predictions" in r for r in rows))
        rows.append(row)
    if json:
        output.print_json(rows)
    raise typer.Exit(code)


def _class_names(model: str, num_classes: int | None, labels: str | None) -> list | None:
    """Names of the network's outputs; None for those that it knows."""
    if labels is not None:
        from zoo.evaluation.outputs import read_labels

        return read_labels(labels)
    if num_classes is None or hub.is_address(model):
        return None
    if num_classes == registry.info(model).num_classes:
        return None
    return [f"class {index}" for index in range(num_classes)]


def _show(image: str, predictions: list[dict], first: bool) -> None:
    rows = [
        (
            f"{one['probability']:.4f}",
            str(one["index"]),
            one["synset"] or output.NOTHING,
            one["name"],
        )
        for one in predictions
    ]
    if not output.is_terminal():
        output.table((), [(image, *row) for row in rows])
        return
    if not first:
        print()
    print(output.emphasize(output.printable(image)))
    output.table(("  PROB", "INDEX", "SYNSET", "NAME"), [(f"  {row[0]}", *row[1:]) for row in rows])
