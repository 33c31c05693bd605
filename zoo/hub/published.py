"""`zoo.load("hf://owner/repo")`: a model that `zoo.publish` put there, as it was."""

from __future__ import annotations

import json
from pathlib import Path

import keras

from zoo import checkpoints, registry
from zoo.adopting import adopting
from zoo.checkpoints.keras_files import check_description
from zoo.dialects.hdf5 import Hdf5Checkpoint
from zoo.errors import ArgumentError, CheckpointFormatError, DownloadError
from zoo.hub import huggingface
from zoo.hub.addresses import fetch_files
from zoo.hub.cache import is_offline
from zoo.hub.huggingface import Address, HubFile
from zoo.model import TF1Model
from zoo.native import WeightMap
from zoo.shim import skip_initializers, tf1_variables

ZOO_FILE = "zoo.json"
ZOO_FORMAT = 1
KINDS = {  # kind of the published model -> the files that it is made of, zoo.json aside
    "tf1": ("tf1.safetensors",),
    "native": ("config.json", "model.weights.h5", "weight_map.json"),
}
_LARGEST = 64 << 20  # bytes of a description


def load_published(
    address: str, *, offline: bool | None = None, progress: bool = True
) -> keras.Model:
    """The model that `zoo.publish` put into a repository, bit for bit.

    Args:
        address: hf://OWNER/REPO[@REVISION].
        offline: use the cache alone; None leaves it to ZOO_OFFLINE and HF_HUB_OFFLINE.

    Raises:
        ArgumentError: it is no address of a repository, or the repository holds no model of
            zoo's.
        CheckpointFormatError: what it holds is damaged, or names a class that is none of zoo's.
        DownloadError: it cannot be had.
    """
    place = huggingface.parse_address(address)
    if place.file is not None:
        raise ArgumentError(
            "A published model is a whole repository.",
            received=address,
            next_step="To load one file of it: zoo.load(NAME, source=...).",
        )
    offline = is_offline() if offline is None else offline
    (path,) = fetch_files(place, _choose_description, offline, progress)
    description = _read(path, place)
    kind = description.get("kind")
    if description.get("format") != ZOO_FORMAT or kind not in KINDS:
        raise CheckpointFormatError(
            f"{place} was published by another version of zoo.",
            received=f"format {description.get('format')!r}, kind {kind!r}",
            accepted=f"format {ZOO_FORMAT}, kind {' or '.join(KINDS)}",
        )

    def choose(address: Address, files: list[HubFile]) -> list[HubFile]:
        by_path = {file.path: file for file in files}
        missing = [name for name in KINDS[kind] if name not in by_path]
        if missing:
            raise DownloadError(f"{address} lacks {', '.join(missing)}; it is incomplete.")
        return [by_path[name] for name in KINDS[kind]]

    paths = fetch_files(place, choose, offline, progress, again=True)
    if kind == "native":
        return _native(place, *paths)
    return _tf1(place, description, *paths)


def _choose_description(address: Address, files: list[HubFile]) -> list[HubFile]:
    found = [file for file in files if file.path == ZOO_FILE and file.size <= _LARGEST]
    if not found:
        raise ArgumentError(
            f"{address} holds no model that zoo.publish put there.",
            received=", ".join(file.path for file in files[:12]) or "an empty repository",
            accepted=f"a repository with a {ZOO_FILE}",
            next_step=f'If it has weights of a known network: zoo.load(NAME, source="{address}").',
        )
    return found


def _read(path: Path, place: Address) -> dict:
    try:
        description = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError):
        description = None
    if not isinstance(description, dict):
        raise CheckpointFormatError(f"The {ZOO_FILE} of {place} is no description of a model.")
    return description


def _tf1(place: Address, description: dict, weights: Path) -> TF1Model:
    for name in registry.list_models():
        registry.info(name).load_adapter()
    made = description.get("model")
    check_description(place, made)
    with skip_initializers():
        model = _made(place, made)
    if not isinstance(model, TF1Model):
        raise CheckpointFormatError(f"{place} does not describe a model of zoo.load.")
    variables = tf1_variables(model.network)
    model.load_report = checkpoints.load(weights, adopting(variables))
    return model


def _native(place: Address, config: Path, weights: Path, weight_map: Path) -> keras.Model:
    made = _read(config, place)
    check_description(place, made)
    Hdf5Checkpoint(weights, str(weights)).close()  # refuses links to other files
    model = _made(place, made)
    try:
        model.load_weights(weights)
    except (ValueError, OSError, KeyError) as error:
        raise CheckpointFormatError(
            f"The weights of {place} are not those of its model.", received=str(error)
        ) from error
    model.weight_map = WeightMap.read(weight_map)
    return model


def _made(place: Address, description: object) -> keras.Model:
    try:
        return keras.saving.deserialize_keras_object(description)
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise CheckpointFormatError(
            f"{place} describes a model that cannot be made here.",
            received=str(error).splitlines()[0] if str(error) else type(error).__name__,
            next_step="It may need a newer zoo, or the package that registers its network.",
        ) from error
