"""What a `.keras` file names is looked at before Keras makes it: no code, no strangers' classes.

A `.keras` is a zip of a description of objects by class (`config.json`), weights, and assets. The
same three lie side by side, unpacked, where Keras keeps a model on the Hugging Face Hub.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath

from zoo.checkpoints.archives import check_expansion, open_zip
from zoo.checkpoints.checkpoint import reading
from zoo.checkpoints.wire import WireError
from zoo.errors import CheckpointFormatError, CheckpointNotFoundError

CONFIG = "config.json"
MAX_CONFIG = 64 << 20  # bytes; NASNet's, the longest here, has about one million
_MEMBER = re.compile(r"(metadata|config)\.json|model\.weights\.(h5|npz|json)|assets/.*")
# Parts of Keras whose functions do more than compute: fetch, unpack, read and write files.
_NOT_LAYERS = {"utils", "saving", "config", "backend", "datasets", "export", "legacy", "trainers"}


def check_keras_file(
    path: str | os.PathLike, custom_objects: Mapping[str, object] | None = None
) -> None:
    """Looks through a `.keras` file, or through the folder that one was unpacked to.

    Args:
        path: the file or folder.
        custom_objects: classes and functions by name that may occur besides Keras's own and
            those registered with `keras.saving.register_keras_serializable`.

    Raises:
        CheckpointNotFoundError: there is none.
        CheckpointFormatError: it is damaged; it holds code (a Lambda of a Python lambda); or it
            names a class or function that is neither Keras's nor registered nor given.
    """
    path = Path(path)
    if not path.exists():
        raise CheckpointNotFoundError(
            f"There is no Keras model at {path}.", next_step="Check the path."
        )
    with reading(path, "reading its description"):
        check_description(path, json.loads(_config(path)), custom_objects)


def check_description(
    place: object, description: object, custom_objects: Mapping[str, object] | None = None
) -> None:
    """Looks through Keras's description of a model, as `check_keras_file` does.

    Args:
        place: what messages call the place that it comes from.
        description: what `keras.saving.deserialize_keras_object` takes.
    """
    for named in _named(description):
        _check(place, named, custom_objects or {})


def _config(path: Path) -> bytes:
    if path.is_dir():
        if (path / CONFIG).stat().st_size > MAX_CONFIG:
            raise WireError(f"{CONFIG} is longer than {MAX_CONFIG} bytes")
        return (path / CONFIG).read_bytes()
    with open_zip(path) as archive:
        check_expansion(path, archive)
        for member in archive.infolist():
            name = member.filename
            if not _MEMBER.fullmatch(name) or ".." in PurePosixPath(name).parts:
                raise WireError(f"it holds {name!r}, which no Keras model does")
        if archive.getinfo(CONFIG).file_size > MAX_CONFIG:
            raise WireError(f"{CONFIG} is longer than {MAX_CONFIG} bytes")
        return archive.read(CONFIG)


def _named(value: object) -> Iterator[Mapping]:
    """Every object of the description that names a class, however deep."""
    pending = [value]
    while pending:
        value = pending.pop()
        if isinstance(value, Mapping):
            if "class_name" in value:
                yield value
            pending.extend(value.values())
        elif isinstance(value, list):
            pending.extend(value)


def _check(place: object, named: Mapping, custom_objects: Mapping) -> None:
    name, module = named["class_name"], named.get("module")
    if name in ("__lambda__", "TorchModuleWrapper"):
        raise CheckpointFormatError(
            f"{place} holds code that would run when it is opened.",
            received="a Lambda layer of a Python lambda" if name == "__lambda__" else name,
            next_step="Do not use this file, unless you trust whoever wrote it; then rebuild the "
            "model in code and load its weights.",
        )
    registered = named.get("registered_name")
    if name == "function":
        registered = registered if registered not in (None, "function") else named.get("config")
        if module in (None, "builtins"):
            return  # one of Keras's own, or none at all
    if _is_keras(module, name) or _is_known(registered, name, custom_objects):
        return
    raise CheckpointFormatError(
        f"{place} names something that is neither Keras's nor registered with Keras.",
        received=f"{module}.{name}" if name != "function" else f"{module}.{named.get('config')}",
        next_step="If you trust the file, import the module that registers it "
        "(keras.saving.register_keras_serializable) first.",
    )


def _is_keras(module: object, name: object) -> bool:
    if not isinstance(name, str) or not isinstance(module, str | None):
        return False
    if module is None:  # an old file, or a tensor, tuple, slice, ...: Keras looks among its own
        return True
    parts = module.split(".")
    return parts[0] == "keras" and not _NOT_LAYERS & set(parts)


def _is_known(registered: object, name: object, custom_objects: Mapping) -> bool:
    import keras

    names = [one for one in (registered, name) if isinstance(one, str)]
    return any(
        one in custom_objects or keras.saving.get_registered_object(one) is not None
        for one in names
    )
