"""Back to TensorFlow 1: a training directory, a MetaGraph and a frozen graph."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf
from tensorflow.core.protobuf import meta_graph_pb2
from tensorflow.python.framework import convert_to_constants
from tensorflow.python.framework import meta_graph as meta_graphs
from tensorflow.python.util import deprecation, nest

from zoo import checkpoints
from zoo.atomic import replacing
from zoo.errors import ArgumentError
from zoo.shim import tf1_variables
from zoo.shim.network import TF1Layer
from zoo.shim.session import filled_session
from zoo.training.optimizers import TF1Optimizer

v1 = tf.compat.v1

# TensorFlow 1.15's, from tensorflow/core/public/version.h: the graphs ask for nothing newer.
_PRODUCER = 134

# The name that Slim's export_inference_graph.py gives the images.
_INPUT = "input"


def to_tf1(
    model: keras.Model, folder: str | os.PathLike, *, meta_graph: bool = False, frozen: bool = False
) -> list[Path]:
    """Writes a model as TensorFlow 1.15 takes it up again.

    The folder becomes a training directory: a V2 checkpoint, and the file `checkpoint` that names
    it. The graphs are the original function's, for inference, with its own names of operations;
    images go in at the placeholder "input". What comes out of a registered network is at
    "logits" and "probabilities", of a wrapped function at "output" ("output_NAME" and "output_0"
    for a dict or list of tensors).

    Args:
        model: what `zoo.load` or `zoo.wrap` returned, fine-tuned or not.
        folder: made if it is not there. Files of the same names are replaced.
        meta_graph: writes `CHECKPOINT.meta` for `tf.train.import_meta_graph`, with a saver and
            the signature "serving_default".
        frozen: writes `frozen.pb`, a GraphDef with constants in the variables' places, for
            `tf.import_graph_def`.

    Returns:
        Paths of the files.

    Raises:
        ArgumentError: the model is no such model, or more than that.
    """
    graphs = _TF1Graph.of(model) if meta_graph or frozen else None
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    optimizer = getattr(model, "optimizer", None)
    optimizer = getattr(optimizer, "inner_optimizer", optimizer)  # under mixed_float16
    name = "model.ckpt"
    if isinstance(optimizer, TF1Optimizer):
        name += f"-{optimizer.global_step}"
    files = {}
    if meta_graph:
        files[f"{name}.meta"] = graphs.meta_graph().SerializeToString()
    if frozen:
        files["frozen.pb"] = graphs.frozen(tf1_variables(model)).SerializeToString()
    # Last, since with it the directory's latest checkpoint is this one.
    stated = f'model_checkpoint_path: "{name}"\nall_model_checkpoint_paths: "{name}"\n'
    files["checkpoint"] = stated.encode()
    checkpoints.write(model, folder / name)
    for file, content in files.items():
        with replacing(folder / file) as (temporary,):
            temporary.write_bytes(content)
    return [
        folder / f"{name}.index",
        folder / f"{name}.data-00000-of-00001",
        *map(folder.joinpath, files),
    ]


@dataclass(frozen=True)
class _TF1Graph:
    """A model's inference graph as TensorFlow 1 would have built it.

    Attributes:
        graph: holds the function, with variables of TensorFlow 1's own kind.
        images: the placeholder.
        outputs: name -> tensor.
        roots: further operations that a frozen graph is to keep.
    """

    graph: tf.Graph
    images: tf.Tensor
    outputs: dict[str, tf.Tensor]
    roots: tuple[str, ...]

    @classmethod
    def of(cls, model: keras.Model) -> _TF1Graph:
        layer, has_softmax = _parts(model)
        with tf.Graph().as_default() as graph:
            # Not resource variables: every release of TensorFlow 1 knows the older kind.
            v1.get_variable_scope().set_use_resource(False)
            images = v1.placeholder(tf.float32, model.inputs[0].shape, _INPUT)
            results, end_points = layer.forward(images)
            outputs = _named_outputs(results, has_softmax, layer)
            made = {v.op.name: tuple(v.shape.as_list()) for v in v1.global_variables()}
        wanted = {name: tuple(v.shape) for name, v in tf1_variables(model).items()}
        if made != wanted:
            differing = sorted(set(made.items()) ^ set(wanted.items()))
            raise ArgumentError(
                "Outside of Keras the function makes other variables than inside.",
                received=", ".join(name for name, _ in differing[:4]),
                next_step="names and shapes may depend on nothing but the function's arguments.",
            )
        predictions = end_points.get("Predictions")
        roots = () if predictions is None else (predictions.op.name,)
        return cls(graph, images, outputs, roots)

    def meta_graph(self) -> v1.MetaGraphDef:
        """The graph with a saver, for `tf.train.import_meta_graph`."""
        with self.graph.as_default():
            saver = v1.train.Saver(v1.global_variables())
            keys = v1.GraphKeys
            kept = [keys.GLOBAL_VARIABLES, keys.TRAINABLE_VARIABLES, keys.MODEL_VARIABLES]
            described = v1.train.export_meta_graph(
                saver_def=saver.saver_def, collection_list=kept, strip_default_attrs=True
            )
        signature = described.signature_def["serving_default"]
        signature.method_name = v1.saved_model.signature_constants.PREDICT_METHOD_NAME
        signature.inputs["images"].CopyFrom(_tensor_info(self.images))
        for name, tensor in self.outputs.items():
            signature.outputs[name].CopyFrom(_tensor_info(tensor))
        described.graph_def.versions.producer = _PRODUCER
        return described

    def frozen(self, variables: dict[str, keras.Variable]) -> v1.GraphDef:
        """The graph with the variables' values as constants."""
        names = [tensor.op.name for tensor in self.outputs.values()]
        filled = filled_session(self.graph, lambda name: np.asarray(variables[name]))
        # TensorFlow uses there what it advises against.
        with filled as session, self.graph.as_default(), deprecation.silence():
            frozen = convert_to_constants.convert_variables_to_constants_from_session_graph(
                session, self.graph.as_graph_def(), [*names, *self.roots]
            )
        return _for_tensorflow_1(frozen)


def _parts(model: keras.Model) -> tuple[TF1Layer, bool]:
    """The TF1 layer that is the whole model, and whether a softmax follows it."""
    layers = [layer for layer in model.layers if not isinstance(layer, keras.layers.InputLayer)]
    if layers and isinstance(layers[0], TF1Layer) and hasattr(layers[0], "forward"):
        rest = [getattr(layer, "activation", None) for layer in layers[1:]]
        if not rest or rest == [keras.activations.softmax]:
            return layers[0], bool(rest)
    raise ArgumentError(
        "Only a model that is one TF1 function has a TF1 graph.",
        received=f"{model.name}, of the layers {', '.join(layer.name for layer in layers[:6])}",
        accepted="what zoo.load and zoo.wrap return",
        next_step="export it as a SavedModel.",
    )


def _named_outputs(results, has_softmax: bool, layer: TF1Layer) -> dict[str, tf.Tensor]:
    if has_softmax:
        return {
            "logits": tf.identity(results, "logits"),
            "probabilities": tf.nn.softmax(results, name="probabilities"),
        }
    if tf.is_tensor(results):
        name = "logits" if hasattr(layer, "head") else "output"
        return {name: tf.identity(results, name)}
    paths = nest.flatten_with_joined_string_paths(results)
    named = {f"output_{path.replace('/', '_')}": tensor for path, tensor in paths}
    return {name: tf.identity(tensor, name) for name, tensor in named.items()}


def _tensor_info(tensor: tf.Tensor) -> meta_graph_pb2.TensorInfo:
    return meta_graph_pb2.TensorInfo(
        name=tensor.name,
        dtype=tensor.dtype.as_datatype_enum,
        tensor_shape=tensor.shape.as_proto(),
    )


def _for_tensorflow_1(graph_def: v1.GraphDef) -> v1.GraphDef:
    """The same graph without attributes that are at their defaults: newer releases have more."""
    described = v1.MetaGraphDef(graph_def=graph_def)
    meta_graphs.strip_graph_default_valued_attrs(described)
    described.graph_def.versions.producer = _PRODUCER
    return described.graph_def
