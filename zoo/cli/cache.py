"""`zoo cache`: the fetched checkpoints on this machine."""

from __future__ import annotations

import dataclasses
import sys
from typing import Annotated

import typer

from zoo import hub
from zoo.cli import errors, output
from zoo.cli.progress import hint, working
from zoo.hub.progress import bytes_text

app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode=None,
    help="List, check and clear the fetched checkpoints.",
)

Pattern = Annotated[
    str,
    typer.Argument(metavar="PATTERN", help="A glob for the checkpoint's full name, 'model.tag'."),
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]


@app.command("list")
def list_files(pattern: Pattern = "*", json: Json = False) -> None:
    """List the cached files: checkpoint, size in bytes, when it was fetched, path."""
    files = hub.list_cached(pattern)
    if json:
        output.print_json([_as_dict(file) for file in files])
        return
    output.table(
        ("CHECKPOINT", "BYTES", "FETCHED", "PATH"),
        [(file.checkpoint, str(file.size), file.fetched, str(file.path)) for file in files],
    )
    hint(f"{_amount(files)} in {hub.cache_dir()}")


@app.command("verify")
def verify_files(pattern: Pattern = "*", json: Json = False) -> None:
    """Read every cached file and compare it with its recorded hashes.

    The exit code is 1 if one is damaged.
    """
    with working("Reading the cached files"):
        results = hub.verify_cached(pattern)
    if json:
        output.print_json([{**_as_dict(file), "problem": problem} for file, problem in results])
    else:
        output.table(
            ("CHECKPOINT", "PATH", ""),
            [(file.checkpoint, str(file.path), problem or "ok") for file, problem in results],
        )
    if any(problem for _, problem in results):
        hint("delete the damaged ones with `zoo cache prune CHECKPOINT`")
        raise typer.Exit(errors.NEGATIVE)


@app.command("prune")
def prune_files(
    pattern: Pattern = "*",
    unfinished: Annotated[
        bool, typer.Option("--unfinished", help="Only what interrupted downloads have left.")
    ] = False,
    forget: Annotated[
        bool,
        typer.Option(
            "--forget",
            help="Also the hashes and revisions that were recorded on first use, so that the next "
            "use takes what is published then.",
        ),
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
) -> None:
    """Delete cached files. What another process is fetching is left alone."""
    if forget and unfinished:
        raise typer.BadParameter("--forget and --unfinished do not go together.")
    files = hub.list_cached(pattern)
    if files and not unfinished and not yes:
        if not is_interactive():
            raise typer.BadParameter("Nobody can be asked here: give --yes to delete.")
        question = f"Delete {_amount(files)} from {hub.cache_dir()}?"
        typer.confirm(question, abort=True, err=True)
    freed = hub.prune(pattern, unfinished_only=unfinished, forget=forget)
    hint(f"freed {bytes_text(freed)}")


def _amount(files: list[hub.CachedFile]) -> str:
    what = "file" if len(files) == 1 else "files"
    return f"{len(files)} {what} ({bytes_text(sum(file.size for file in files))})"


def is_interactive() -> bool:
    return sys.stdin.isatty()


def _as_dict(file: hub.CachedFile) -> dict:
    return {**dataclasses.asdict(file), "path": str(file.path)}
