"""`zoo.load`: a registered network, with its checkpoint's values, as a Keras model."""

from __future__ import annotations

import inspect
import logging
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from zoo import checkpoints, dialects, hub, identification, registry
from zoo.adopting import adopting
from zoo.errors import ArgumentError, CheckpointMismatchError, nearest_names
from zoo.model import TF1Model, has_classifier, stops_early
from zoo.shim import TF1Network, run_skipped_initializers, skip_initializers, tf1_variables

if TYPE_CHECKING:
    from zoo.training.optimizers import TF1Optimizer

logger = logging.getLogger("zoo")

# What networks need to take images of another size than their own: one set of logits for an image
# of any size, and no auxiliary logits, whose variables are of a shape that goes with the size.
_AT_ANOTHER_SIZE = {"global_pool": True, "create_aux_logits": False}

_CLIP = "(frames, height, width, channels)"


def load(
    name: str,
    *,
    tf1_ckpt: str | Path | None = None,
    source: str | None = None,
    weights: str | None = "published",
    num_classes: int | None = None,
    input_shape: tuple[int | None, ...] | None = None,
    dtype: str | None = None,
    classifier_activation: str | None = "softmax",
    class_names: Sequence[str] | None = None,
    name_map: checkpoints.NameMap | None = None,
    allow_missing: Sequence[str] = (),
    allow_unexpected: Sequence[str] = (),
    resume: bool | TF1Optimizer = False,
    offline: bool | None = None,
    progress: Callable[[int, int, str], None] | None = None,
    **arguments,
) -> TF1Model:
    """A TF1 network by its registered name, as an ordinary Keras model.

    Args:
        name: a registered name, such as "inception_v3", an alias, or a name with the tag
            of one of its checkpoints, "inception_v3.slim_2016_08_28". Or
            "hf://owner/repo[@revision]", where `zoo.publish` put a model: that model, as it
            was; then no other argument but `offline` is taken.
        tf1_ckpt: a checkpoint of one's own, in any form that `zoo.open_checkpoint` reads: a
            path, or an address as in `source`.
        source: another place to take the checkpoint from: "hf://owner/repo[@revision][/file]",
            "https://...", "file://..." or a path. Weights of the same network in timm, Transformers
            or keras.applications are known by their names and shapes: the model is then made as
            they are, without auxiliary logits, and without the background class where they have
            none (1000 classes, index 0 the first label); a warning says so.
        weights: "published" for the published checkpoint (fetched, verified and cached);
            None for random initial values, as the network's TF1 initializers draw them.
        num_classes: a head of that many classes. Where the checkpoint's head has another
            size it is left out, the new one starts from random values, and that is said.
        input_shape: (height, width, channels) if not the registered one, with the frames
            before them for a video network; (None, None, 3) leaves the size free. The
            network's `global_pool` is then switched on, and its auxiliary logits, which fit
            one size, are left out (`create_aux_logits`).
        dtype: a Keras dtype policy: "float32", "mixed_bfloat16", ...
        classifier_activation: "softmax", or None to get logits.
        class_names: names of the classes, for `decode`; ImageNet's if the head is.
        name_map: how the checkpoint's names become the network's.
        allow_missing: scopes or regular expressions of network variables that the
            checkpoint need not have; they start from random values.
        allow_unexpected: the same for names in the checkpoint that the network lacks.
        resume: go on training where TF1 stopped: the model is compiled with the checkpoint's
            optimizer, its slots, moving averages and global_step. True gives it the settings
            that Slim's script has by default; an optimizer of `zoo.training.optimizers` has
            one's own. `zoo.training.resuming` says which loss.
        offline: use the cache alone; None leaves it to ZOO_OFFLINE.
        progress: called as (done, total, name) while variables are read.
        **arguments: the original function's own, by their names: `dropout_keep_prob`,
            `output_stride`, `final_endpoint`, `global_pool`, `weight_decay`, ...

    Returns:
        A `keras.Model` whose output is (batch, num_classes) probabilities, or features
        where the arguments ask for those.

    Raises:
        UnknownModelError: no registered model has this name.
        ArgumentError: the network takes no such argument or value.
        CheckpointNotFoundError, CheckpointFormatError: the checkpoint cannot be read.
        CheckpointMismatchError: it is not this network's; says which one it fits.
        DownloadError: the checkpoint could not be fetched from any of its sources.

    Example:
        >>> model = zoo.load("resnet_v2_50", num_classes=10, dropout_keep_prob=0.5)
    """
    if isinstance(name, str) and hub.is_address(name):
        return _load_published(offline=offline, given=locals())
    spec = registry.info(name)
    if weights not in ("published", None):
        raise ArgumentError(
            "weights is 'published' or None.",
            received=repr(weights),
            next_step="pass a checkpoint of your own as tf1_ckpt=.",
        )
    if source is not None and tf1_ckpt is not None:
        raise ArgumentError(
            "source and tf1_ckpt both name a checkpoint.",
            received=f"source={source!r}, tf1_ckpt={str(tf1_ckpt)!r}",
            next_step="pass one of them.",
        )
    own = source if source is not None else tf1_ckpt
    given = arguments if num_classes is None else {**arguments, "num_classes": num_classes}
    foreign = own and dialects.look_at(own, spec, given=given, offline=offline)
    if foreign:
        arguments = {**foreign.arguments, **arguments}
    network = make_network(spec, num_classes, input_shape, dtype, arguments)
    with skip_initializers():
        model = TF1Model(
            network,
            input_shape or spec.image_shape,
            classifier_activation=classifier_activation,
            model_name=_model_name(spec, published=own is None and weights is not None),
            preprocessing=spec.preprocessing,
            image_size=_preprocessed_size(spec, input_shape),
            label_offset=0 if class_names else (foreign or spec).label_offset,
            class_names=class_names,
            name=spec.name.replace(".", "_"),
        )
    uninitialized = set(tf1_variables(network))
    path, surplus = _find_checkpoint(spec, own, weights, offline)
    if path is None:
        if resume:
            raise ArgumentError(
                "There is no training to resume without a checkpoint.",
                next_step="pass the training directory as tf1_ckpt=.",
            )
        run_skipped_initializers(network, sorted(uninitialized))
        return model
    variables = {name: tuple(found.shape) for name, found in tf1_variables(network).items()}
    with dialects.open_checkpoint(path, spec, variables) as checkpoint:
        model.load_report = fill(
            network,
            checkpoint,
            name_map=name_map or checkpoints.NameMap(),
            allow_missing=allow_missing,
            allow_unexpected=[*allow_unexpected, *surplus, *_scopes_left_out(network)],
            new_head=num_classes is not None,
            progress=progress,
        )
        uninitialized -= set(model.load_report.loaded)
        run_skipped_initializers(network, sorted(uninitialized))
        if resume:
            from zoo.training.resuming import resume_training  # which stands on this module

            resume_training(
                model,
                checkpoint,
                model.load_report.loaded,
                resume,
                from_logits=classifier_activation is None,
                allow_missing=allow_missing,
            )
    return model


def _load_published(*, offline: bool | None, given: dict) -> TF1Model:
    """The model at an address; `given` are the arguments of `load`."""
    from zoo.hub.published import load_published

    usual = inspect.signature(load).parameters
    free = ("name", "offline", "progress", "arguments")
    others = [key for key in given if key not in free and given[key] != usual[key].default]
    if others or given["arguments"]:
        raise ArgumentError(
            "A published model is loaded as it was published.",
            received=", ".join([*others, *given["arguments"]]),
            accepted="offline",
            next_step=f'For its weights alone: zoo.load(NAME, source="{given["name"]}", ...).',
        )
    return load_published(given["name"], offline=offline)


def _model_name(spec, *, published: bool) -> str:
    """With the tag of the published checkpoint where that is what the model holds."""
    return spec.checkpoint.full_name if published and spec.checkpoint else spec.name


def make_network(spec, num_classes, input_shape, dtype, arguments: dict) -> TF1Network:
    """The adapter layer of a registered model, not yet built."""
    adapter = spec.load_adapter()
    accepted = adapter.accepted_arguments()
    for argument in arguments:
        if argument not in accepted:
            raise ArgumentError(
                f"{spec.name} takes no argument {argument!r}.",
                received=f"{argument}={arguments[argument]!r}",
                accepted=", ".join(accepted),
                nearest=nearest_names(argument, accepted),
            )
    merged = {"num_classes": spec.num_classes, **spec.arguments, **arguments}
    if num_classes is not None:
        merged["num_classes"] = num_classes
    if merged["num_classes"] is not None and merged["num_classes"] < 0:
        raise ArgumentError("num_classes is a number of classes, or 0.", received=num_classes)
    if input_shape is not None:
        _check_input_shape(spec, adapter, input_shape)
        if tuple(input_shape[-3:-1]) != spec.image_shape[-3:-1]:
            for argument, value in _AT_ANOTHER_SIZE.items():
                if argument in accepted:
                    merged.setdefault(argument, value)
    return adapter(name=spec.name.replace(".", "_") + "_network", dtype=dtype, **merged)


def fill(
    network: TF1Network,
    checkpoint: checkpoints.Checkpoint,
    *,
    name_map: checkpoints.NameMap,
    allow_missing: Sequence[str] = (),
    allow_unexpected: Sequence[str] = (),
    new_head: bool = False,
    verify: bool = False,
    progress: Callable[[int, int, str], None] | None = None,
) -> checkpoints.LoadReport:
    """Gives a built network the values of an open checkpoint, strictly matched.

    With `new_head`, head variables whose shapes differ keep their own values.
    With `verify`, all of the checkpoint is read once before the first assignment.
    """
    variables = tf1_variables(network)
    match = checkpoints.match(
        checkpoint,
        variables,
        name_map,
        allow_missing=allow_missing,
        allow_unexpected=allow_unexpected,
    )
    replaced = [name for name, *_ in match.wrong_shape if name.startswith(network.head)]
    if new_head and replaced:
        kept = {name: variable for name, variable in variables.items() if name not in replaced}
        logger.warning(
            "The checkpoint's head is left out; the new one starts from random values: %s",
            ", ".join(replaced),
        )
        match = checkpoints.match(
            checkpoint,
            kept,
            name_map,
            allow_missing=allow_missing,
            allow_unexpected=[*allow_unexpected, *network.head],
        )
        variables = kept
    try:
        match.check()
    except CheckpointMismatchError as error:
        raise identification.explain(error, checkpoint, network) from None
    return checkpoints.assign(
        match, checkpoint, adopting(variables), verify=verify, progress=progress
    )


def _scopes_left_out(network: TF1Network) -> list[str]:
    """Scopes of a whole checkpoint that a network without its classifier does not have."""
    if stops_early(network):
        return [network.scope or ".*"]  # the regular expression of every name
    return [] if has_classifier(network) else [*network.head, *network.auxiliary]


def _find_checkpoint(spec, own, weights, offline) -> tuple[str | Path | None, Sequence[str]]:
    """Path of the checkpoint, if any, and the scopes in it that are not the network's."""
    if own is not None:
        return hub.local_path(own, offline=offline), ()
    if weights is None:
        return None, ()
    if spec.checkpoint is None:
        raise ArgumentError(
            f"{spec.name} has no published checkpoint.",
            next_step="pass tf1_ckpt= with one of your own, or weights=None for random values.",
        )
    fetched = hub.fetch(spec.checkpoint, offline=offline)
    path = fetched.path if fetched.member is None else f"{fetched.path}!{fetched.member}"
    return path, fetched.source.surplus


def _check_input_shape(spec, adapter, input_shape) -> None:
    smallest = adapter.minimum_image_size
    *frames, height, width, channels = input_shape if len(input_shape) >= 3 else (0, 0, 0)
    good = len(input_shape) == len(spec.image_shape) and isinstance(channels, int)
    sides = [(height, smallest), (width, smallest), *((count, 1) for count in frames)]
    if not good or any(side is not None and side < least for side, least in sides):
        wanted = "(height, width, channels)" if spec.frames is None else _CLIP
        raise ArgumentError(
            f"{spec.name} does not take {'images' if spec.frames is None else 'clips'} of this "
            "shape.",
            received=f"input_shape={tuple(input_shape)}",
            accepted=f"{wanted}, height and width None or >= {smallest}",
            next_step=f"leave input_shape out for the registered {spec.image_shape}.",
        )


def _preprocessed_size(spec, input_shape) -> int | tuple[int, int]:
    if input_shape is None or None in input_shape[-3:-1]:
        return spec.input_size
    return tuple(input_shape[-3:-1])
