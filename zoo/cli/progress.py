"""Bars and hints on stderr; bars only where that is a terminal."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager


def hint(message: str) -> None:
    print(f"zoo: {message}", file=sys.stderr)


@contextmanager
def working(what: str) -> Iterator[None]:
    """A spinner while something without known length goes on."""
    if not sys.stderr.isatty():
        yield
        return
    from rich.console import Console

    with Console(stderr=True).status(what):
        yield


@contextmanager
def variables_bar() -> Iterator[Callable[[int, int, str], None] | None]:
    """What `zoo.load` takes as `progress`: a bar that appears with the first variable read.

    It waits for that, since a download before it has a bar of its own.
    """
    if not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.progress import Progress

    bar = Progress(console=Console(stderr=True), transient=True)
    task = bar.add_task("Reading variables", total=None)

    def show(done: int, total: int, name: str) -> None:
        bar.start()
        bar.update(task, completed=done, total=total)

    try:
        yield show
    finally:
        bar.stop()
