"""What is validated: a model by its name or one that the caller has, and its original's values."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from zoo import loading, registry
from zoo.errors import ArgumentError
from zoo.model import TF1Model
from zoo.registry import ModelSpec
from zoo.shim import DeterministicRandomTestTool, skip_initializers
from zoo.validation import recipe
from zoo.validation.equivalence import original_values

RULE = "rule"

_POLICIES = {"float32": "float32", "bfloat16": "mixed_bfloat16", "float16": "mixed_float16"}


@dataclass
class Subject:
    """A model to be validated.

    Attributes:
        model: as its users have it.
        trainee: the same with dropout off and nothing frozen, which three steps are taken on;
            the model itself where it was made for this.
        weights: `RULE`, or the checkpoint.
        spec: the registry's row.
        is_drawn: whether the model's values are still those that its initializers drew, by a
            `DeterministicRandomTestTool` of mode "constant".
        read_values: gives the values that the original is to have, by TF1 name.
    """

    model: TF1Model
    trainee: TF1Model
    weights: str
    spec: ModelSpec
    is_drawn: bool
    read_values: Callable[[], dict[str, np.ndarray]]

    @property
    def golden(self) -> str | None:
        """Name of the recorded values that hold for the model."""
        return self.spec.golden if self.weights == RULE else None

    def fill(self) -> dict[str, np.ndarray]:
        """The original's values; the model has them too then."""
        values = self.read_values()
        if self.is_drawn:
            for name, variable in self.model.tf1_variables.items():
                variable.assign(values[name])
            self.is_drawn = False
        return values


def subject(
    model: TF1Model | str, *, tf1_ckpt: str | os.PathLike | None = None, dtype: str = "float32"
) -> Subject:
    """The model of that name, or that model.

    Raises:
        ArgumentError: it is no model of `zoo.load`, or one of another dtype.
        whatever `zoo.load` raises.
    """
    if isinstance(model, str):
        return _by_name(model, tf1_ckpt, dtype)
    if not isinstance(model, TF1Model):
        raise ArgumentError(
            "zoo.validate compares models of zoo.load with their TF1 graphs.",
            received=f"{type(model).__module__}.{type(model).__name__}",
            next_step="pass the model that zoo.to_native was given, with form='native'.",
        )
    if tf1_ckpt is not None:
        raise ArgumentError(
            "A loaded model has its checkpoint already.",
            received=f"tf1_ckpt={tf1_ckpt!r}",
            next_step="pass the model's name, to load it from that checkpoint.",
        )
    if model.network.compute_dtype != dtype:
        raise ArgumentError(
            f"The model computes in {model.network.compute_dtype}.",
            received=f"dtype={dtype!r}",
            next_step=f"pass dtype={model.network.compute_dtype!r}, or load it with "
            f"dtype={_POLICIES[dtype]!r}.",
        )
    path = model.load_report.path if model.load_report else "its own values"
    return Subject(
        model, _trainee(model), str(path), model.spec, False, lambda: original_values(model)
    )


def _by_name(name: str, tf1_ckpt, dtype: str) -> Subject:
    spec = registry.info(name)
    arguments = without_dropout(spec.load_adapter(), dict(spec.arguments))
    policy = _POLICIES[dtype]
    tagged = spec.checkpoint is not None and name == spec.checkpoint.full_name
    if tf1_ckpt is not None or tagged:
        model = loading.load(name, tf1_ckpt=tf1_ckpt, dtype=policy, **arguments)
        weights = str(tf1_ckpt) if tf1_ckpt is not None else name
        return Subject(model, model, weights, spec, False, lambda: original_values(model))
    with DeterministicRandomTestTool(mode="constant").scope():
        model = loading.load(spec.name, weights=None, dtype=policy, **arguments)

    def by_rule() -> dict[str, np.ndarray]:
        shapes = {name: tuple(found.shape) for name, found in model.tf1_variables.items()}
        return {name: recipe.weights(name, shape) for name, shape in shapes.items()}

    return Subject(model, model, RULE, spec, True, by_rule)


def without_dropout(adapter: type, arguments: dict) -> dict:
    """The arguments that switch off what a network drops at random, in training."""
    accepted = adapter.accepted_arguments()
    changed = {}
    if "dropout_keep_prob" in accepted:
        changed["dropout_keep_prob"] = 1.0
    if "config" in accepted:
        nothing = {"dense_dropout_keep_prob": 1.0, "drop_path_keep_prob": 1.0}
        changed["config"] = {**(arguments.get("config") or {}), **nothing}
    return changed


def _trainee(model: TF1Model) -> TF1Model:
    """A copy of the model that is free to be trained, all of it, frozen or not."""
    config = model.get_config()
    changed = without_dropout(type(model.network), model.network.arguments)
    config["network"]["config"].update(changed, trainable=True)
    with skip_initializers():
        copy = TF1Model.from_config(config)
    for name, variable in copy.tf1_variables.items():
        variable.assign(model.tf1_variables[name])
    return copy
