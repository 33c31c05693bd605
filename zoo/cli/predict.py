"""`zoo predict`: what a network sees in images."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from zoo import registry
from zoo.cli import errors, output
from zoo.cli.info import Name
from zoo.cli.loading import Ckpt, NumClasses, StripScope, load_arguments
from zoo.cli.progress import variables_bar
from zoo.cli.startup import import_tensorflow
from zoo.errors import ImageError

if TYPE_CHECKING:
    from zoo.images import Prediction
    from zoo.model import TF1Model


def predict(
    context: typer.Context,
    name: Name,
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
    spec = registry.info(name)
    class_names = _class_names(spec, num_classes, labels)
    import_tensorflow(debug=context.obj)
    from zoo.images import read_image
    from zoo.loading import load

    if len(images) == 1:
        read_image(images[0])  # Nothing is fetched for the sake of a file that is no image.
    with variables_bar() as progress:
        model = load(
            name,
            class_names=class_names,
            progress=progress,
            **load_arguments(ckpt, num_classes, strip_scope),
        )
    results, code = [], 0
    for image, predictions in _predictions(model, images, top):
        if isinstance(predictions, ImageError):
            code = errors.report(predictions)
            results.append({"image": image, "error": str(predictions)})
            continue
        results.append({"image": image, "predictions": [_as_dict(one) for one in predictions]})
        if not json:
            _show(image, predictions, first=len(results) == 1)
    if json:
        output.print_json(results)
    raise typer.Exit(code)


def _class_names(spec, num_classes: int | None, labels: str | None) -> list[str] | None:
    """Names of the network's outputs; None for ImageNet's."""
    if labels is not None:
        return Path(labels).expanduser().read_text(encoding="utf-8").splitlines()
    if num_classes in (None, spec.num_classes):
        return None
    return [f"class {index}" for index in range(num_classes)]


def _predictions(
    model: TF1Model, images: list[str], top: int
) -> Iterator[tuple[str, list[Prediction] | ImageError]]:
    for image in images:
        try:
            batch = model.preprocess(image)
        except ImageError as error:
            yield image, error
            continue
        yield image, model.decode(model.predict_on_batch(batch), top=top)[0]


def _as_dict(prediction: Prediction) -> dict:
    index, synset, name, score = prediction
    return {"index": index, "synset": synset, "name": name, "probability": score}


def _show(image: str, predictions: list[Prediction], first: bool) -> None:
    rows = [
        (f"{one.score:.4f}", str(one.index), one.synset or output.NOTHING, one.name)
        for one in predictions
    ]
    if not output.is_terminal():
        output.table((), [(image, *row) for row in rows])
        return
    if not first:
        print()
    print(output.emphasize(output.printable(image)))
    output.table(("  PROB", "INDEX", "SYNSET", "NAME"), [(f"  {row[0]}", *row[1:]) for row in rows])
