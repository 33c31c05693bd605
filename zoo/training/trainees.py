"""A model as the recipe trains it: logits, not probabilities, and variables by name."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence

import keras

from zoo import registry
from zoo.errors import ArgumentError, nearest_names
from zoo.model import EndPoints, TF1Model, before_softmax
from zoo.model import gives_probabilities as gives_probabilities
from zoo.native.weight_map import weights_of
from zoo.shim import TF1Network, runs_tf1_code, tf1_variables
from zoo.shim.freezing import batch_norm_is_frozen

LOGITS, AUXILIARY = "Logits", "AuxLogits"


class Trainee:
    """What the recipe needs to know of a classifier, be it of TF1 code or plain Keras.

    Args:
        model: a functional model; its variables are the ones that are trained.
        whole: one that shares all of them and has auxiliary logits beside: images -> {"Logits",
            "AuxLogits"}. Models of TF1 code have them within.

    Attributes:
        model: that model.
        whole: the one with all that is trained; the model itself by default.
        variables: TF1 name (or Keras's path where there is none) -> variable, in the order of the
            network.
        num_classes: width of its output.
        auxiliary: scopes of what serves training alone.
        has_auxiliary: whether it has auxiliary logits to train, as Inception V3 has.

    Raises:
        ArgumentError: the model is no functional classifier of images.
    """

    def __init__(self, model: keras.Model, *, whole: keras.Model | None = None) -> None:
        good = isinstance(model, keras.Model) and hasattr(model, "_run_through_graph")
        if not good or len(model.inputs) != 1 or len(model.outputs) != 1:
            raise ArgumentError(
                "Fine-tuning takes a functional model of one input and one output.",
                received=type(model).__name__,
                accepted="a name, a model of zoo.load, zoo.wrap or zoo.to_native, or any "
                "functional keras.Model that classifies images",
            )
        if len(model.input_shape) != 4 or len(model.output_shape) != 2:
            raise ArgumentError(
                "Fine-tuning takes a classifier of images.",
                received=f"inputs of shape {model.input_shape}, outputs of {model.output_shape}",
                accepted="(batch, height, width, channels), and (batch, classes)",
            )
        self.model, self.whole = model, whole or model
        self.variables = _named_variables(self.whole)
        self.num_classes = model.output_shape[-1]
        self._network = next(
            (layer for layer in model._flatten_layers() if isinstance(layer, TF1Network)), None
        )
        self.auxiliary = self._network.auxiliary if self._network else ()
        if whole is not None:
            self.auxiliary = self.spec.load_adapter().auxiliary
        self.has_auxiliary = whole is not None or (
            isinstance(model, TF1Model)
            and any(name.startswith(self.auxiliary) for name in self.variables)
        )

    @property
    def spec(self) -> registry.ModelSpec | None:
        """The registry's facts, if the network is a registered one."""
        name = getattr(self.model, "model_name", None) or getattr(
            getattr(self.model, "weight_map", None), "model", None
        )
        return registry.info(name) if name else None

    def head(self) -> list[str]:
        """Names of the variables that depend on the number of classes."""
        scopes = self._network.head if self._network else ()
        if not scopes and self.spec is not None:
            scopes = self.spec.load_adapter().head
        named = [name for name in self.variables if scopes and name.startswith(scopes)]
        if named:
            return named
        last = [layer for layer in self.model._flatten_layers() if layer.trainable_variables][-1]
        found = {id(variable) for variable in last.trainable_variables}
        return [name for name, variable in self.variables.items() if id(variable) in found]

    def within(self, scopes: Sequence[str]) -> list[str]:
        """Names of the variables in any of the scopes, given with or without the outermost one.

        Raises:
            ArgumentError: a scope has no variable.
        """
        chosen: set[str] = set()
        for scope in scopes:
            inside = [name for name in self.variables if _is_in(name, scope)]
            if not inside:
                raise ArgumentError(
                    "The network has no variable in this scope.",
                    received=scope,
                    nearest=nearest_names(scope, _scopes(self.variables)),
                )
            chosen |= set(inside)
        return [name for name in self.variables if name in chosen]

    def after(self, scope: str) -> list[str]:
        """Names of the variables of this scope and of all that the network makes after it."""
        first = self.within([scope])[0]
        names = list(self.variables)
        return names[names.index(first) :]

    def logits_model(
        self, *, batch_norm_frozen: bool, auxiliary: bool = False, regularized: bool = True
    ) -> keras.Model:
        """A model that shares all variables: images -> float32 logits, or with auxiliary ones a
        dict {"Logits", "AuxLogits"}; with the network's regularization losses or without."""
        if auxiliary and self.whole is not self.model:
            inner = self.whole
        elif auxiliary:
            images = keras.Input(self.model.input_shape[1:])
            inner = keras.Model(images, EndPoints(self._network, [LOGITS, AUXILIARY])(images))
        else:
            inner = keras.Model(self.model.inputs, before_softmax(self.model))
        images = keras.Input(self.model.input_shape[1:], name="images")
        kind = keras.Model if regularized else _Unregularized
        return kind(images, _Logits(inner, batch_norm_frozen)(images), name="logits")

    @contextlib.contextmanager
    def training_only(self, names: Sequence[str], *, batch_norm_frozen: bool) -> Iterator[None]:
        """Within it, these variables alone are trainable; frozen, batch norm has none that are."""
        norms = [
            layer
            for layer in self.whole._flatten_layers()
            if isinstance(layer, keras.layers.BatchNormalization)
        ]
        before = [(one, one.trainable) for one in [*norms, *self.whole.variables]]
        chosen = set(names) - (_of_batch_norm(self.variables) if batch_norm_frozen else set())
        try:
            for norm in norms:
                norm.trainable = not batch_norm_frozen
            trained = {id(self.variables[name]) for name in chosen}
            for variable in self.whole.variables:
                variable.trainable = variable.trainable and id(variable) in trained
            yield
        finally:
            for one, trainable in before:
                one.trainable = trainable

    def regularized(self) -> list[keras.Variable]:
        """The variables that the network has a regularization loss of."""
        return [v for v in self.whole.weights if getattr(v, "regularizer", None) is not None]


class _Unregularized(keras.Model):
    """A functional model that leaves regularization to its optimizer."""

    losses = property(lambda self: [])


class _Logits(keras.layers.Layer):
    """A model's call, with batch norm as at inference if that is frozen."""

    def __init__(self, inner: keras.Model, batch_norm_frozen: bool) -> None:
        super().__init__(dtype="float32", autocast=False)
        self.inner = inner
        self._frozen = batch_norm_frozen

    def call(self, images, training=False):
        frozen = batch_norm_is_frozen(True) if self._frozen else contextlib.nullcontext()
        with frozen:
            outputs = self.inner(images, training=training)
        # In float32 whatever the policy: so is the loss.
        return keras.tree.map_structure(lambda output: keras.ops.cast(output, "float32"), outputs)


def _named_variables(model: keras.Model) -> dict[str, keras.Variable]:
    named = dict(tf1_variables(model)) if runs_tf1_code(model) else {}
    weight_map = getattr(model, "weight_map", None)
    if weight_map is not None:
        weights = weights_of(model)
        named |= {e.tf1[0]: weights[e.path] for e in weight_map if e.how == "same"}
    known = {id(variable) for variable in named.values()}
    return named | {v.path: v for v in model.weights if id(v) not in known}


def _of_batch_norm(names) -> set[str]:
    """Variables of the scopes that have moving averages."""
    scopes = {
        name.rpartition("/")[0]
        for name in names
        if name.endswith(("/moving_mean", "/moving_variance"))
    }
    return {name for name in names if name.rpartition("/")[0] in scopes}


def _is_in(name: str, scope: str) -> bool:
    scope = scope.strip("/")
    _, _, without_outermost = name.partition("/")
    return any(
        given == scope or given.startswith(scope + "/") for given in (name, without_outermost)
    )


def _scopes(names) -> list[str]:
    scopes: dict[str, None] = {}
    for name in names:
        parts = name.split("/")
        scopes.update({"/".join(parts[:count]): None for count in range(1, len(parts))})
        scopes.update({"/".join(parts[1:count]): None for count in range(2, len(parts))})
    return list(scopes)
