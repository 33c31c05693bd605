"""`zoo.convert`: weights from one library's names and layouts to another's."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from zoo import identification, registry
from zoo.atomic import replacing
from zoo.checkpoints import Checkpoint, NameMap, match, write_checkpoint
from zoo.dialects import recognition, translation
from zoo.dialects.counterpart import Counterpart
from zoo.dialects.files import check_folder, write_safetensors
from zoo.dialects.opening import open_weights
from zoo.dialects.recognition import DIALECTS, SLIM, Dialect
from zoo.dialects.tensor_map import Shape
from zoo.errors import ArgumentError, CheckpointMismatchError, nearest_names

if TYPE_CHECKING:
    import keras

_SUFFIXES = {".safetensors": "safetensors", ".npz": "npz"}
_KERAS_SUFFIX = ".weights.h5"


@dataclass(frozen=True)
class Conversion:
    """What `convert` did; `str()` tells it in a line.

    Attributes:
        source, output: paths.
        source_dialect, dialect: "slim", "timm", ...
        model: registered name of the network.
        name: how the network is called in the dialect that was written.
        tensors: how many were written.
        classes: what the classifier has.
        notes: what is not as it was, in sentences.
    """

    source: str
    source_dialect: str
    output: str
    dialect: str
    model: str
    name: str
    tensors: int
    classes: int | None
    notes: tuple[str, ...] = ()

    def __str__(self) -> str:
        return (
            f"{self.model}, {self.source_dialect} to {self.dialect} ({self.name}): "
            f"{self.tensors} tensors, {self.classes} classes, in {self.output}"
        )


def convert(
    source: str | os.PathLike | keras.Model,
    *,
    to: str,
    output: str | os.PathLike,
    model: str | None = None,
    name_map: NameMap | None = None,
    offline: bool | None = None,
) -> Conversion:
    """Writes a network's weights under the names, and with the axes, of another library.

    Everything is matched strictly: the network is whole in the source, and nothing else is.

    Args:
        source: a checkpoint in any form that zoo reads; weights of timm or Transformers
            (`.safetensors`), of keras.applications or a native model (`.keras`, `.weights.h5`,
            `.h5`, or the model itself); a path or an address.
        to: "timm", "transformers", "keras.applications", "native", the plain Keras model of
            `zoo.to_native`, or "slim", the TF1 names.
        output: the file to write. For timm, Transformers and native `.safetensors` or `.npz`; for
            keras.applications `.weights.h5`; for slim these first two, or else the prefix of a
            checkpoint that TensorFlow reads.
        model: the network's registered name, or its name in `to`; found out where it is None.
        name_map: how the source's TF1 names become the network's.
        offline: use the cache alone; None leaves it to ZOO_OFFLINE.

    Returns:
        A `Conversion`. Its notes say what is not as it was: the background class, which is left
        out for timm and Keras and cannot be brought back from there; parts that serve training
        alone; and what the other library computes otherwise.

    Raises:
        ArgumentError: there is no such dialect, or the network is not there; the output has
            another suffix than the dialect's files.
        CheckpointMismatchError: the source is not, or not all of, the network.
        CheckpointNotFoundError, CheckpointFormatError: the source cannot be read.

    Example:
        >>> zoo.convert("inception_v3.ckpt", to="timm", output="inception_v3.safetensors")
    """
    dialect = _dialect(to)
    _check_output(to, output)
    spec = _named_model(model, dialect)
    if spec is not None and dialect is not None:
        _counterpart(dialect, spec)  # before anything is read
    opened = _open(source, offline)
    try:
        network = _Network(opened, spec, name_map)
        if dialect is None:
            name, tensors, notes = _write_slim(network, output)
        else:
            name, tensors, notes = _write_peer(network, dialect, output)
    finally:
        opened.close()
    return Conversion(
        source=opened.path,
        source_dialect=network.dialect,
        output=os.fspath(output),
        dialect=to,
        model=network.spec.name,
        name=name,
        tensors=tensors,
        classes=network.classes,
        notes=(*network.notes, *notes),
    )


class _Network(Mapping):
    """A whole network in an open checkpoint: TF1 name -> array, read when asked for.

    Attributes:
        spec: the registered model.
        dialect: the checkpoint's.
        shapes: TF1 name -> shape.
        classes: of its classifier.
        notes: what the checkpoint lacks that the TF1 network has.
    """

    def __init__(
        self, opened: Checkpoint, spec: registry.ModelSpec | None, name_map: NameMap | None
    ) -> None:
        self.notes: list[str] = []
        self.dialect = SLIM
        found = _recognised(opened, spec)
        if found is not None:
            self.dialect = found.dialect.name
            spec = spec or registry.info(found.counterpart.model)
        elif spec is None:
            spec, name_map = _identified(opened, name_map)
        name_map = name_map or NameMap()
        self.spec = spec
        adapter = spec.load_adapter()
        shapes = identification.variable_shapes(spec.name)
        if found is not None:
            shapes = self._as_in_peer(opened, found, shapes)
            opened = translation.translate(opened, found.dialect, found.counterpart, shapes)
        elif _has_scales(opened, name_map):
            shapes = translation.with_scales(shapes)
        self.shapes, self.classes = _with_its_classes(opened, shapes, adapter.head, name_map)
        self._checkpoint = opened
        self._names = self._matched(name_map, adapter.auxiliary)
        self.shapes = {name: self.shapes[name] for name in self._names}

    def _as_in_peer(self, opened, found, shapes: Mapping[str, Shape]) -> dict[str, Shape]:
        left_out = [name for name in shapes if name.startswith(found.counterpart.without)]
        if left_out:
            self.notes.append(
                f"{found.counterpart} has no {_scopes(left_out)}, which serves training alone"
            )
        if found.counterpart.is_scaled(opened):
            scaled = translation.with_scales(shapes)
            if len(scaled) > len(shapes):
                self.notes.append(
                    "its batch norm has scales: make the network with "
                    f"{translation.SCALE_ARGUMENT}=True"
                )
            shapes = scaled
        return {name: shape for name, shape in shapes.items() if name not in left_out}

    def _matched(self, name_map: NameMap, auxiliary: tuple[str, ...]) -> dict[str, str]:
        wanted = {name: _Shaped(shape) for name, shape in self.shapes.items()}
        found = match(self._checkpoint, wanted, name_map, allow_missing=auxiliary)
        found.check()
        if found.skipped_missing:
            self.notes.append(f"the checkpoint has no {_scopes(found.skipped_missing)}")
        return found.assignments

    def __getitem__(self, name: str) -> np.ndarray:
        return self._checkpoint.read(self._names[name])

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)


@dataclass(frozen=True)
class _Shaped:
    shape: Shape


def _open(source, offline: bool | None) -> Checkpoint:
    if isinstance(source, str | os.PathLike):
        return open_weights(source, offline=offline)
    import keras

    if not isinstance(source, keras.Model):
        raise ArgumentError(
            "Weights are converted from a file or a Keras model.", received=type(source).__name__
        )
    from zoo.dialects.keras_models import KerasCheckpoint

    return KerasCheckpoint(source.name, source)


def _recognised(
    opened: Checkpoint, spec: registry.ModelSpec | None
) -> recognition.Recognition | None:
    found = recognition.recognise(opened)
    if found is None:
        translation.check_known(opened)
        return None
    if spec is not None and spec.name not in found.models:
        raise CheckpointMismatchError(
            f"The checkpoint {opened.path} is of another network than {spec.name}.",
            received=str(found),
            next_step=f"Leave the model out, or give {found.models[0]}.",
        )
    return found


def _identified(
    opened: Checkpoint, name_map: NameMap | None
) -> tuple[registry.ModelSpec, NameMap | None]:
    """The registered model that a checkpoint with TF1 names fits best."""
    fits = [fit for fit in identification.identify(opened) if fit.matched]
    if not fits:
        raise CheckpointMismatchError(
            f"The checkpoint {opened.path} fits no registered architecture.",
            received=f"{len(opened)} variables, {', '.join(opened.names()[:3])}, ...",
            next_step="`zoo inspect` shows what is inside.",
        )
    if fits[0].outer_scope and name_map is None:
        name_map = NameMap(strip_scope=fits[0].outer_scope)
    return registry.info(fits[0].models[0]), name_map


def _has_scales(opened: Checkpoint, name_map: NameMap) -> bool:
    return any(name.endswith("/BatchNorm/gamma") for name in name_map.apply(opened.names()).sources)


def _with_its_classes(
    opened: Checkpoint, shapes: Mapping[str, Shape], head: tuple[str, ...], name_map: NameMap
) -> tuple[dict[str, Shape], int | None]:
    """The shapes with as many classes as the checkpoint has."""
    there = name_map.apply(opened.names()).sources
    counts = {
        opened.shape(there[name])[-1]
        for name in shapes
        if name.startswith(head) and name in there and opened.shape(there[name])
    }
    if len(counts) != 1:
        return dict(shapes), None
    classes = counts.pop()
    counting = (*head, *(name for name in shapes if _is_auxiliary_head(name, shapes, head)))
    return {
        name: (*shape[:-1], classes) if name.startswith(counting) else shape
        for name, shape in shapes.items()
    }, classes


def _is_auxiliary_head(name: str, shapes: Mapping[str, Shape], head: tuple[str, ...]) -> bool:
    usual = {shapes[other][-1] for other in shapes if other.startswith(head)}
    return "/AuxLogits/" in name and shapes[name][-1] in usual


def _scopes(names: list[str]) -> str:
    """Their outermost common scopes, in words."""
    return ", ".join(sorted({"/".join(name.split("/")[:2]) for name in names}))


# -- What is asked for -------------------------------------------------------------------------


def _dialect(name: str) -> Dialect | None:
    if name == SLIM:
        return None
    if name not in DIALECTS:
        names = [*DIALECTS, SLIM]
        raise ArgumentError(
            "There is no dialect of this name to convert to.",
            received=name,
            accepted=", ".join(names),
            nearest=nearest_names(name, names),
        )
    return DIALECTS[name]


def _named_model(model: str | None, dialect: Dialect | None) -> registry.ModelSpec | None:
    if model is None:
        return None
    for counterpart in dialect.counterparts() if dialect else ():
        if model in (counterpart.name, str(counterpart)) and model not in registry.list_models():
            return registry.info(counterpart.model)
    return registry.info(model)


def _counterpart(dialect: Dialect, spec: registry.ModelSpec) -> Counterpart:
    found = dialect.counterpart(spec)
    if found is None:
        elsewhere = [name for name, other in DIALECTS.items() if other.counterpart(spec)]
        raise ArgumentError(
            f"{dialect.name} has no network that is {spec.name}.",
            accepted=", ".join(counterpart.model for counterpart in dialect.counterparts()),
            nearest=elsewhere,
            next_step=f"Convert to {elsewhere[0]}." if elsewhere else None,
        )
    return found


def _check_output(to: str, output: str | os.PathLike) -> None:
    check_folder(output)
    name = Path(output).name
    accepted = {SLIM: (), "keras.applications": (_KERAS_SUFFIX,)}.get(to, tuple(_SUFFIXES))
    if accepted and not name.endswith(accepted):
        raise ArgumentError(
            f"A file for {to} has another suffix.",
            received=name,
            accepted=" or ".join(accepted),
        )
    if to == SLIM and name.endswith((".h5", ".bin", ".pt", ".pth", ".pb", ".keras")):
        raise ArgumentError(
            "TF1 names go into another kind of file.",
            received=name,
            accepted=".safetensors, .npz, or the prefix of a TensorFlow checkpoint (model.ckpt)",
        )


# -- Writing -----------------------------------------------------------------------------------


def _write_slim(network: _Network, output) -> tuple[str, int, list[str]]:
    write_checkpoint(output, network, format=_SUFFIXES.get(Path(output).suffix, "v2"))
    notes = []
    if (
        network.classes
        == network.spec.num_classes - network.spec.label_offset
        != (network.spec.num_classes)
    ):
        notes.append(
            f"the background class is not there: load it with num_classes={network.classes}, and "
            "index 0 is the first label"
        )
    return network.spec.name, len(network), notes


def _write_peer(network: _Network, dialect: Dialect, output) -> tuple[str, int, list[str]]:
    counterpart = _counterpart(dialect, network.spec)
    left_out = [name for name in network.shapes if name.startswith(counterpart.without)]
    weights = counterpart.tensor_map(network.shapes)
    notes = []
    if left_out:
        notes.append(f"{_scopes(left_out)}, which serves training alone, is left out")
    offset = 0
    if not dialect.background and network.classes == network.spec.num_classes:
        offset = network.spec.label_offset
    if offset:
        network.classes -= offset
        notes.append(f"the background class, index 0, is left out: {network.classes} classes")
    arrays = weights.to_peer(network, offset)
    if counterpart.difference:
        notes.append(counterpart.difference)
    _write_arrays(arrays, dialect, counterpart, network.classes, output)
    return str(counterpart), len(arrays), notes


def _write_arrays(arrays, dialect, counterpart, classes, output) -> None:
    if dialect.name == "keras.applications":
        from zoo.dialects import keras_models

        model = keras_models.make(counterpart, classes)
        keras_models.assign(model, arrays)
        with replacing(output) as (made,):
            model.save_weights(made)
    elif Path(output).suffix == ".npz":
        write_checkpoint(output, arrays, format="npz")
    else:
        write_safetensors(output, arrays)
