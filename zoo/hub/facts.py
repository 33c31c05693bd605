"""What is known of a model that is to be published: nothing in it is guessed."""

from __future__ import annotations

import platform
import re
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

import keras
import numpy as np

import zoo
from zoo import checkpoints, hub, registry
from zoo.errors import ArgumentError, DownloadError, PublishingError, UnknownModelError, ZooError
from zoo.hub.cache import read_record
from zoo.images import BACKGROUND, Label, imagenet_labels
from zoo.model import TF1Model, has_classifier
from zoo.native import to_native
from zoo.registry import Accuracy, ModelSpec
from zoo.validation import compare_with_tf1_graph, tolerances

IMAGENET_CLASSES = 1000


@dataclass(frozen=True)
class Facts:
    """What the files and the card of a publication are made from.

    Attributes:
        name: full name in the registry; None for a network that is not in it.
        spec: the registry's row, if there is one.
        native: the model in plain Keras.
        tf1: TF1 name -> value of each variable; None where the native model does not have them
            any more (folded batch normalization).
        labels: one for each output; None if they are not known.
        preprocessing: what `preprocess` does, as plain data; None if it is not known.
        accuracies: ("published" or "measured", figures) that hold for just these values.
        origin: where the values come from, as plain data; None if that is not known.
        equivalence: how far the model is from its TF1 graph and from its native form, as
            measured now; None if there is no TF1 graph.
        versions: of what it was made with.
    """

    name: str | None
    spec: ModelSpec | None
    native: keras.Model
    tf1: dict[str, np.ndarray] | None
    labels: list[Label] | None
    preprocessing: dict | None
    accuracies: list[tuple[str, Accuracy]]
    origin: dict | None
    equivalence: dict | None
    versions: dict[str, str]


def facts_of(model: keras.Model) -> Facts:
    """What is known of a model of `zoo.load`, or of one of `zoo.to_native`.

    Raises:
        ArgumentError: it is neither.
        ConversionError: it cannot be made native.
        PublishingError: it is not the TF1 graph's function any more, or its native form is not.
    """
    if isinstance(model, TF1Model):
        return _of_tf1_model(model)
    if getattr(model, "weight_map", None) is not None:
        return _of_native_model(model)
    raise ArgumentError(
        "Only a model of zoo.load, or one of zoo.to_native, can be published.",
        received=type(model).__name__,
        next_step="zoo.to_native makes one of any Keras model that has TF1 code in it.",
    )


def _of_tf1_model(model: TF1Model) -> Facts:
    native = to_native(model)
    spec = model.spec
    config = model.get_config()
    tf1 = {name: _value(variable) for name, variable in model.tf1_variables.items()}
    path = names = None
    if model.load_report is not None:
        path, names = model.load_report.path, model.load_report.loaded
    unchanged = _same_values(tf1.items(), path, names)
    return Facts(
        name=model.model_name,
        spec=spec,
        native=native,
        tf1=tf1,
        labels=_labels(config["class_names"], config["label_offset"], _outputs(model)),
        preprocessing={
            "kind": config["preprocessing"],
            "size": config["image_size"],
            "label_offset": config["label_offset"],
        },
        accuracies=_accuracies(spec) if unchanged and _is_as_published(model, spec) else [],
        origin=_origin(path, unchanged),
        equivalence=_equivalence(model, native, unchanged),
        versions=_versions(),
    )


def _of_native_model(native: keras.Model) -> Facts:
    name = native.weight_map.model
    try:
        spec = registry.info(name) if name else None
    except UnknownModelError:
        spec = None
    try:
        tf1 = dict(native.weight_map.tf1_arrays(native))
    except ZooError:  # not invertible
        tf1 = None
    path = _cached_checkpoint(spec, name)
    unchanged = tf1 is not None and _same_values(tf1.items(), path, None)
    as_published = unchanged and _is_as_published(native, spec)
    known = spec is not None and native.output_shape[-1] == spec.num_classes
    return Facts(
        name=name,
        spec=spec,
        native=native,
        tf1=tf1,
        labels=_labels(None, spec.label_offset, spec.num_classes) if known else None,
        preprocessing={
            "kind": spec.preprocessing,
            "size": spec.input_size,
            "label_offset": spec.label_offset,
        }
        if spec
        else None,
        accuracies=_accuracies(spec) if as_published else [],
        origin=_origin(path, unchanged) if unchanged else None,
        equivalence=None,
        versions=_versions(),
    )


# -- Where the values come from ----------------------------------------------------------------


def _is_as_published(model: keras.Model, spec: ModelSpec | None) -> bool:
    """Whether it is the whole network in the form that accuracy was measured of."""
    if spec is None or spec.checkpoint is None:
        return False
    tagged = getattr(model, "model_name", None) or model.weight_map.model
    return (
        tagged == spec.checkpoint.full_name
        and tuple(model.input_shape[1:]) == tuple(spec.image_shape)
        and model.output_shape[-1] == spec.num_classes
    )


def _cached_checkpoint(spec: ModelSpec | None, name: str | None) -> str | None:
    """The published checkpoint of that name, if this machine has it."""
    if spec is None or spec.checkpoint is None or spec.checkpoint.full_name != name:
        return None
    try:
        fetched = hub.fetch(spec.checkpoint, offline=True, progress=False)
    except DownloadError:
        return None
    return str(fetched.path) if fetched.member is None else f"{fetched.path}!{fetched.member}"


def _same_values(arrays, path: str | None, names: dict[str, str] | None) -> bool:
    """Whether each array is, bit for bit, what the checkpoint holds; False if that is not known."""
    if path is None:
        return False
    try:
        with checkpoints.open_checkpoint(path) as checkpoint:
            for name, value in arrays:
                there = name if names is None else names.get(name)
                if there is None or there not in checkpoint:
                    return False
                if not np.array_equal(checkpoint.read(there).astype(value.dtype), value):
                    return False
    except (ZooError, OSError):
        return False
    return True


def _origin(path: str | None, unchanged: bool) -> dict | None:
    """The checkpoint that a model was loaded from, without its path on this machine."""
    if path is None:
        return None
    file = next(
        (
            found
            for found in (Path(path.partition("!")[0]), Path(f"{path}.index"))
            if found.is_file()
        ),
        None,
    )
    record = read_record(file) if file is not None else None
    origin = {"file": Path(path).name if record is None else file.name, "unchanged": unchanged}
    if record is not None:
        origin |= {"source": record.source, "size": record.size, **record.hashes}
    elif file is not None:
        found = hub.Expected().check(file, str(file))
        origin |= {"file": file.name, "size": found.size, **found.hashes}
    return origin


def base_repository(origin: dict | None) -> str | None:
    """The repository on the Hub that the values come from, if that is where."""
    match = re.match(r"hf://([^/]+/[^/@]+)", (origin or {}).get("source", ""))
    return match[1] if match else None


def _accuracies(spec: ModelSpec) -> list[tuple[str, Accuracy]]:
    checkpoint = spec.checkpoint
    published = [("published", checkpoint.published)] if checkpoint.published else []
    return published + [("measured", accuracy) for accuracy in checkpoint.measured]


def _versions() -> dict[str, str]:
    versions = {"zoo": zoo.__version__, "python": platform.python_version()}
    return versions | {name: metadata.version(name) for name in ("tensorflow", "keras", "tf-slim")}


# -- What it computes --------------------------------------------------------------------------


def _outputs(model: TF1Model) -> int | None:
    """Classes that it tells apart; None for a network without a classifier."""
    return model.output_shape[-1] if has_classifier(model.network) else None


def _labels(own: list[str] | None, offset: int, outputs: int | None) -> list[Label] | None:
    if own is not None:
        return [Label(None, name) for name in own]
    if outputs == IMAGENET_CLASSES + offset:
        return [BACKGROUND] * offset + imagenet_labels()
    return None


def _equivalence(model: TF1Model, native: keras.Model, unchanged: bool) -> dict:
    """Compares the model with the TF1 graph in a Session, and with its native form.

    The graph gets the checkpoint's values where those are the model's, else the model's own.
    A model of lower precision is compared in float32.
    """
    if model.network.compute_dtype != "float32":
        model = _in_float32(model)
        native = to_native(model)
    images = np.concatenate([_noise(model, number) for number in range(2)])
    loaded = model.load_report
    try:
        model.load_report = loaded if unchanged else None
        report = compare_with_tf1_graph(model, images)
    finally:
        model.load_report = loaded
    ours, plain = (keras.ops.convert_to_numpy(each(images)) for each in (model, native))
    difference = float(np.abs(ours - plain).max() / (np.abs(ours).max() or 1))
    if not report.passed or not difference <= tolerances.LOGITS:
        which = "TF1 graph" if not report.passed else "native form"
        raise PublishingError(
            f"The model and its {which} are not the same function; it was not published.",
            received=str(report) if not report.passed else f"outputs differ by {difference:.1e}",
            accepted=f"at most {tolerances.LOGITS:.0e} of the scale",
        )
    native_form = {"difference": difference, "tolerance": tolerances.LOGITS}
    return {"tf1_graph": report.to_dict(), "native": native_form, "images": "2 of uniform noise"}


def _in_float32(model: TF1Model) -> TF1Model:
    config = model.get_config()
    config["network"]["config"]["dtype"] = "float32"
    twin = TF1Model.from_config(config)
    for name, variable in twin.tf1_variables.items():
        variable.assign(model.tf1_variables[name])
    twin.load_report = model.load_report
    return twin


def _noise(model: TF1Model, seed: int) -> np.ndarray:
    sides = zip(model.input_shape[1:], model.spec.image_shape, strict=True)
    shape = [side or registered for side, registered in sides]
    return np.random.RandomState(seed).uniform(-1, 1, (1, *shape)).astype(np.float32)


def _value(variable: keras.Variable) -> np.ndarray:
    return keras.ops.convert_to_numpy(variable)
