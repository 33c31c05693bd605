"""The `zoo` command. `zoo.cli.app` has the table of commands; each has a file of its own."""

from __future__ import annotations

import os
import sys

INTERRUPTED = 130  # what a shell makes of SIGINT
NOT_WRITTEN = 74  # EX_IOERR of sysexits.h
READER_GONE = 141  # what a shell makes of SIGPIPE


def main() -> int:
    """Runs the command line of this process and returns its exit code."""
    for stream in (sys.stdout, sys.stderr):
        # A file's name need not be text in the terminal's encoding.
        stream.reconfigure(errors="backslashreplace")
    try:
        from zoo.cli.app import app

        app(prog_name="zoo")
        code = 0
    except SystemExit as exit_:
        code = exit_.code if isinstance(exit_.code, int) else int(exit_.code is not None)
    except KeyboardInterrupt:
        code = INTERRUPTED
    return _flush_stdout() or code


def _flush_stdout() -> int:
    """An exit code: 0, or why the output did not get out.

    That nobody reads it any more (`zoo list | head -1`) is nothing to talk of.
    """
    try:
        sys.stdout.flush()
    except OSError as error:
        # Python flushes once more on its way out, and would complain.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        if isinstance(error, BrokenPipeError):
            return READER_GONE
        print(f"zoo: {error.strerror}", file=sys.stderr)
        return NOT_WRITTEN
    return 0
