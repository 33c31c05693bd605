"""Partitioned variables: several parts in the file, one array to the reader."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import numpy as np

from zoo.checkpoints import tensors
from zoo.checkpoints.checkpoint import Tensor
from zoo.checkpoints.wire import WireError


def join_parts(
    tensor: Tensor,
    slices: Iterable[tensors.Slice],
    read_part: Callable[[tensors.Slice], np.ndarray],
) -> np.ndarray:
    """The whole array from its parts, which must cover it exactly once."""
    ranges = {extents: tensors.resolve_slice(extents, tensor.shape) for extents in slices}
    sizes = [tensors.size_of(tensors.shape_of_slice(part)) for part in ranges.values()]
    if sum(sizes) != tensors.size_of(tensor.shape):
        raise WireError("of a partitioned variable only some parts are stored")
    whole = np.empty(tensor.shape, tensor.dtype)
    covered = np.zeros(tensor.shape, bool)
    for extents, part in ranges.items():
        values = read_part(extents)
        if values.dtype != tensor.dtype:
            raise WireError("a part of a partitioned variable has another dtype than the whole")
        whole[part] = values.reshape(tensors.shape_of_slice(part))
        covered[part] = True
    if not covered.all():
        raise WireError("the parts of a partitioned variable do not make up the whole")
    return whole
