"""Strategies of `tf.distribute` by name, with what each needs checked first."""

from __future__ import annotations

import json
import os

import tensorflow as tf

from zoo.errors import ArgumentError, nearest_names
from zoo.training.tpu import tpu_strategy

STRATEGIES = ("mirrored", "multiworker", "tpu")

_SYNCHRONOUS = (
    tf.distribute.MirroredStrategy,
    tf.distribute.MultiWorkerMirroredStrategy,
    tf.distribute.OneDeviceStrategy,
    tf.distribute.TPUStrategy,
)
_EXAMPLE = (
    'TF_CONFIG=\'{"cluster": {"worker": ["host1:2222", "host2:2222"]}, '
    '"task": {"type": "worker", "index": 0}}\''
)


def strategy_of(given: str | tf.distribute.Strategy | None) -> tf.distribute.Strategy | None:
    """The strategy that is meant.

    Args:
        given: "mirrored" for all GPUs of this machine; "multiworker" for the machines that the
            environment variable TF_CONFIG names, which waits until all of them are there, and
            comes before any other use of TensorFlow; "tpu" for the one that TPU_NAME names or
            this machine has; a synchronous strategy of `tf.distribute`; None for one device.

    Raises:
        ArgumentError: there is no such strategy, or TF_CONFIG is missing or no such thing.
        UnsupportedEnvironmentError: there is no TPU.
    """
    if given is None or isinstance(given, _SYNCHRONOUS):
        return given
    if given == "mirrored":
        return tf.distribute.MirroredStrategy()
    if given == "multiworker":
        return _multiworker()
    if given == "tpu":
        return tpu_strategy()
    raise ArgumentError(
        "There is no strategy of this name.",
        received=repr(given) if isinstance(given, str) else type(given).__name__,
        accepted=f"{', '.join(STRATEGIES)}, or a synchronous strategy of tf.distribute",
        nearest=nearest_names(str(given), STRATEGIES),
    )


def check_batch_size(strategy: tf.distribute.Strategy | None, batch_size: int) -> None:
    """Raises ArgumentError where replicas cannot share batches evenly."""
    replicas = strategy.num_replicas_in_sync if strategy else 1
    if batch_size % replicas:
        raise ArgumentError(
            f"{replicas} replicas share each batch evenly.",
            received=f"batch_size={batch_size}",
            accepted=f"a multiple of {replicas}, which is the rows of all of them together",
        )


def _multiworker() -> tf.distribute.Strategy:
    _check_tf_config()
    try:
        return tf.distribute.MultiWorkerMirroredStrategy()
    except RuntimeError as error:
        raise ArgumentError(
            "Several workers are set up before TensorFlow is used for anything else.",
            received=f"strategy='multiworker'; TensorFlow says: {str(error).splitlines()[0]}",
            next_step="make strategy = tf.distribute.MultiWorkerMirroredStrategy() in the first "
            "lines of the program, and pass it as strategy=.",
        ) from error


def _check_tf_config() -> None:
    try:
        config = json.loads(os.environ["TF_CONFIG"])
        task, cluster = config["task"], config["cluster"]
        cluster[task["type"]][task["index"]]
    except KeyError as error:
        what = "is not set" if error.args == ("TF_CONFIG",) else f"does not say {error.args[0]!r}"
    except (ValueError, TypeError, IndexError):
        what = "is not a task of a cluster, in JSON"
    else:
        return
    raise ArgumentError(
        f"TF_CONFIG, which tells each worker who the others are, {what}.",
        received=f"TF_CONFIG={os.environ.get('TF_CONFIG', '')}",
        accepted=_EXAMPLE,
        next_step="set it for each worker, the same but for the index.",
    )
