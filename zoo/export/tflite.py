"""A LiteRT (TensorFlow Lite) file, for phones and small machines."""

from __future__ import annotations

import os
import re
import tempfile
from pathlib import Path

import keras
import tensorflow as tf

from zoo.atomic import replacing
from zoo.errors import ArgumentError
from zoo.export.saved_model import write_archive


def to_tflite(model: keras.Model, file: str | os.PathLike, *, quantize: str | None = None) -> Path:
    """Writes a .tflite file.

    Its signature "serving_default" takes `images`, preprocessed and float32 as the model's own
    input, N of them, and gives "probabilities", or what `to_saved_model` calls the output.

    Args:
        model: what `zoo.load` or `zoo.wrap` returned, or a model with one input built on such.
        file: where to; its folder is made if it is not there.
        quantize: None for float32; "dynamic" stores weights as 8-bit integers, a quarter of the
            size, and computes as LiteRT's dynamic-range quantization does: outputs differ a
            little, so look at the accuracy.

    Returns:
        The path of the file.

    Raises:
        ArgumentError: another quantization, or a model that LiteRT's own operations cannot run.
    """
    if quantize not in (None, "dynamic"):
        raise ArgumentError(
            "There is no such quantization.", received=repr(quantize), accepted="None or 'dynamic'"
        )
    file = Path(file)
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary) / "saved_model"
        write_archive(model, folder, preprocessed_only=True)
        converter = tf.lite.TFLiteConverter.from_saved_model(
            os.fspath(folder), signature_keys=["serving_default"]
        )
        if quantize == "dynamic":
            converter.optimizations = [tf.lite.Optimize.DEFAULT]
        try:
            content = converter.convert()
        except Exception as error:  # The converter's own class is not public.
            if type(error).__name__ != "ConverterError":
                raise
            raise ArgumentError(
                f"LiteRT cannot run {model.name} with its own operations.",
                received=", ".join(re.findall(r"^(?:TF Select|Custom) ops: .*", str(error), re.M))
                or None,
                next_step="export it as a SavedModel.",
            ) from error
    file.parent.mkdir(parents=True, exist_ok=True)
    with replacing(file) as (unfinished,):
        unfinished.write_bytes(content)
    return file
