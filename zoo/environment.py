"""What zoo asks of the Python process it runs in, checked once, before TensorFlow code is met."""

from __future__ import annotations

import os
import re
from importlib import metadata

from zoo.errors import UnsupportedEnvironmentError

# tensorflow.python.layers, which tf-slim stands on, and Keras 3's TensorFlow backend as
# zoo.shim uses it are there from these releases on.
OLDEST_TENSORFLOW = (2, 18)
OLDEST_KERAS = (3, 6)


def check_environment() -> None:
    """Raises UnsupportedEnvironmentError, naming the line to change, where zoo cannot work."""
    if os.environ.get("TF_USE_LEGACY_KERAS", "").lower() in ("1", "true"):
        raise UnsupportedEnvironmentError(
            "TF_USE_LEGACY_KERAS replaces Keras 3 by tf_keras, and zoo builds on Keras 3.",
            received=f"TF_USE_LEGACY_KERAS={os.environ['TF_USE_LEGACY_KERAS']}",
            next_step="unset it before Python starts: `unset TF_USE_LEGACY_KERAS`.",
        )
    _check_release("tensorflow", OLDEST_TENSORFLOW)
    _check_release("keras", OLDEST_KERAS)
    backend = os.environ.get("KERAS_BACKEND")
    if not backend:  # Else Keras would first import that backend, in vain if it is not there.
        import keras

        backend = keras.backend.backend()
    if backend != "tensorflow":
        raise UnsupportedEnvironmentError(
            "TF1 code runs on Keras's TensorFlow backend alone.",
            received=f"Keras backend {backend!r}",
            accepted="KERAS_BACKEND=tensorflow",
            next_step="set KERAS_BACKEND=tensorflow, or remove `backend` from ~/.keras/keras.json.",
        )


def _check_release(package: str, oldest: tuple[int, int]) -> None:
    wanted = ".".join(map(str, oldest))
    try:
        installed = metadata.version(package)
    except metadata.PackageNotFoundError:
        # A build under another distribution name (tensorflow-cpu, tf-nightly).
        return
    release = tuple(int(part) for part in re.findall(r"\d+", installed)[:2])
    if release < oldest:
        raise UnsupportedEnvironmentError(
            f"This {package} is too old.",
            received=f"{package} {installed}",
            accepted=f"{package} {wanted} or newer",
            next_step=f'`pip install --upgrade "{package}>={wanted}"`.',
        )
