"""What the heads of the networks have in common: pooling, squeezing, stopping early."""

from __future__ import annotations

from collections.abc import Iterable

import tensorflow.compat.v1 as tf

from zoo.errors import ArgumentError, InputShapeError, nearest_names


def reduced_kernel(net: tf.Tensor, size: int, axes=(1, 2)) -> list[int]:
    """A pooling window of `size` x `size`, cut down to the map where that is smaller.

    A map of unknown size is taken to be large enough, as Slim takes it.
    """
    return [size if net.shape[axis] is None else min(size, net.shape[axis]) for axis in axes]


def global_average(net: tf.Tensor, name: str = "global_pool", axes=(1, 2)) -> tf.Tensor:
    """The mean over height and width of a map of any size, known or not: (N, 1, 1, C)."""
    return tf.reduce_mean(net, axes, keepdims=True, name=name)


def squeeze_spatial(logits: tf.Tensor, name: str = "SpatialSqueeze", axes=(1, 2)) -> tf.Tensor:
    """(N, 1, 1, C) -> (N, C).

    Raises:
        ArgumentError: the map is larger than 1 x 1, so there is more than one set of logits.
    """
    size = [logits.shape[axis] for axis in axes]
    if any(extent not in (1, None) for extent in size):
        raise ArgumentError(
            "The logits are a map, so their height and width cannot be squeezed away.",
            received=f"logits of {size[0]} x {size[1]} for these images",
            accepted="logits of 1 x 1",
            next_step="Pass global_pool=True to have one set of logits an image, "
            "or spatial_squeeze=False to have the map.",
        )
    return tf.squeeze(logits, axes, name=name)


def check_map(net: tf.Tensor, size: int, what: str, next_step: str) -> None:
    """Raises InputShapeError if a window of `size` x `size` does not fit into the map."""
    extent = net.shape[1:3]
    if any(known is not None and known < size for known in extent):
        raise InputShapeError(
            f"The images are too small for {what}.",
            received=f"images that make a map of {extent[0]} x {extent[1]} there",
            accepted=f"images that make a map of {size} x {size} or more",
            next_step=next_step,
        )


def check_known_size(net: tf.Tensor, what: str, next_step: str) -> None:
    """Raises InputShapeError if height or width of the map shows only when the model runs."""
    if None in net.shape[1:3].as_list():
        raise InputShapeError(
            f"The weights of {what} go with the size of the images, which is unknown here.",
            accepted="images of known height and width",
            next_step=next_step,
        )


def check_final_endpoint(final_endpoint: str | None, accepted: Iterable[str]) -> None:
    """Raises ArgumentError unless `final_endpoint` is None or one of `accepted`."""
    accepted = list(accepted)
    if final_endpoint is None or final_endpoint in accepted:
        return
    raise ArgumentError(
        "The network has no such end point to stop at.",
        received=f"final_endpoint={final_endpoint!r}",
        accepted=", ".join(accepted),
        nearest=nearest_names(str(final_endpoint), accepted),
    )


def check_depth_multiplier(depth_multiplier: float) -> None:
    """Raises ArgumentError unless `depth_multiplier` is above zero."""
    if depth_multiplier <= 0:
        raise ArgumentError(
            "The depth multiplier scales the number of channels, so it must be above zero.",
            received=f"depth_multiplier={depth_multiplier!r}",
            accepted="a number above 0; 1.0 is the published network",
        )
