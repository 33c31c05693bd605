"""A SavedModel that takes encoded images, for TensorFlow Serving and whatever reads SavedModels."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from pathlib import Path

import keras
import tensorflow as tf

from zoo.errors import ArgumentError
from zoo.model import TF1Model, has_classifier


def to_saved_model(model: keras.Model, folder: str | os.PathLike) -> Path:
    """Writes a SavedModel for inference.

    Signatures, each with the output "probabilities", or "logits", "features" or "output" as the
    model has it:

    - "serving_default", of an image network of zoo's: `image_bytes`, strings of shape (N,), each
      a JPEG, PNG, GIF or BMP file. Decoding and Slim's preprocessing are part of the SavedModel.
    - "preprocessed": `images`, float32 of shape (N, height, width, channels). Of a video network
      or a wrapped function, which come without preprocessing, this is "serving_default" too.

    Args:
        model: what `zoo.load` or `zoo.wrap` returned, or a model with one input built on such.
        folder: must not be there yet, or be empty.

    Returns:
        The folder.

    Raises:
        ArgumentError: something is in the folder, or the model has several inputs.
    """
    folder = Path(folder)
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise ArgumentError(
            "A SavedModel needs a folder of its own.",
            received=f"{folder}, which is not empty" if folder.is_dir() else f"{folder}, a file",
            next_step="name a new folder.",
        )
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{folder.name}.", dir=folder.parent) as temporary:
        written = Path(temporary) / "saved_model"
        write_archive(model, written)
        written.replace(folder)
    return folder


def write_archive(model: keras.Model, folder: Path, *, preprocessed_only: bool = False) -> None:
    """Writes the SavedModel of `to_saved_model`; with `preprocessed_only` none takes files."""
    run = inference(model)

    def run_on_files(image_bytes):
        return run(_preprocessed(model, image_bytes))

    on_images = [input_spec(model)]
    on_files = [tf.TensorSpec([None], tf.string, name="image_bytes")]
    takes_files = isinstance(model, TF1Model) and model.network.image_rank == 4
    archive = keras.export.ExportArchive()
    archive.track(model)
    if takes_files and not preprocessed_only:
        archive.add_endpoint("serving_default", run_on_files, input_signature=on_files)
    else:
        archive.add_endpoint("serving_default", run, input_signature=on_images)
    if not preprocessed_only:
        archive.add_endpoint("preprocessed", run, input_signature=on_images)
    archive.write_out(os.fspath(folder), verbose=False)


def input_spec(model: keras.Model) -> tf.TensorSpec:
    """The model's one input, "images" in every form.

    Raises:
        ArgumentError: the model has several.
    """
    if len(model.inputs) != 1:
        raise ArgumentError(
            "Only a model with one input can be exported.", received=f"{len(model.inputs)} inputs"
        )
    return tf.TensorSpec(tf.TensorShape(model.inputs[0].shape), tf.float32, name="images")


def inference(model: keras.Model) -> Callable:
    """A function of preprocessed images that gives a dict of named outputs."""

    def run(images):
        outputs = model(images, training=False)
        return outputs if isinstance(outputs, dict) else {output_name(model): outputs}

    return run


def output_name(model: keras.Model) -> str:
    """What a single output of the model is called in signatures."""
    if not isinstance(model, TF1Model):
        return "output"
    if not has_classifier(model.network):
        return "features"
    return "logits" if model.get_config()["classifier_activation"] is None else "probabilities"


def _preprocessed(model: TF1Model, image_bytes: tf.Tensor) -> tf.Tensor:
    def one(octets):
        image = tf.io.decode_image(octets, channels=3, expand_animations=False)
        return model.preprocess(tf.ensure_shape(image, [None, None, 3]))

    size = model.get_config()["image_size"]
    height, width = size if isinstance(size, tuple | list) else (size, size)
    spec = tf.TensorSpec([height, width, model.inputs[0].shape[-1]], tf.float32)
    return tf.map_fn(one, image_bytes, fn_output_signature=spec)
