"""What the hub tells while it works: a bar on a terminal, plain lines elsewhere. On stderr."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager


def say(message: str, progress: bool = True) -> None:
    """One plain line to stderr, unless `progress` is False."""
    if progress:
        print(f"zoo: {message}", file=sys.stderr, flush=True)


def bytes_text(count: int | None) -> str:
    """A size for people: 94.3 MB."""
    if count is None:
        return "unknown size"
    for unit, factor in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if count >= factor:
            return f"{count / factor:.1f} {unit}"
    return f"{count} bytes"


@contextmanager
def transfer(
    name: str, host: str, done: int, total: int | None, progress: bool
) -> Iterator[Callable[[int], None]]:
    """Show a download; yields the function that is told of each chunk's length.

    Args:
        done: bytes that an earlier try has left, of `total`.
    """
    if not progress or not sys.stderr.isatty():
        resumed = f", resuming at {bytes_text(done)}" if done else ""
        say(f"fetching {name} ({bytes_text(total)}) from {host}{resumed}", progress)
        yield lambda count: None
        return
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        DownloadColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
        TransferSpeedColumn,
    )

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True)) as bar:
        task = bar.add_task(f"{name} from {host}", total=total, completed=done)
        yield lambda count: bar.update(task, advance=count)
