"""`zoo publish`: a model to the Hugging Face Hub."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from zoo import registry
from zoo.cli import output
from zoo.cli.loading import Ckpt, NumClasses, StripScope, load_arguments
from zoo.cli.progress import hint, variables_bar
from zoo.cli.startup import import_tensorflow
from zoo.hub.progress import bytes_text


def publish(
    context: typer.Context,
    model: Annotated[
        str,
        typer.Argument(
            metavar="MODEL",
            help="A registered name (`zoo list`), or a .keras file that a model of zoo's was "
            "saved to.",
        ),
    ],
    repo: Annotated[str, typer.Argument(metavar="REPO", help="OWNER/NAME; made if need be.")],
    ckpt: Ckpt = None,
    num_classes: NumClasses = None,
    strip_scope: StripScope = None,
    revision: Annotated[
        str | None,
        typer.Option("--revision", metavar="BRANCH", help="Another branch; made if need be."),
    ] = None,
    private: Annotated[
        bool | None,
        typer.Option(
            "--private/--public", help="For a repository that is made; else as you have it set."
        ),
    ] = None,
    licence: Annotated[
        str | None,
        typer.Option(
            "--licence", "--license", help="Of the weights, if not that of the checkpoint."
        ),
    ] = None,
    base_model: Annotated[
        str | None,
        typer.Option("--base-model", metavar="OWNER/NAME", help="What they were made from."),
    ] = None,
    message: Annotated[str | None, typer.Option("--message", "-m", help="Of the commit.")] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Send nothing; show the files and the card.")
    ] = False,
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Publish a model on the Hugging Face Hub, in one commit.

    The model is compared with its TF1 graph first. Keras alone loads what is published
    (keras.saving.load_model("hf://OWNER/NAME")), and zoo.load("hf://OWNER/NAME") gives the same
    model back. The token is HF_TOKEN, or that of `hf auth login`.
    """
    saved = model.endswith(".keras")
    if saved and (ckpt, num_classes, strip_scope) != (None, None, None):
        raise typer.BadParameter("A .keras file has its weights: it takes none of --ckpt, ...")
    if not saved:
        registry.info(model)
    import_tensorflow(debug=context.obj)
    from zoo.hub.publishing import publish as run

    publication = run(
        _saved(model) if saved else _registered(model, ckpt, num_classes, strip_scope),
        repo,
        revision=revision,
        private=private,
        licence=licence,
        base_model=base_model,
        message=message,
        dry_run=dry_run,
    )
    if json:
        output.print_json(
            {
                "repo": publication.repo,
                "revision": publication.revision,
                "commit": publication.commit,
                "url": publication.url,
                "files": publication.files,
                "card": publication.card,
            }
        )
        return
    if dry_run:
        rows = [(name, str(size)) for name, size in publication.files.items()]
        output.table(("FILE", "BYTES"), rows)
        print(f"\n{output.printable(publication.card, keep_lines=True)}")
        hint(f"nothing was sent; {bytes_text(sum(publication.files.values()))} would be")
        return
    output.table(("REPO", "COMMIT", "URL"), [(repo, publication.commit, publication.url)])


def _saved(path: str):
    from zoo.model import load_model

    return load_model(Path(path).expanduser())


def _registered(name, ckpt, num_classes, strip_scope):
    from zoo.loading import load

    given = load_arguments(ckpt, num_classes, strip_scope)
    names = [f"class {index}" for index in range(num_classes)] if num_classes else None
    if names is not None and num_classes == registry.info(name).num_classes:
        names = None
    with variables_bar() as progress:
        return load(name, class_names=names, progress=progress, **given)
