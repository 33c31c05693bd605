"""`zoo.to_native`: a network of TF1 code as a plain Keras 3 model."""

from __future__ import annotations

from collections.abc import Sequence

import keras
import tensorflow as tf

from zoo.errors import ArgumentError
from zoo.native import convolutions, dropping, normalization, operations
from zoo.native.emitting import Emitter
from zoo.native.folding import folded
from zoo.native.graphs import TracedLayer, variables_of
from zoo.native.merging import merged
from zoo.native.nodes import Node, in_order
from zoo.native.products import with_products
from zoo.native.reading import Reading
from zoo.native.regularizers import as_keras
from zoo.native.stages import Cut, RestOfNetwork, cut_at
from zoo.native.weight_map import WeightMap, unused
from zoo.shim import regularizers, runs_tf1_code

# Groups of operations first.
_READERS = (dropping.reads, normalization.reads, convolutions.reads, operations.reads)


def to_native(
    model: keras.Model,
    *,
    until: str | None = None,
    fold_batch_norm: bool = False,
    training: bool = True,
    name: str | None = None,
) -> keras.Model:
    """A plain Keras 3 functional model that computes what a model of TF1 code computes.

    The network is read off the graph that its TF1 code builds, so any network will do: those
    of the registry, one of `zoo.wrap`, a layer of one's own that is decorated with
    `zoo.shim.track_tf1_style_variables`. Layers have the names of their TF1 scopes, with '-'
    for '/'. Saved to a `.keras` or `.weights.h5` file, the result needs neither zoo nor
    tf-slim nor TensorFlow: it runs on Keras's TensorFlow, JAX and PyTorch backends.

    What the training graph holds besides is kept: dropout, momentum of batch normalization,
    regularizers, trainable flags. Keras's BatchNormalization moves its `moving_variance` by
    the biased variance of a batch, TF1's fused kernel by the unbiased one, which is larger
    by n / (n - 1) for n values a channel.

    Args:
        model: a functional model with at least one layer that runs TF1 code. It stays as it
            is, and the two share no weights.
        until: a TF1 scope that all of the network goes through, such as
            "InceptionV3/Mixed_5b": what comes after stays TF1 code, in one layer.
        fold_batch_norm: batch normalization becomes part of the layer before it, where that is
            linear, and a convolution over the whole of its input a Dense layer. Faster, and for
            inference alone.
        training: False leaves out what matters in training alone, and serves networks whose
            training graph is another network.
        name: of the result; the model's own by default.

    Returns:
        A functional `keras.Model`. Its attribute `weight_map`, a `zoo.native.WeightMap`, has
        the TF1 name of each weight.

    Raises:
        ConversionError: an operation of the graph has no counterpart in Keras.
        ArgumentError: the model holds no TF1 code, or `until` names no such scope.

    Example:
        >>> native = zoo.to_native(zoo.load("inception_v3"))
        >>> native.save("inception_v3.keras")
    """
    functional = _functional(model)
    conversion = _Conversion(functional, until, fold_batch_norm, training)
    native = keras.models.clone_model(
        functional,
        clone_function=conversion.clone,
        call_function=conversion.call,
        recursive=True,
    )
    if name or native.name != model.name:
        native = keras.Model(native.inputs, native.outputs, name=name or model.name)
    conversion.copy_weights()
    native.weight_map = conversion.weight_map(getattr(model, "model_name", None))
    return native


class _Conversion:
    """One call of `to_native`: the layers met on the way, and what became of them."""

    def __init__(self, model, until, fold_batch_norm, training) -> None:
        self._until, self._fold, self._training = until, fold_batch_norm, training
        self._cloned: list[tuple[keras.layers.Layer, keras.layers.Layer]] = []
        self._converted: dict[int, _ConvertedLayer] = {}
        others = [layer for layer in model._flatten_layers() if not runs_tf1_code(layer)]
        self._names = {layer.name for layer in others}
        self._entries: list = []
        self._left_out: list[str] = []

    def clone(self, layer: keras.layers.Layer) -> keras.layers.Layer:
        if runs_tf1_code(layer):
            return layer
        new = layer.__class__.from_config(layer.get_config())
        self._cloned.append((layer, new))
        return new

    def call(self, layer: keras.layers.Layer, *args, **kwargs):
        if not runs_tf1_code(layer) or isinstance(layer, keras.Model):
            return layer(*args, **kwargs)
        given = keras.tree.flatten((args, kwargs))
        inputs = [tensor for tensor in given if isinstance(tensor, keras.KerasTensor)]
        if id(layer) not in self._converted:
            specs = [tf.TensorSpec(tensor.shape, tensor.dtype) for tensor in inputs]
            self._converted[id(layer)] = _ConvertedLayer(
                layer, specs, self._names, self._until, self._fold, self._training
            )
        return self._converted[id(layer)].apply(inputs)

    def copy_weights(self) -> None:
        for old, new in self._cloned:
            if new.weights:
                new.set_weights(old.get_weights())
        for converted in self._converted.values():
            self._entries += converted.fill()
            self._left_out += converted.unused()

    def weight_map(self, model_name: str | None) -> WeightMap:
        return WeightMap(self._entries, self._left_out, model_name)


class _ConvertedLayer:
    """The nodes of one layer of TF1 code, and the Keras layers that are made of them."""

    def __init__(self, layer, specs, taken, until, fold, training) -> None:
        self._inputs = [
            Node("Input", f"input_{number}", shape=tuple(spec.shape))
            for number, spec in enumerate(specs)
        ]
        self._variables = variables_of(layer)
        specs = [tf.TensorSpec(spec.shape, layer.compute_dtype) for spec in specs]
        graph, cut, nodes = self._read(layer, specs, until, training=False)
        self._structure = graph.outputs
        self._rest = cut and RestOfNetwork(layer, cut.scope, specs[0].shape)
        if training and not fold:
            graph, _, with_training = self._read(layer, specs, until, training=True)
            nodes = merged(nodes, with_training, normalization.momenta(graph))
        self._outputs = with_products(folded(nodes)) if fold else nodes
        kept = as_keras(regularizers(layer)) if training and not fold else {}
        trainable = {name: variable.trainable for name, variable in self._variables.items()}
        self._emitter = Emitter(taken, kept, trainable, layer.dtype_policy)

    def _read(self, layer, specs, until, training: bool) -> tuple[TracedLayer, Cut | None, list]:
        """The layer's graph, where it is cut, and the nodes of what comes before."""
        graph = TracedLayer(layer, specs, training=training)
        cut = None if until is None else cut_at(graph, until)
        outputs = tf.nest.flatten(graph.outputs) if cut is None else [cut.tensor]
        return graph, cut, Reading(graph, self._inputs, _READERS).read(outputs)

    def apply(self, tensors: Sequence):
        given = dict(zip(self._inputs, tensors, strict=True))
        results = self._emitter.apply(self._outputs, given)
        if self._rest is not None:
            return self._rest(results[0])
        return tf.nest.pack_sequence_as(self._structure, results)

    def fill(self) -> list:
        return self._emitter.fill(self._outputs, lambda name: self._variables[name].numpy())

    def unused(self) -> list[str]:
        return unused(list(in_order(self._outputs)), self._variables)


def _functional(model) -> keras.Model:
    if not isinstance(model, keras.Model) or not runs_tf1_code(model):
        raise ArgumentError(
            "zoo.to_native converts models that run TF1 code.",
            received=f"{type(model).__module__}.{type(model).__name__}",
            accepted="a model of zoo.load or zoo.wrap, or a functional model with such a layer",
            next_step="for a decorated layer: keras.Model(inputs, layer(inputs)).",
        )
    if isinstance(model, keras.Sequential):
        return keras.Model(model.inputs, model.outputs, name=model.name)
    if not hasattr(model, "_run_through_graph"):
        raise ArgumentError(
            "zoo.to_native converts functional models.",
            received=f"the subclass {type(model).__name__}",
            next_step="inputs = keras.Input(...); keras.Model(inputs, model(inputs)).",
        )
    return model
