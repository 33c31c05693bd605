"""Staged migration: a network that is native up to a point, and TF1 code after it."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable

import keras
import tensorflow as tf

from zoo.errors import ArgumentError, nearest_names
from zoo.native.graphs import TracedLayer, handle_of, variables_of
from zoo.native.reading import clean_scope
from zoo.shim import TF1Layer


@dataclasses.dataclass(frozen=True)
class Cut:
    """A tensor that everything on the way from the input to the outputs goes through.

    Attributes:
        scope: the TF1 scope that it is the result of.
        tensor: it.
    """

    scope: str
    tensor: tf.Tensor


def cut_at(graph: TracedLayer, scope: str) -> Cut:
    """The result of a TF1 scope.

    Args:
        scope: such as "InceptionV3/Mixed_5b"; the network's outermost scope may be left out.

    Raises:
        ArgumentError: no such scope, or not all of the network goes through its result.
    """
    results = _results(graph)
    names = [scope, *(f"{root}/{scope}" for root in {name.split("/")[0] for name in results})]
    name = next((name for name in names if name in results), None)
    if name is None:
        raise ArgumentError(
            "The network has no scope of this name that has one result.",
            received=f"until={scope!r}",
            nearest=[near for name in names for near in nearest_names(name, results)][:3],
        )
    cut = Cut(name, results[name])
    if _goes_past(graph, cut.tensor):
        raise ArgumentError(
            "Not all of the network goes through this scope, so nothing can be cut there.",
            received=f"until={scope!r}",
            accepted=", ".join(_possible(graph, results)),
        )
    return cut


def _possible(graph: TracedLayer, results: dict[str, tf.Tensor]) -> list[str]:
    """The scopes to cut at, each result under its shortest name."""
    shortest: dict[int, str] = {}
    for scope in sorted(results, key=len):
        shortest.setdefault(id(results[scope]), scope)
    outputs = [graph.source(tensor) for tensor in tf.nest.flatten(graph.outputs)]
    whole = {id(tensor) for tensor in outputs}
    return [
        scope
        for scope, tensor in results.items()
        if shortest[id(tensor)] == scope and id(tensor) not in whole
        if not _goes_past(graph, tensor)
    ]


def _results(graph: TracedLayer) -> dict[str, tf.Tensor]:
    """Scope -> the one tensor that leaves it, for scopes with one; in the network's order."""
    outputs = [graph.source(tensor) for tensor in tf.nest.flatten(graph.outputs)]
    of_data = {id(t) for op in graph.depending_on(graph.inputs) for t in op.outputs}
    leaving: dict[str, dict[int, tf.Tensor]] = {}
    for op in graph.operations(outputs):
        for scope in sorted(_scopes(op), key=len):
            leaving.setdefault(scope, {})
        here = _scopes(op)
        for tensor in graph.inputs_of(op):
            for scope in _scopes(tensor.op) - here:
                leaving[scope][id(tensor)] = tensor
    for tensor in outputs:
        for scope in _scopes(tensor.op):
            leaving[scope][id(tensor)] = tensor
    data = {scope: [t for t in ts.values() if id(t) in of_data] for scope, ts in leaving.items()}
    return {scope: tensors[0] for scope, tensors in data.items() if len(tensors) == 1}


def _scopes(op: tf.Operation) -> set[str]:
    """Every scope that an operation is in."""
    parts = clean_scope(op.name).split("/")
    return {"/".join(parts[:depth]) for depth in range(1, len(parts) + 1)}


def _goes_past(graph: TracedLayer, cut: tf.Tensor) -> bool:
    """Whether the outputs can be reached from the input without the tensor."""
    inputs = {id(tensor.op) for tensor in graph.inputs}
    if id(cut.op) in inputs:
        return True
    rest = graph.operations(tf.nest.flatten(graph.outputs), after=cut)
    return any(id(op) in inputs for op in rest)


@keras.saving.register_keras_serializable(package="zoo")
class RestOfNetwork(TF1Layer):
    """What a layer of TF1 code does after one of its scopes: from that scope's result, of shape
    (batch, ...), to the layer's outputs.

    It shares the layer's variables, and has only those that the rest needs; files hold them
    under their TF1 names.

    Args:
        layer: the layer of TF1 code, built.
        scope: the scope that it starts after.
        input_shape: of the layer, (batch, height, width, channels).

    Attributes:
        tf1_variables: TF1 name -> variable, of those that the rest needs.
    """

    def __init__(
        self,
        layer: keras.layers.Layer,
        scope: str,
        input_shape,
        *,
        name: str | None = None,
        **kwargs,
    ) -> None:
        super().__init__(name=name or f"{layer.name}_after_{_last(scope)}", **kwargs)
        self.scope = scope
        self.whole_input_shape = tuple(input_shape)
        # Past __setattr__: not all of the layer's variables are this one's.
        object.__setattr__(self, "_whole", layer)
        used = {name for training in (False, True) for name in self._used(training)}
        self.tf1_variables = {n: v for n, v in variables_of(layer).items() if n in used}
        self._shared = list(self.tf1_variables.values())  # which Keras tracks
        self.trainable = layer.trainable
        self.built = True
        self._functions: dict[bool, Callable] = {}

    def call(self, features, training: bool = False):
        """The layer's outputs, from the scope's result."""
        training = bool(training) and self.trainable
        if training not in self._functions:
            self._functions[training] = tf.function(
                functools.partial(self._copied, training=training), autograph=False
            )
        return self._functions[training](features)

    def _rest(self, training: bool):
        """(graph, what it starts from, what is to be computed: outputs, and updates)."""
        spec = tf.TensorSpec(self.whole_input_shape, self._whole.compute_dtype)
        graph = TracedLayer(self._whole, [spec], training=training)
        cut = cut_at(graph, self.scope).tensor
        updates = [op for op in graph.depending_on([cut]) if op.type.startswith("Assign")]
        return graph, cut, [*tf.nest.flatten(graph.outputs), *updates]

    def _used(self, training: bool) -> set[str | None]:
        """TF1 names of what comes after the cut, auxiliary logits and all: their weights are
        regularized."""
        graph, cut, wanted = self._rest(training)
        operations = [*graph.operations(wanted, after=cut), *graph.depending_on([cut])]
        return {graph.variable(tensor) for op in operations for tensor in op.inputs}

    def _copied(self, features, training: bool):
        """The rest of the graph, copied into the current one."""
        graph, cut, wanted = self._rest(training)
        here = tf.compat.v1.get_default_graph()
        copies = {id(cut): tf.cast(features, cut.dtype)}
        for op in graph.operations(wanted, after=cut):
            name = graph.variable(op.outputs[0]) if op.type == "Placeholder" else None
            if name is not None:
                copies[id(op.outputs[0])] = handle_of(self.tf1_variables[name])
                continue
            copy = here._create_op_internal(
                op.type,
                [copies[id(tensor)] for tensor in graph.inputs_of(op)],
                [tensor.dtype for tensor in op.outputs],
                name=op.name,
                attrs=op.node_def.attr,
                op_def=op.op_def,
            )
            copies |= {id(old): new for old, new in zip(op.outputs, copy.outputs, strict=True)}
        return tf.nest.map_structure(lambda t: copies[id(graph.source(t))], graph.outputs)

    def save_own_variables(self, store) -> None:
        for name, variable in self.tf1_variables.items():
            store[name] = variable.numpy()

    def load_own_variables(self, store) -> None:
        for name, variable in self.tf1_variables.items():
            variable.assign(store[name])

    def get_config(self) -> dict:
        return {
            **super().get_config(),
            "layer": keras.saving.serialize_keras_object(self._whole),
            "scope": self.scope,
            "input_shape": list(self.whole_input_shape),
        }

    @classmethod
    def from_config(cls, config: dict) -> RestOfNetwork:
        layer = keras.saving.deserialize_keras_object(config.pop("layer"))
        layer(keras.Input(batch_shape=config["input_shape"]))
        return cls(layer, **config)


def _last(scope: str) -> str:
    return scope.rpartition("/")[2]
