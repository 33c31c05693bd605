"""Reaching a TPU."""

from __future__ import annotations

import os

import tensorflow as tf

from zoo.errors import UnsupportedEnvironmentError


def tpu_strategy(address: str | None = None) -> tf.distribute.TPUStrategy:
    """Connects to a TPU, starts it and returns its strategy.

    Args:
        address: the TPU's name or "grpc://host:port"; "local" on a TPU VM; None for what the
            environment names (TPU_NAME), or else "local".

    Raises:
        UnsupportedEnvironmentError: there is no TPU at the address, or this TensorFlow was built
            without TPU support, as those of PyPI's `tensorflow` package are.
    """
    resolve = tf.distribute.cluster_resolver.TPUClusterResolver
    try:
        resolver = _resolver_of_the_environment(resolve) if address is None else resolve(address)
        if resolver.master() not in ("", "local"):
            tf.config.experimental_connect_to_cluster(resolver)
        tf.tpu.experimental.initialize_tpu_system(resolver)
        return tf.distribute.TPUStrategy(resolver)
    except (ValueError, RuntimeError, OSError, tf.errors.OpError) as error:
        raise UnsupportedEnvironmentError(
            "No TPU could be started from this process.",
            received=f"{_described(address)}; TensorFlow says: {_first_line(error)}",
            accepted='a TPU VM ("local"), or the name or "grpc://host:port" of a TPU',
            next_step="on a TPU VM install tensorflow-tpu, the build of TensorFlow that has TPU "
            "support, in place of tensorflow; elsewhere train on one device, or on this machine's "
            'GPUs with strategy="mirrored" (tf.distribute.MirroredStrategy).',
        ) from error


def _resolver_of_the_environment(resolve):
    try:
        return resolve()
    except ValueError:
        return resolve("local")


def _described(address: str | None) -> str:
    if address is not None:
        return f"address {address!r}"
    name = os.environ.get("TPU_NAME")
    return f"TPU_NAME={name}" if name else "no address, and no TPU_NAME"


def _first_line(error: Exception) -> str:
    text = str(getattr(error, "message", None) or error)
    return f"{type(error).__name__}: {text.strip().splitlines()[0][:140]}" if text else repr(error)
