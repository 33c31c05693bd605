"""An ONNX file, for ONNX Runtime and the many programs that read ONNX."""

from __future__ import annotations

import os
from pathlib import Path

import keras
import tensorflow as tf

from zoo.checkpoints.writing import replacing
from zoo.errors import ArgumentError, UnsupportedEnvironmentError
from zoo.export.saved_model import inference, input_spec

# ONNX Runtime 1.12, of 2022, and later read it (onnxruntime.ai, compatibility).
_OPSET = 17


def to_onnx(model: keras.Model, file: str | os.PathLike) -> Path:
    """Writes an .onnx file.

    It takes `images`, preprocessed and float32 as the model's own input, (N, height, width,
    channels), and gives "probabilities", or what `to_saved_model` calls the output.

    Args:
        model: what `zoo.load` or `zoo.wrap` returned, or a model with one input built on such.
        file: where to; its folder is made if it is not there.

    Returns:
        The path of the file.

    Raises:
        UnsupportedEnvironmentError: tf2onnx, which does it, is not installed.
        ArgumentError: the model has several inputs, or an operation that ONNX has not.
    """
    try:
        import onnx
        import tf2onnx
    except ImportError as error:
        raise UnsupportedEnvironmentError(
            "ONNX files are made by tf2onnx, which is not installed.",
            next_step="`pip install tf2onnx`.",
        ) from error
    spec = input_spec(model)
    function = tf.function(inference(model), input_signature=[spec], autograph=False)
    described, _ = tf2onnx.convert.from_function(function, [spec], opset=_OPSET)
    try:
        onnx.checker.check_model(described)  # tf2onnx leaves in what it cannot convert
    except onnx.checker.ValidationError as error:
        raise ArgumentError(
            f"{model.name} has an operation that ONNX has not.",
            received=str(error).strip().splitlines()[0][:200],
            next_step="export it as a SavedModel.",
        ) from error
    file = Path(file)
    file.parent.mkdir(parents=True, exist_ok=True)
    with replacing(os.fspath(file)) as (unfinished,):
        Path(unfinished).write_bytes(described.SerializeToString())
    return file
