"""The network that is evaluated: its outputs' names, its preprocessing, its weights' digest."""

from __future__ import annotations

import dataclasses
import hashlib
import os
from collections.abc import Sequence
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

from zoo import hub, registry
from zoo.errors import ArgumentError, CheckpointFormatError, CheckpointNotFoundError, nearest_names
from zoo.evaluation.outputs import Outputs, has_imagenet_size, read_labels
from zoo.images import KINDS, Label, preprocess
from zoo.images.decoding import labels_of_classes
from zoo.images.kinds import IN_WORDS
from zoo.loading import load
from zoo.model import TF1Model, before_softmax, gives_probabilities, has_classifier, load_model
from zoo.native import to_native
from zoo.shim import runs_tf1_code

FORMS = ("shim", "native")


@dataclasses.dataclass(frozen=True)
class Subject:
    """A classifier of images, ready to be asked.

    Attributes:
        name: full name in the registry, or what the model is called.
        spec: the registry's facts; None for a network that is not in it.
        form: "shim" for TF1 code, "native" for plain Keras layers.
        model: gives logits, or probabilities where `are_logits` is False; (batch, classes).
        outputs: their names.
        kind, size: of Slim's evaluation preprocessing; height and width in pixels.
        dtype: that it computes in.
        weights: SHA-256 of the values of all weights, in the model's order.
        is_registered: whether they are the registry's checkpoint, just loaded by its name.
    """

    name: str
    spec: registry.ModelSpec | None
    form: str
    model: keras.Model
    are_logits: bool
    outputs: Outputs
    kind: str
    size: tuple[int, int]
    dtype: str
    weights: str
    is_registered: bool

    def prepare(self, image: tf.Tensor) -> tf.Tensor:
        """(height, width, 3) uint8 -> what the network takes, as TensorFlow ops."""
        return preprocess(image, self.kind, self.size)

    def __call__(self, images: tf.Tensor) -> np.ndarray:
        return np.asarray(self.model.predict_on_batch(images), np.float32)

    @property
    def preprocessing(self) -> str:
        """In words."""
        side = self.size[0] if self.size[0] == self.size[1] else "x".join(map(str, self.size))
        words = IN_WORDS.get(self.kind, "{size}").format(size=side)
        return f"{self.kind}: {words}; one crop"

    @property
    def is_as_published(self) -> bool:
        """Whether the registry's figures are of this network in this form: all its classes, at
        its size and with its preprocessing."""
        spec = self.spec
        return (
            spec is not None
            and self.outputs.is_imagenet
            and len(self.outputs) == spec.num_classes
            and (self.kind, self.size) == (spec.preprocessing, (spec.input_size,) * 2)
        )


def subject_of(
    model: str | os.PathLike | keras.Model,
    *,
    form: str | None = None,
    labels=None,
    preprocessing: str | None = None,
    **load_arguments,
) -> Subject:
    """Gets hold of a network and of what is known of it.

    Raises:
        ArgumentError: it is no classifier of images, or something about it has to be told.
        whatever `zoo.load` and `zoo.load_model` raise.
    """
    if form not in (None, *FORMS):
        raise ArgumentError(
            "There is no such form of a network.",
            received=repr(form),
            accepted=" or ".join(FORMS),
            nearest=nearest_names(str(form), FORMS),
        )
    beside, is_registered = None, False
    if isinstance(model, str | os.PathLike):
        is_registered = not _is_own(os.fspath(model), load_arguments)
        beside = Path(model).expanduser().with_name("labels.txt")
        model = named_or_saved(os.fspath(model), load_arguments)
    elif load_arguments:
        raise ArgumentError(
            "These arguments go with a model's name.", received=", ".join(load_arguments)
        )
    _check_classifier(model)
    facts = _facts(model)
    if labels is None and beside is not None and facts.class_names is None:
        labels = beside if beside.is_file() else None
    spec, classes = facts.spec, model.output_shape[-1]
    outputs = _outputs(labels, facts, classes)
    kind, size = _preprocessing(preprocessing, facts, model)
    weights = _digest(model)
    if form == "native" and runs_tf1_code(model):
        model = to_native(model)
    if form == "shim" and not runs_tf1_code(model):
        raise ArgumentError(
            "This model has no TF1 code any more: it is native.",
            received="form='shim'",
            next_step="leave form out, or load the network by its registered name.",
        )
    return Subject(
        name=facts.name,
        spec=spec,
        form="shim" if runs_tf1_code(model) else "native",
        model=keras.Model(model.inputs, before_softmax(model)),
        are_logits=not gives_probabilities(model),
        outputs=outputs,
        kind=kind,
        size=size,
        dtype=str(model.compute_dtype if facts.dtype is None else facts.dtype),
        weights=weights,
        is_registered=is_registered and spec is not None and spec.checkpoint is not None,
    )


def _is_own(name: str, load_arguments: dict) -> bool:
    """Whether the weights that are loaded may be others than the registry's."""
    others = ("tf1_ckpt", "source", "name_map", "num_classes", "allow_missing")
    own = any(load_arguments.get(key) for key in others) or is_file_or_address(name)
    return own or load_arguments.get("weights", "published") is None


def is_file_or_address(name: str) -> bool:
    """Whether a model is named by a .keras file or by the address of a published one."""
    return name.endswith(".keras") or hub.is_address(name)


def named_or_saved(name: str, load_arguments: dict) -> keras.Model:
    """The model of a registered name, an address or a `.keras` file.

    Raises:
        ArgumentError: a file with arguments, which go with the others alone.
        CheckpointNotFoundError, CheckpointFormatError: there is no such file, or it is damaged.
        whatever `zoo.load` raises.
    """
    if hub.is_address(name) or not name.endswith(".keras"):
        return load(name, **load_arguments)
    given = [key for key, value in load_arguments.items() if value is not None]
    if set(given) - {"progress"}:
        raise ArgumentError(
            "A .keras file has its own weights, and takes no arguments of zoo.load.",
            received=", ".join(given),
        )
    path = Path(name).expanduser()
    if not path.is_file():
        raise CheckpointNotFoundError(f"There is no file {path}.", next_step="Check the path.")
    try:
        return load_model(path)
    except (TypeError, ValueError, OSError, KeyError) as error:  # as Keras says: no such class, ...
        if isinstance(error, CheckpointFormatError):
            raise
        raise CheckpointFormatError(
            f"{path} cannot be loaded as a Keras model of zoo's.",
            received=f"{type(error).__name__}: {str(error).splitlines()[0]}",
            next_step="a model with layers of your own is known to Python alone: pass it to "
            "zoo.evaluate there.",
        ) from error


def _check_classifier(model) -> None:
    good = isinstance(model, keras.Model) and len(getattr(model, "outputs", None) or ()) == 1
    if not good or len(model.inputs) != 1:
        raise ArgumentError(
            "This is no functional model of one input and one output.",
            received=type(model).__name__,
            accepted="a name, an hf:// address, a .keras file, or a model of zoo.load, "
            "zoo.to_native or Keras",
        )
    if len(model.input_shape) != 4 or len(model.output_shape) != 2:
        raise ArgumentError(
            "Accuracy is that of a classifier of images.",
            received=f"inputs of shape {model.input_shape}, outputs of {model.output_shape}",
            accepted="(batch, height, width, channels), and (batch, classes)",
        )
    if isinstance(model, TF1Model) and not has_classifier(model.network):
        raise ArgumentError(
            "This network gives features, not classes.", received=f"outputs {model.output_shape}"
        )


@dataclasses.dataclass(frozen=True)
class _Facts:
    """What a model says of itself; None where it does not."""

    name: str
    spec: registry.ModelSpec | None = None
    kind: str | None = None
    size: int | tuple[int, int] | None = None
    label_offset: int | None = None
    class_names: Sequence[str] | None = None
    dtype: str | None = None


def _facts(model: keras.Model) -> _Facts:
    if isinstance(model, TF1Model):
        config = model.get_config()
        return _Facts(
            name=model.model_name,
            spec=model.spec,
            kind=config["preprocessing"],
            size=config["image_size"],
            label_offset=config["label_offset"],
            class_names=config["class_names"],
            dtype=model.network.compute_dtype,
        )
    name = registered_name(model)
    if name is None:
        return _Facts(name=model.name)
    spec = registry.info(name)
    return _Facts(name, spec, spec.preprocessing, spec.input_size)


def registered_name(model: keras.Model) -> str | None:
    """The registered network that a plain Keras model was, as far as it says: in a file it keeps
    nothing but the name that `zoo.load` gave it."""
    name = getattr(getattr(model, "weight_map", None), "model", None)
    if name is not None:
        return name
    found = [known for known in registry.list_models() if known.replace(".", "_") == model.name]
    return found[0] if len(found) == 1 else None


def _outputs(labels, facts: _Facts, classes: int) -> Outputs:
    offset = facts.label_offset
    if offset is None:
        offset = int(classes == 1001)
    if labels is not None:
        rows = read_labels(labels) if isinstance(labels, str | os.PathLike) else list(labels)
        offset = offset if len(rows) != classes else 0
        return Outputs(labels_of_classes(rows, classes, min(offset, 1)), offset, False)
    if facts.class_names is not None:
        names = [Label(None, name) for name in facts.class_names]
        return Outputs(labels_of_classes(names, classes, 0), 0, False)
    if has_imagenet_size(classes, offset):
        return Outputs(labels_of_classes(None, classes, offset), offset, True)
    made_up = [Label(None, f"class {index}") for index in range(classes)]
    return Outputs(made_up, 0, False, are_named=False)


def _preprocessing(wanted, facts: _Facts, model: keras.Model) -> tuple[str, tuple[int, int]]:
    kind = wanted if wanted is not None else facts.kind
    if kind not in KINDS:
        raise ArgumentError(
            "This model does not say how images are preprocessed for it."
            if kind is None
            else "There is no preprocessing of this kind.",
            received=f"preprocessing={wanted!r}",
            accepted=", ".join(KINDS),
            nearest=nearest_names(str(kind), KINDS),
        )
    sides = model.input_shape[1:3]
    size = sides if None not in sides else facts.size
    if size is None:
        raise ArgumentError(
            "The size of the images is not known.",
            received=f"a model of input shape {model.input_shape}",
            next_step="make the model with an input shape of fixed height and width.",
        )
    return kind, (size, size) if isinstance(size, int) else tuple(size)


def _digest(model: keras.Model) -> str:
    digest = hashlib.sha256()
    for weight in model.weights:
        value = np.ascontiguousarray(keras.ops.convert_to_numpy(weight))
        digest.update(f"{value.dtype}{value.shape}".encode())
        digest.update(value.tobytes())
    return digest.hexdigest()
