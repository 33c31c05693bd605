"""TensorFlow brought in without the lines its C++ code writes while it starts."""

from __future__ import annotations

import os
import sys
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

from zoo.cli.progress import hint, working
from zoo.environment import check_environment


def show_warnings_plainly() -> None:
    """Python's warnings as one line each, without the source line they come from."""
    warnings.showwarning = lambda message, *_where, **_more: hint(f"warning: {message}")


def import_tensorflow(debug: bool) -> None:
    """Imports TensorFlow; with `debug` it may say all it wants to.

    Raises:
        UnsupportedEnvironmentError: zoo cannot work with this TensorFlow or Keras.
    """
    if "tensorflow" in sys.modules:
        return
    if debug:
        import tensorflow  # noqa: F401

        return
    # 3 leaves out everything but fatal errors. It does not reach what is logged before
    # absl::InitializeLog (oneDNN, CUDA), so stderr is held back while the libraries load.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    with _cpp_stderr_held_back(), working("Starting TensorFlow"):
        check_environment()
        import tensorflow as tf
    tf.get_logger().setLevel("ERROR")


@contextmanager
def _cpp_stderr_held_back() -> Iterator[None]:
    """What C++ code writes to file descriptor 2 is dropped, or shown if an exception passes.

    Python's own sys.stderr goes on working.
    """
    python_stderr = sys.stderr
    sys.stderr.flush()
    real = os.dup(2)
    with tempfile.TemporaryFile() as held, os.fdopen(os.dup(real), "w", buffering=1) as direct:
        if _is_descriptor_2(python_stderr):
            sys.stderr = direct
        os.dup2(held.fileno(), 2)
        try:
            yield
        except Exception:
            held.seek(0)
            os.write(real, held.read())
            raise
        finally:
            os.dup2(real, 2)
            os.close(real)
            sys.stderr = python_stderr


def _is_descriptor_2(stream) -> bool:
    try:
        return stream.fileno() == 2
    except (OSError, AttributeError):
        return False
