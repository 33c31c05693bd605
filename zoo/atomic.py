"""Files that are complete under their names, or not there."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path


@contextlib.contextmanager
def replacing(*paths: str) -> Iterator[list[str]]:
    """Temporary names beside the paths, which take the paths' places once all are complete."""
    temporary: list[str] = []
    try:
        for path in paths:
            folder, name = os.path.split(path)
            handle, made = tempfile.mkstemp(prefix=f".{name}.", dir=folder or ".")
            os.close(handle)
            temporary.append(made)
        yield temporary
        umask = os.umask(0)
        os.umask(umask)
        for made, path in zip(temporary, paths, strict=True):
            os.chmod(made, 0o666 & ~umask)
            os.replace(made, path)
    finally:
        for made in temporary:
            Path(made).unlink(missing_ok=True)
