"""Whether batch normalization is frozen here: used as at inference, whatever `training` says.

Keras freezes batch norm with the layer (`layer.trainable = False`); TF1 code does not
know of that flag, so the decorator raises it here and the batch-norm layer looks.
"""

from __future__ import annotations

import contextlib
import contextvars
from collections.abc import Iterator

_frozen = contextvars.ContextVar("batch_norm_is_frozen", default=False)


def is_frozen() -> bool:
    """True inside a decorated layer that is not trainable, and within `batch_norm_is_frozen`."""
    return _frozen.get()


@contextlib.contextmanager
def batch_norm_is_frozen(frozen: bool) -> Iterator[None]:
    """Sets the flag for the TF1 code that runs within, that of decorated layers included."""
    token = _frozen.set(frozen)
    try:
        yield
    finally:
        _frozen.reset(token)
