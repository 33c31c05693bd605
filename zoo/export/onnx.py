"""An ONNX file, for ONNX Runtime and the many programs that read ONNX."""

from __future__ import annotations

import os
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf
from tensorflow.python.framework import convert_to_constants
from tensorflow.python.util import deprecation

from zoo.atomic import replacing
from zoo.errors import ArgumentError, UnsupportedEnvironmentError
from zoo.export.saved_model import inference, input_spec

# ONNX Runtime 1.12, of 2022, and later read it (onnxruntime.ai, compatibility).
_OPSET = 17

# Elements; what batch norm has is below it, so that tf2onnx sees its constants.
_LARGE = 1 << 12

_MOVES = ("Transpose", "Reshape", "Squeeze", "Unsqueeze")


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
    graph_def, outputs = _frozen(model)
    # tf2onnx copies constants some seventy times: the large ones are kept from it.
    large = _take_out_large_constants(graph_def)
    with deprecation.silence():  # tf2onnx uses what TensorFlow advises against
        described, _ = tf2onnx.convert.from_graph_def(
            graph_def,
            input_names=["images:0", *(f"{name}:0" for name in large)],
            output_names=list(outputs),
            opset=_OPSET,
        )
    _put_in(described.graph, {f"{name}:0": values for name, values in large.items()})
    _name(described.graph, {"images:0": "images", **outputs})
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
    with replacing(file) as (unfinished,):
        unfinished.write_bytes(described.SerializeToString())
    return file


def _frozen(model: keras.Model) -> tuple[tf.compat.v1.GraphDef, dict[str, str]]:
    """The graph with the variables as constants, and its outputs: tensor -> name."""
    run = tf.function(inference(model), input_signature=[input_spec(model)], autograph=False)
    function = run.get_concrete_function()
    names = sorted(function.structured_outputs)  # as tf.nest flattens a dict
    frozen = convert_to_constants.convert_variables_to_constants_v2(function)
    tensors = [tensor.name for tensor in frozen.outputs]
    return frozen.graph.as_graph_def(), dict(zip(tensors, names, strict=True))


def _take_out_large_constants(graph_def: tf.compat.v1.GraphDef) -> dict[str, np.ndarray]:
    """Makes inputs of the large constants; name -> values."""
    large = {}
    for node in graph_def.node:
        if node.op != "Const":
            continue
        values = tf.make_ndarray(node.attr["value"].tensor)
        if values.size < _LARGE:
            continue
        large[node.name] = values
        shape = tf.TensorShape(values.shape).as_proto()
        del node.attr["value"]
        node.op = "Placeholder"
        node.attr["shape"].shape.CopyFrom(shape)
    return large


def _put_in(graph, values: dict[str, np.ndarray]) -> None:
    """Makes constants of the inputs again, in the order of axes that the graph gives them."""
    import onnx.reference

    kept = [given for given in graph.input if given.name not in values]
    del graph.input[:]
    graph.input.extend(kept)
    known = {one.name: onnx.numpy_helper.to_array(one) for one in graph.initializer}
    known.update(values)
    rest = []
    for node in graph.node:
        if node.op_type in _MOVES and all(name in known for name in node.input):
            inputs = {name: known[name] for name in node.input}
            moved = onnx.reference.ReferenceEvaluator(node).run(None, inputs)
            known.update(zip(node.output, moved, strict=True))
        else:
            rest.append(onnx.NodeProto.FromString(node.SerializeToString()))
    used = {name for node in rest for name in node.input}
    del graph.node[:], graph.initializer[:]
    graph.node.extend(rest)
    for name in sorted(used & set(known)):
        values = np.ascontiguousarray(known[name])
        graph.initializer.append(onnx.numpy_helper.from_array(values, name))


def _name(graph, names: dict[str, str]) -> None:
    """Gives inputs and outputs the names that the other forms have."""
    for described in [*graph.input, *graph.output]:
        described.name = names[described.name]
    for node in graph.node:
        for part in (node.input, node.output):
            part[:] = [names.get(name, name) for name in part]
