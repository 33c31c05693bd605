"""Going on where TF1 stopped: global_step, optimizer slots and moving averages of a checkpoint."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable, Mapping, Sequence

import keras

from zoo.checkpoints import Checkpoint, classify
from zoo.checkpoints.names import (
    AUXILIARY,
    GLOBAL_STEP,
    MOVING_AVERAGE,
    OPTIMIZER_SLOT,
    SHADOW,
    in_scopes,
)
from zoo.errors import ArgumentError, CheckpointMismatchError
from zoo.shim import tf1_variables
from zoo.training.optimizers import (
    Adagrad,
    Adam,
    GradientDescent,
    Momentum,
    RMSProp,
    TF1Optimizer,
    with_slims_settings,
)

logger = logging.getLogger("zoo")

_SLOTTED = {"Momentum": Momentum, "RMSProp": RMSProp, "Adam": Adam, "Adagrad": Adagrad}
_SLOT = re.compile(r"([A-Za-z]+(?:_[a-z]+)?)(?:_\d+)?")
_POWERS = ("beta1_power", "beta2_power")


def resume_training(
    model: keras.Model,
    checkpoint: Checkpoint,
    loaded: Mapping[str, str],
    resume: bool | TF1Optimizer,
    *,
    from_logits: bool = True,
    allow_missing: Sequence[str] = (),
) -> None:
    """Compiles a loaded model with the optimizer that its checkpoint was trained with.

    `optimizer.iterations` is the checkpoint's global_step, and so the position of a learning-rate
    schedule; slots and moving averages have the checkpoint's values. Variables that were not
    loaded (a new head) start with initial ones.

    The loss is the one that Slim's train_image_classifier.py minimizes: the mean cross entropy
    of the softmax, for integer labels, and the network's regularization losses, which Keras adds
    by itself. Not part of it is the loss of auxiliary logits. `model.compile(model.optimizer,
    another_loss)` changes the loss and keeps the optimizer's state.

    Args:
        model: its variables hold the checkpoint's values.
        checkpoint: that it was loaded from, still open.
        loaded: name of a variable -> its name in the checkpoint.
        resume: True recognises the kind of optimizer by its slots, and gives it the settings that
            Slim's script has by default; an optimizer of `zoo.training.optimizers` has one's own.
        from_logits: whether the model's outputs are logits; else they are probabilities.
        allow_missing: scopes or regular expressions of slots, as `VARIABLE/Momentum`, or of their
            variables, that the checkpoint need not have.

    Raises:
        ArgumentError: the checkpoint holds no state of training, that of an optimizer of another
            kind, or moving averages where their decay is not given.
        CheckpointMismatchError: slots or moving averages are missing or of another shape.
    """
    if any(source.endswith(f"/{SHADOW}") for source in loaded.values()):
        raise ArgumentError(
            "Training goes on with the variables themselves, not with their moving averages.",
            received="NameMap(moving_average=True)",
        )
    roles = classify(checkpoint.names())
    optimizer = _optimizer(checkpoint, roles, resume)
    variables = {name: v for name, v in tf1_variables(model).items() if name in loaded}
    optimizer.build(model.trainable_variables)
    averages = [name for name, role in roles.items() if role == MOVING_AVERAGE]
    if averages and optimizer.moving_average_decay is not None:
        trained = set(map(id, model.trainable_variables))
        optimizer.average_also(
            variable
            for name, variable in variables.items()
            if id(variable) not in trained and f"{loaded[name]}/{SHADOW}" in averages
        )
    state = optimizer.state_of(variables)
    sources = _match(checkpoint, roles, state, loaded, allow_missing)
    step = _global_step(checkpoint, roles)
    for name, source in sources.items():
        state[name].assign(checkpoint.read(source))
    optimizer.go_to(step)
    if isinstance(optimizer, Adam):
        optimizer.set_powers(*(_power(checkpoint, roles, name) for name in _POWERS))
    auxiliary = [name for name, role in classify(loaded).items() if role == AUXILIARY]
    if auxiliary:
        logger.warning(
            "The compiled loss leaves out that of the auxiliary logits, which Slim's script adds "
            "with weight 0.4: %s, ... train by weight decay alone.",
            auxiliary[0],
        )
    model.compile(optimizer, keras.losses.SparseCategoricalCrossentropy(from_logits=from_logits))
    if resume is True:
        logger.warning(
            "Going on at step %d with %s. A checkpoint does not hold these settings: they are "
            "Slim's defaults. Pass resume=zoo.training.optimizers.%s(...) with your own.",
            step,
            _described(optimizer),
            type(optimizer).__name__,
        )


def _optimizer(checkpoint: Checkpoint, roles: dict, resume: bool | TF1Optimizer) -> TF1Optimizer:
    """The one given, checked against the slots, or the one that the slots tell."""
    if resume is not True and not isinstance(resume, TF1Optimizer):
        raise ArgumentError(
            "`resume` is True or one of zoo's optimizers, which go on from TF1's slots.",
            received=repr(resume),
            accepted=f"zoo.training.optimizers: {', '.join(map(_name, _all_kinds()))}",
        )
    kinds = _kinds(checkpoint, roles)
    if resume is not True:
        if _name(type(resume)) not in kinds:
            raise ArgumentError(
                f"The checkpoint {checkpoint.path} holds the state of another optimizer.",
                received=f"resume={_name(type(resume))}",
                accepted=" or ".join(sorted(kinds)),
            )
        if resume.built:
            raise ArgumentError(
                "The optimizer has been used already.", next_step="pass a new one as resume=."
            )
        optimizer = resume
    elif len(kinds) > 1:
        raise ArgumentError(
            f"The checkpoint {checkpoint.path} holds the slots of several optimizers.",
            received=", ".join(sorted(kinds)),
            next_step="pass the one to go on with as resume=, see zoo.training.optimizers.",
        )
    else:
        optimizer = _with_slims_settings(kinds.pop(), roles)
    if optimizer.moving_average_decay is None and MOVING_AVERAGE in roles.values():
        raise ArgumentError(
            f"The checkpoint {checkpoint.path} has moving averages, and not the decay that they "
            "were kept with.",
            next_step=f"pass resume=zoo.training.optimizers.{_name(type(optimizer))}"
            "(..., moving_average_decay=0.9999), or what TF1 was given; 0 lets them follow the "
            "variables.",
        )
    return optimizer


def _kinds(checkpoint: Checkpoint, roles: dict) -> set[str]:
    """Names of the optimizers whose state the checkpoint holds; one at least."""
    slots = {
        _SLOT.fullmatch(name.rpartition("/")[2])[1]
        for name, role in roles.items()
        if role == OPTIMIZER_SLOT and "_power" not in name.rpartition("/")[2]
    }
    known = slots & set(_SLOTTED)
    if slots and not known:
        raise ArgumentError(
            f"The checkpoint {checkpoint.path} was trained with an optimizer that zoo does not go "
            "on with.",
            received=f"slots named {', '.join(sorted(slots))}",
            accepted=", ".join(map(_name, _all_kinds())),
            next_step="load it without resume=, and compile the model with an optimizer of Keras.",
        )
    if not slots and GLOBAL_STEP not in roles.values():
        raise ArgumentError(
            f"The checkpoint {checkpoint.path} holds nothing to resume: no global_step and no "
            "optimizer slots. It was written without them, as published checkpoints are.",
            next_step="load it without resume=, and compile the model.",
        )
    return known or {"GradientDescent"}


def _with_slims_settings(kind: str, roles: dict) -> TF1Optimizer:
    is_centered = any(name.endswith("/RMSProp_2") for name in roles)
    options = {"centered": is_centered} if kind == "RMSProp" else {}
    return with_slims_settings(_SLOTTED.get(kind, GradientDescent), **options)


def _match(
    checkpoint: Checkpoint,
    roles: dict,
    state: Mapping[str, keras.Variable],
    loaded: Mapping[str, str],
    allow_missing: Sequence[str],
) -> dict[str, str]:
    """Name in `state` -> name in the checkpoint, for all that is not allowed to be missing."""
    sources, missing, wrong_shape = {}, [], []
    held = {name for name, role in roles.items() if role in (OPTIMIZER_SLOT, MOVING_AVERAGE)}
    for name, slot in state.items():
        variable, _, last = name.rpartition("/")
        source = _held_name(f"{loaded[variable]}/{last}", held)
        if source is None:
            if not in_scopes(name, allow_missing):
                missing.append(name)
        elif tuple(checkpoint.shape(source)) != tuple(slot.shape):
            wrong_shape.append((name, tuple(slot.shape), tuple(checkpoint.shape(source))))
        else:
            sources[name] = source
    if missing or wrong_shape:
        raise CheckpointMismatchError(
            f"The checkpoint {checkpoint.path} does not hold the whole state of training: of "
            f"{len(state)} slots and moving averages {len(missing)} are missing and "
            f"{len(wrong_shape)} have another shape.",
            missing=missing,
            wrong_shape=wrong_shape,
            received=", ".join([*missing, *(name for name, *_ in wrong_shape)][:4]),
            next_step="Slots are there for what TF1 trained: name the scopes of the rest with "
            "allow_missing=, and make their variables untrainable or start their slots anew.",
        )
    return sources


def _held_name(name: str, held: set[str]) -> str | None:
    """The name itself, or the one name that has it under a scope of the training loop."""
    if name in held:
        return name
    scoped = [other for other in held if other.endswith(f"/{name}")]
    return scoped[0] if len(scoped) == 1 else None


def _global_step(checkpoint: Checkpoint, roles: dict) -> int:
    """Its value; 0 where training counted no steps."""
    names = [name for name, role in roles.items() if role == GLOBAL_STEP]
    name = "global_step" if "global_step" in names else _only(checkpoint, "global_step", names)
    if name is None:
        logger.warning("The checkpoint has no global_step: the optimizer starts at step 0.")
        return 0
    return int(checkpoint.read(name).item())


def _power(checkpoint: Checkpoint, roles: dict, power: str) -> float:
    names = [name for name in roles if name.rpartition("/")[2] == power]
    name = power if power in names else _only(checkpoint, power, names)
    if name is None:
        raise CheckpointMismatchError(
            f"The checkpoint {checkpoint.path} has Adam's slots and no {power}.", missing=[power]
        )
    return float(checkpoint.read(name).item())


def _only(checkpoint: Checkpoint, what: str, names: list[str]) -> str | None:
    if len(names) > 1:
        raise ArgumentError(
            f"The checkpoint {checkpoint.path} has {len(names)} variables for one {what}.",
            received=", ".join(names),
        )
    return names[0] if names else None


def _described(optimizer: TF1Optimizer) -> str:
    inherited = set(keras.optimizers.Optimizer(0.0).get_config()) - {"learning_rate"}
    settings = {k: v for k, v in optimizer.get_config().items() if k not in inherited}
    shown = [f"{name}={_rounded(value)}" for name, value in settings.items() if value is not None]
    return f"{type(optimizer).__name__}({', '.join(shown)})"


def _rounded(value):
    return float(f"{value:.6g}") if isinstance(value, float) else value


def _all_kinds() -> Iterable[type[TF1Optimizer]]:
    return GradientDescent, *_SLOTTED.values()


def _name(kind: type) -> str:
    return kind.__name__
