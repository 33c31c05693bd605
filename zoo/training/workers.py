"""What several workers of one training must agree on: the chief decides, reads and writes."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterable, Iterator

import keras
import numpy as np
import tensorflow as tf

from zoo.errors import ArgumentError, TrainingError, ZooError

# What collective operations raise when another worker is gone.
_LOST = (
    tf.errors.AbortedError,
    tf.errors.CancelledError,
    tf.errors.DeadlineExceededError,
    tf.errors.FailedPreconditionError,
    tf.errors.InternalError,
    tf.errors.UnavailableError,
)

_CHUNK = 1 << 24  # of 4 bytes each, in one collective operation


class Workers:
    """The processes that train together; one, where there is no strategy or no TF_CONFIG.

    All of them call these methods alike and in the same order, as they do training steps.

    Args:
        strategy: of the training; None for one device.

    Attributes:
        count: how many they are.
        is_chief: whether this is the one that writes files.
    """

    def __init__(self, strategy: tf.distribute.Strategy | None = None) -> None:
        self._strategy = strategy
        self.count = 1
        self.is_chief = strategy is None or is_chief(strategy)
        if isinstance(strategy, tf.distribute.MultiWorkerMirroredStrategy):
            jobs = strategy.cluster_resolver.cluster_spec().as_dict()
            self.count = max(1, sum(len(jobs.get(name, ())) for name in ("chief", "worker")))

    @contextlib.contextmanager
    def noticing_losses(self) -> Iterator[None]:
        """Within it, a worker that is gone is a TrainingError for the others."""
        try:
            yield
        except _LOST as error:
            if self.count == 1:
                raise
            raise TrainingError(
                "Another worker is gone, so this one cannot go on.",
                received=f"TensorFlow says: {_what_matters(error.message)}",
                next_step="see what the other workers said, then start all of them again as "
                "before: they go on from the state that the chief saved last.",
            ) from error

    def of_chief(self, make: Callable[[], object]):
        """What `make` gives on the chief, of JSON's types, on all; the others do not call it.

        Raises:
            Exception: what `make` raises; on the others a TrainingError or OSError with its text.
        """
        if self.count == 1:
            return make()
        if not self.is_chief:
            return _result(json.loads(self._bytes_of_chief(None)))
        try:
            answer = {"value": make()}
        except (ZooError, OSError) as error:
            text = str(error) if isinstance(error, ZooError) else error.strerror
            failed = {"error": text, "errno": getattr(error, "errno", None)}
            self._bytes_of_chief(json.dumps(failed).encode())
            raise
        self._bytes_of_chief(json.dumps(answer).encode())
        return answer["value"]

    def any(self, flag: bool) -> bool:
        """Whether the flag is set on any worker."""
        if self.count == 1:
            return flag
        return bool(self._sum(np.array([flag], np.int32))[0])

    def check_alike(self, settings: dict) -> None:
        """Raises ArgumentError on all workers where one was given other settings."""
        theirs = self.of_chief(lambda: settings)
        differing = [key for key in theirs if settings.get(key) != theirs[key]]
        if self.any(bool(differing)):
            raise ArgumentError(
                "The workers were not all given the same.",
                received="; ".join(f"{k}={settings.get(k)}, not {theirs[k]}" for k in differing)
                or "another worker's settings or data differ from these",
                next_step="start every worker with the same arguments, data and seed.",
            )

    def share(self, variables: Iterable[keras.Variable]) -> None:
        """Gives all workers' variables the chief's values, bit for bit."""
        if self.count == 1:
            return
        for variable in variables:
            value = keras.ops.convert_to_numpy(variable)
            if not value.size:
                continue
            data = self._padded(value.tobytes(), value.nbytes)
            if not self.is_chief:
                value = np.frombuffer(data[: value.nbytes], value.dtype).reshape(value.shape)
                variable.assign(value)

    def _bytes_of_chief(self, data: bytes | None) -> bytes:
        length = int(self._sum(np.array([len(data or b"")], np.int32))[0])
        return self._padded(data or b"", length)[:length]

    def _padded(self, data: bytes, length: int) -> bytes:
        """`length` bytes of the chief, and up to 3 more."""
        words = np.zeros(-(-length // 4), np.int32)
        if self.is_chief:
            words.view(np.uint8)[:length] = np.frombuffer(data, np.uint8)
        chunks = [words[i : i + _CHUNK] for i in range(0, len(words), _CHUNK)]
        return b"".join(self._sum(chunk).tobytes() for chunk in chunks)

    def _sum(self, words: np.ndarray) -> np.ndarray:
        """The sum over workers of what each gives, int32. Bits of the chief among zeros stay."""
        here = self._strategy.num_replicas_in_sync // self.count
        values = self._strategy.experimental_distribute_values_from_function(
            lambda context: tf.constant(
                words if context.replica_id_in_sync_group % here == 0 else np.zeros_like(words)
            )
        )
        return self._strategy.reduce(tf.distribute.ReduceOp.SUM, values, axis=None).numpy()


def _what_matters(message: str) -> str:
    """The line that says it: those of an error in a graph begin with where in the code it is."""
    lines = [line.strip() for line in message.splitlines() if line.strip()]
    where = ("Graph execution error", "Detected at", "File ")
    told = [line for line in lines if not line.startswith(where)]
    return (told or ["nothing"])[0][:200]


def is_chief(strategy: tf.distribute.Strategy) -> bool:
    """Whether this process is the one of its strategy's workers that writes files."""
    if not isinstance(strategy, tf.distribute.MultiWorkerMirroredStrategy):
        return True
    resolver = strategy.cluster_resolver
    if resolver.task_type == "worker":
        return resolver.task_id == 0 and "chief" not in resolver.cluster_spec().jobs
    return True


def _result(answer: dict):
    if "error" not in answer:
        return answer["value"]
    if answer["errno"] is not None:
        raise OSError(answer["errno"], f"{answer['error']} (told by the chief worker)")
    raise TrainingError("The chief worker stopped.", received=answer["error"])
