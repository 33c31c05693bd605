"""The one place where an exception becomes a message on stderr and an exit code."""

from __future__ import annotations

import re
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager

import typer

from zoo import errors
from zoo.cli import INTERRUPTED, NOT_WRITTEN, READER_GONE
from zoo.cli.output import printable

NEGATIVE = 1
USAGE = 2
FILE = 3
DOWNLOAD = 4
INSTALLATION = 5
BUG = 70  # EX_SOFTWARE of sysexits.h

EXIT_CODES = """\
Exit codes:

\b
  0    done; verified; found
  1    a negative answer: not the same function, nothing matches, a damaged cache,
       a training that broke off
  2    wrong usage: an unknown command, model or option, or a bad value
  3    a checkpoint or image is not there, is damaged, or does not fit
  4    a download or a publication failed, or offline mode forbids it
  5    this installation does not serve: TensorFlow, Keras, a broken registry row
  70   a bug in zoo (--debug shows the traceback)
  74   reading or writing failed: no space left, a broken disk
  130  interrupted
  141  nobody reads the output any more
"""

# The first class that an error belongs to decides.
_CODES: tuple[tuple[type[errors.ZooError], int], ...] = (
    (errors.DownloadError, DOWNLOAD),
    (errors.PublishingError, DOWNLOAD),
    (errors.CheckpointNotFoundError, FILE),
    (errors.CheckpointFormatError, FILE),
    (errors.CheckpointMismatchError, FILE),
    (errors.ImageError, FILE),
    (errors.UnsupportedEnvironmentError, INSTALLATION),
    (errors.RegistryError, INSTALLATION),
    (errors.ShimError, INSTALLATION),
    (errors.TrainingError, NEGATIVE),
    (errors.ZooError, USAGE),
)

# Python's way to say it -> the command's way. Errors are written for callers of the API.
_IN_COMMAND_TERMS = (
    (r'Use zoo\.load\("([^"]+)", tf1_ckpt=\.\.\.\)', r"Give the name \1 with --ckpt"),
    (r'name_map=zoo\.NameMap\(strip_scope="([^"]*)"\)', r"--strip-scope \1"),
    (r"NameMap\(strip_scope='([^']*)'\)", r"--strip-scope \1"),
    (r"num_classes=(\d+)", r"--num-classes \1"),
    (r"batch_size=(\d+)", r"--batch-size \1"),
    (r"label_offset=(\d+)", r"--label-offset \1"),
    (r"label_offset=", "--label-offset"),
    (r'strategy="mirrored" \(tf\.distribute\.MirroredStrategy\)', "--strategy mirrored"),
    (r"ground_truth= with the path of", "--ground-truth with"),
    (r"labels= with", "--labels FILE with"),
    (r"labels= names", "--labels FILE names"),
    (r"another state=, or restart=True", "another --state, or --restart"),
    (r"restart=True", "--restart"),
    (r"preprocessing='(\w+)'", r"--preprocessing \1"),
    (r"form='(\w+)'", r"--form \1"),
    (r"tf1_ckpt=(PATH)?", "--ckpt PATH"),
    (r"weights=None", "--random (zoo verify)"),
    (r"`zoo list`, or zoo\.list_models\(\), shows", "`zoo list` shows"),
    (r" \(or pass offline=False\)", ""),
)

# click's own exceptions bring their exit code and message. Some releases of typer stand on the
# package click and others carry a copy, so they are found from here.
_CLICK_EXCEPTION = typer.BadParameter.__base__.__base__


@contextmanager
def boundary(debug: bool) -> Iterator[None]:
    """Turns exceptions into typer.Exit, with the message on stderr."""
    try:
        yield
    except (typer.Exit, typer.Abort, _CLICK_EXCEPTION):
        raise
    except BrokenPipeError:
        raise typer.Exit(READER_GONE) from None
    except KeyboardInterrupt:
        print("zoo: interrupted", file=sys.stderr)
        raise typer.Exit(INTERRUPTED) from None
    except Exception as error:
        if debug:
            traceback.print_exc()
        raise typer.Exit(report(error)) from error


def report(error: Exception) -> int:
    """Writes the error's message to stderr and returns its exit code."""
    if isinstance(error, errors.ZooError):
        code = next(code for kind, code in _CODES if isinstance(error, kind))
        message = in_command_terms(str(error))
    elif isinstance(error, OSError) and error.strerror:
        code = NOT_WRITTEN if error.filename is None else FILE
        message = f"{error.strerror}" + (f": {error.filename}" if error.filename else "")
    else:
        code = BUG
        what = f"{type(error).__name__}: {error}".splitlines()[0]
        message = f"This is a bug in zoo: {what} (`zoo --debug ...` shows where)"
    print(f"zoo: {printable(message, keep_lines=True)}", file=sys.stderr)
    return code


def in_command_terms(message: str) -> str:
    for pattern, replacement in _IN_COMMAND_TERMS:
        message = re.sub(pattern, replacement, message)
    return message
