"""Files that are complete under their names, or not there."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path


@contextlib.contextmanager
def replacing(*paths: str | os.PathLike) -> Iterator[list[Path]]:
    """Paths of the same names in a new folder beside the files, which are all in one folder.

    What is written there takes the files' places, in their order, once all are complete. A process
    that is killed before leaves the new folder, .NAME.SOMETHING.
    """
    files = [Path(path) for path in paths]
    beside, name = files[0].parent, files[0].name
    with tempfile.TemporaryDirectory(prefix=f".{name}.", dir=beside) as folder:
        made = [Path(folder, file.name) for file in files]
        yield made
        for one, file in zip(made, files, strict=True):
            os.replace(one, file)
