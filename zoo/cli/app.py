"""The table of commands, and what they have in common."""

from __future__ import annotations

from importlib import metadata
from typing import Annotated

import typer
from typer.core import TyperGroup

from zoo import __version__
from zoo.cli import cache, errors, startup
from zoo.cli.bench import bench
from zoo.cli.convert import convert
from zoo.cli.evaluate import evaluate
from zoo.cli.export import export
from zoo.cli.finetune import finetune
from zoo.cli.info import info
from zoo.cli.inspect import inspect
from zoo.cli.list import list_models
from zoo.cli.map import weight_map
from zoo.cli.predict import predict
from zoo.cli.publish import publish
from zoo.cli.validate import validate
from zoo.cli.verify import verify

# A command is a function in a file of its own and a line here. The file imports TensorFlow, and
# whatever imports TensorFlow, inside its functions: `zoo list` and `zoo --help` must not pay.
COMMANDS = {
    "list": list_models,
    "info": info,
    "predict": predict,
    "inspect": inspect,
    "verify": verify,
    "validate": validate,
    "map": weight_map,
    "bench": bench,
    "convert": convert,
    "export": export,
    "evaluate": evaluate,
    "finetune": finetune,
    "publish": publish,
}


class Group(TyperGroup):
    """All commands run inside the one error boundary."""

    def invoke(self, ctx):
        with errors.boundary(debug=ctx.params["debug"]):
            return super().invoke(ctx)


app = typer.Typer(
    cls=Group,
    no_args_is_help=True,
    rich_markup_mode=None,  # Help as plain text: it is read in pipes and by grep too.
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog=errors.EXIT_CODES,
)
for _name, _command in COMMANDS.items():
    app.command(_name)(_command)
app.add_typer(cache.app, name="cache")


def _print_version(wanted: bool) -> None:
    if not wanted:
        return
    print(f"zoo {__version__}")
    for package in ("tensorflow", "keras", "tf-slim"):
        try:
            print(f"{package} {metadata.version(package)}")
        except metadata.PackageNotFoundError:
            print(f"{package} not found")
    raise typer.Exit


@app.callback()
def zoo(
    context: typer.Context,
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_print_version, is_eager=True, help="Show versions and exit."
        ),
    ] = False,
    debug: Annotated[
        bool,
        typer.Option(
            "--debug",
            envvar="ZOO_DEBUG",
            help="Show tracebacks, and what TensorFlow logs.",
        ),
    ] = False,
) -> None:
    """TF1 and TF-Slim image networks in today's TensorFlow and Keras 3.

    Results go to stdout, hints and progress to stderr. In a pipe tables are tab-separated
    and have no header; --json gives everything.
    """
    context.obj = debug
    startup.show_warnings_plainly()
