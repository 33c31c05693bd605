"""A checkpoint of another library, read under TF1 names."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np

from zoo import hub, registry
from zoo.checkpoints import Checkpoint
from zoo.checkpoints.arrays import is_safetensors
from zoo.checkpoints.checkpoint import Tensor
from zoo.dialects import recognition
from zoo.dialects.counterpart import Counterpart
from zoo.dialects.hdf5 import Hdf5Checkpoint, is_hdf5
from zoo.dialects.named_layers import is_keras_file
from zoo.dialects.opening import open_weights
from zoo.dialects.recognition import Dialect
from zoo.dialects.tensor_map import Entry, Shape, TensorMap
from zoo.errors import CheckpointMismatchError
from zoo.identification import architecture, variable_shapes

logger = logging.getLogger("zoo")

SCALE_ARGUMENT = "batch_norm_scale"  # of Slim's Inception arg scopes; False by default


class TranslatedCheckpoint(Checkpoint):
    """A checkpoint whose names and axes are turned into TF1's as it is read.

    What is in the file and not in the map keeps its name, for strict matching to complain of.
    Closing it closes the original.
    """

    def __init__(
        self, original: Checkpoint, weights: TensorMap, dialect: Dialect, counterpart: Counterpart
    ) -> None:
        entries = {entry.slim: entry for entry in weights.entries if entry.peer in original}
        tensors = {name: _translated(original, entry) for name, entry in entries.items()}
        tensors |= {
            name: Tensor(original.shape(name), original.dtype(name))
            for name in original.names()
            if name not in weights.names
        }
        super().__init__(original.path, tensors)
        self.format = original.format
        self.dialect = dialect
        self.counterpart = counterpart
        self._original = original
        self._on_close.append(original.close)

    def _read(self, name: str, tensor: Tensor, check: bool) -> np.ndarray:
        entry = tensor.where
        if entry is None:
            return self._original.read(name, check=check)
        values = self._original.read(entry.peer, check=check)
        return np.ascontiguousarray(entry.layout.to_slim(values, entry.shape))


def _translated(original: Checkpoint, entry: Entry) -> Tensor:
    shape = original.shape(entry.peer)
    try:
        shape = entry.layout.slim_shape(shape, entry.shape)
    except ValueError:  # Of another rank or size: shown as it is, for matching to complain of.
        pass
    return Tensor(tuple(shape), original.dtype(entry.peer), entry)


@dataclass(frozen=True)
class Adjustment:
    """How a network has to be made to take a file of another library.

    Attributes:
        arguments: of the TF1 function.
        label_offset: index of the first ImageNet class in the logits.
    """

    arguments: dict[str, object]
    label_offset: int


def look_at(
    path: str | os.PathLike,
    spec: registry.ModelSpec,
    *,
    given: Mapping[str, object] = MappingProxyType({}),
    offline: bool | None = None,
) -> Adjustment | None:
    """How the model's network has to be made for this file; None for one with TF1 names.

    Archives are not looked into: they are TF1's.

    Args:
        path: what `open_weights` takes.
        spec: the model.
        given: arguments that are settled already, `num_classes` among them.
        offline: use the cache alone; None leaves it to ZOO_OFFLINE.

    Raises:
        CheckpointMismatchError: the file is of another architecture.
    """
    local = hub.local_path(path, offline=offline)
    is_keras = is_hdf5(local) or is_keras_file(local)
    if os.path.isfile(local) and not is_keras and not _is_flat(local):
        return None
    with open_weights(local) as checkpoint:
        found = _of_architecture(checkpoint, spec)
        if found is None:
            return None
        dialect, counterpart = found
        adjustment, said = _adjustment(checkpoint, counterpart, spec, given)
        if counterpart.difference:
            said.append(f"outputs are not quite {dialect.name}'s: {counterpart.difference}")
        if said:
            what = f"{counterpart} of {dialect.name}"
            logger.warning("%s is %s: %s.", path, what, "; ".join(said))
        return adjustment


def _adjustment(
    checkpoint: Checkpoint,
    counterpart: Counterpart,
    spec: registry.ModelSpec,
    given: Mapping[str, object],
) -> tuple[Adjustment, list[str]]:
    """What the model needs, and what to say of it."""
    free = spec.load_adapter().accepted_arguments().keys() - given.keys()
    arguments: dict[str, object] = {}
    offset = spec.label_offset
    said = []
    if "create_aux_logits" in free:
        arguments["create_aux_logits"] = False
        said.append("it has no auxiliary logits, and the model is made without them")
    wanted = given.get("num_classes", spec.num_classes - offset)
    if offset and wanted == spec.num_classes - offset == _classes(checkpoint, counterpart):
        arguments["num_classes"] = wanted
        offset = 0
        said.append(
            f"it has no background class: the model has {wanted} classes, and index 0 is the "
            "first label"
        )
    if SCALE_ARGUMENT in free and counterpart.is_scaled(checkpoint):
        arguments[SCALE_ARGUMENT] = True
        said.append("its batch norm has scales, and so has the model's")
    return Adjustment(arguments, offset), said


def open_checkpoint(
    path: str | os.PathLike, spec: registry.ModelSpec, variables: Mapping[str, Shape]
) -> Checkpoint:
    """Opens a checkpoint of any dialect under TF1 names, for a network of a registered model.

    Args:
        path: what `open_weights` takes.
        spec: the model.
        variables: TF1 name -> shape of the network's variables.
    """
    checkpoint = open_weights(path)
    try:
        found = _of_architecture(checkpoint, spec)
        if found is None:
            return checkpoint
        return translate(checkpoint, *found, variables)
    except BaseException:
        checkpoint.close()
        raise


def translate(
    checkpoint: Checkpoint, dialect: Dialect, counterpart: Counterpart, shapes: Mapping[str, Shape]
) -> Checkpoint:
    """The checkpoint under the TF1 names of variables with these shapes."""
    weights = counterpart.tensor_map(shapes)
    if isinstance(checkpoint, Hdf5Checkpoint):
        checkpoint = _through_keras(checkpoint, counterpart)
    if not weights.names.issuperset(checkpoint.names()):
        # A network without its classifier, or cut short, still knows the names of all of it.
        whole = {**_without(variable_shapes(counterpart.model), counterpart), **shapes}
        weights = counterpart.tensor_map(whole)
    for name in weights.scales.values():
        if name in checkpoint and np.any(checkpoint.read(name) != 1):
            raise CheckpointMismatchError(
                f"Batch norm in {checkpoint.path} scales its outputs, and the network does not.",
                received=f"values other than 1 in {name}",
                next_step=f"Make the network with {SCALE_ARGUMENT}=True.",
            )
    return TranslatedCheckpoint(checkpoint, weights, dialect, counterpart)


def with_scales(shapes: Mapping[str, Shape]) -> dict[str, Shape]:
    """The variables of the same network with a scale in each batch norm."""
    wanted: dict[str, Shape] = {}
    for name, shape in shapes.items():
        scope, _, leaf = name.rpartition("/")
        if leaf == "beta":
            wanted[f"{scope}/gamma"] = shape
        wanted[name] = shape
    return wanted


def check_known(checkpoint: Checkpoint) -> None:
    """Raises CheckpointMismatchError for a file of another library whose network is unknown."""
    if checkpoint.format == "hdf5":
        dialects, whose = ["keras.applications", "native"], "is a file of Keras"
    elif any(name.endswith("running_mean") for name in checkpoint):
        dialects, whose = ["timm", "transformers"], "has PyTorch's names"
    else:
        return
    known = [found for name in dialects for found in recognition.DIALECTS[name].counterparts()]
    raise CheckpointMismatchError(
        f"{checkpoint.path} {whose}, and is no network that zoo knows there.",
        received=f"{len(checkpoint)} tensors, {', '.join(checkpoint.names()[:3])}, ...",
        accepted=", ".join(sorted({counterpart.name for counterpart in known})),
        next_step="Give one of these, whole, or a checkpoint with TF1 names.",
    )


def _is_flat(path: str) -> bool:
    """Whether a file is one of arrays by name."""
    return is_safetensors(path) or path.endswith(".npz")


def _of_architecture(
    checkpoint: Checkpoint, spec: registry.ModelSpec
) -> tuple[Dialect, Counterpart] | None:
    """The dialect and the network there, which has to be the model's; None for TF1 names."""
    found = list(recognition.candidates(checkpoint))
    if not found:
        check_known(checkpoint)
        return None
    own = architecture(spec)
    fitting = [one for one in found if architecture(registry.info(one[1].model)) == own]
    if fitting and (len(found) == 1 or recognition.compare(checkpoint, *fitting[0]).complete):
        return fitting[0]
    best = recognition.recognise(checkpoint)
    if fitting and not best.complete:
        return fitting[0]  # and strict matching says what is wrong with it
    raise CheckpointMismatchError(
        f"The checkpoint {checkpoint.path} is of another network than {spec.name}.",
        received=str(best),
        next_step=f'Use zoo.load("{best.models[0]}", ...).',
    )


def _classes(checkpoint: Checkpoint, counterpart: Counterpart) -> int | None:
    if isinstance(checkpoint, Hdf5Checkpoint):
        return recognition.recognise(checkpoint).classes
    return counterpart.classes_in(checkpoint)


def _without(shapes: Mapping[str, Shape], counterpart: Counterpart) -> dict[str, Shape]:
    return {
        name: shape for name, shape in shapes.items() if not name.startswith(counterpart.without)
    }


def _through_keras(opened: Hdf5Checkpoint, counterpart: Counterpart) -> Checkpoint:
    from zoo.dialects import keras_models

    found = recognition.compare(opened, recognition.DIALECTS["keras.applications"], counterpart)
    if not found.complete:
        raise CheckpointMismatchError(
            f"The file {opened.path} does not hold keras.applications' {counterpart}.",
            received=f"{found.matched} of {found.total} weights, by their shapes",
            next_step="Give weights of the whole application, with its classifier.",
        )
    model = keras_models.make(counterpart, found.classes)
    keras_models.fill_from_file(model, opened)
    opened.close()
    return keras_models.KerasCheckpoint(opened.path, model)
