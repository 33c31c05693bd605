"""Throughput of a loaded model against its TF1 graph in a Session and its twin in Keras.

Every side gets the same NumPy batch and gives back NumPy probabilities, so that each pays for
the way in and out that its users pay for, and none has its input folded into a constant.
"""

from __future__ import annotations

import contextlib
import gc
import os
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import keras
import numpy as np
import tensorflow as tf

from zoo import loading, registry
from zoo.benchmarks import twins
from zoo.benchmarks.spread import Spread
from zoo.errors import ArgumentError
from zoo.model import TF1Model

v1 = tf.compat.v1

Predict = Callable[[np.ndarray], np.ndarray]

# What is measured, in this order within a round.
WAYS = {
    "session": "the TF1 function in a tf.Graph, by session.run with a fed batch",
    "function": "the loaded model, called in a tf.function",
    "eager": "the loaded model, called: model(images)",
    "predict": "the loaded model's predict_on_batch",
    "keras": "the twin in keras.applications, called in a tf.function",
}

# (one way, another) -> the least ratio of their throughputs that zoo promises.
TARGETS = {
    ("function", "session"): 0.95,
    ("function", "keras"): 1.0,
    ("eager", "function"): 0.9,
}

MULTIPLYING = ("Conv2D", "DepthwiseConv2dNative", "MatMul")


@dataclass(frozen=True)
class Ratio(Spread):
    """How many times the throughput of another way one way has, taken in each round.

    Attributes:
        cpu: the same of processor time, which a busy machine disturbs less, and which tells
            nothing of how well the cores are kept busy, nor of a GPU.
        target: what the median has to reach.
    """

    cpu: float = 0.0
    target: float = 0.0

    @property
    def met(self) -> bool:
        return self.median >= self.target


@dataclass(frozen=True)
class Throughput:
    """What was measured of one network.

    Attributes:
        model: registered name.
        twin: its twin in keras.applications, or None.
        batch: images in a batch.
        image_size: height and width, pixels.
        parameters: values in all variables of the loaded model.
        multiplications: of one image, in convolutions and matrix products, by way ("session"
            stands for all but "keras").
        seconds: of each round, by way.
        cpu_seconds: the same, of processor time.
        cores: processor cores that this process may use.
    """

    model: str
    twin: str | None
    batch: int
    image_size: int
    parameters: int
    multiplications: dict[str, int]
    seconds: dict[str, list[float]] = field(repr=False)
    cpu_seconds: dict[str, list[float]] = field(repr=False)
    cores: int = 0

    @property
    def ratios(self) -> dict[str, Ratio]:
        """ "function/session" and so on -> ratio of throughputs; above 1 the first is faster."""
        found = {}
        for (one, other), target in TARGETS.items():
            if one in self.seconds and other in self.seconds:
                spread = _per_round(self.seconds[one], self.seconds[other])
                cpu = _per_round(self.cpu_seconds[one], self.cpu_seconds[other]).median
                found[f"{one}/{other}"] = Ratio(**vars(spread), cpu=cpu, target=target)
        return found

    @property
    def met(self) -> bool:
        """Whether every ratio reaches its target."""
        return all(ratio.met for ratio in self.ratios.values())

    def images_per_second(self, way: str) -> float:
        return self.batch / Spread.of(self.seconds[way]).median

    def to_dict(self) -> dict:
        """One flat row, for CSV and JSON; times in milliseconds a batch, multiplications in 1e9."""
        row = {
            "model": self.model,
            "twin": self.twin,
            "batch_size": self.batch,
            "img_size": self.image_size,
            "param_count": self.parameters,
            "gmacs": round(self.multiplications["session"] / 1e9, 3),
            "keras_gmacs": None,
            "cores": self.cores,
            "rounds": len(next(iter(self.seconds.values()))),
        }
        if "keras" in self.multiplications:
            row["keras_gmacs"] = round(self.multiplications["keras"] / 1e9, 3)
        for way in WAYS:
            measured = way in self.seconds
            spread = Spread.of(self.seconds[way]) if measured else None
            row[f"{way}_samples_per_sec"] = round(self.batch / spread.median, 2) if spread else None
            row[f"{way}_step_time"] = round(spread.median * 1e3, 2) if spread else None
        ratios = self.ratios
        for pair in TARGETS:
            ratio = ratios.get("/".join(pair))
            for part in ("median", "low", "high", "cpu"):
                key = "_over_".join(pair) + ("" if part == "median" else f"_{part}")
                row[key] = round(getattr(ratio, part), 3) if ratio else None
        return row


def measure_throughput(
    name: str,
    *,
    batch: int = 16,
    rounds: int = 20,
    progress: Callable[[int, int, str], None] | None = None,
) -> Throughput:
    """Measures a registered network with random values, every way in turn.

    Args:
        name: a registered name.
        batch: images in a batch.
        rounds: how often each way is timed, after two calls that are not.
        progress: called as (done, total, name) after each round.

    Raises:
        UnknownModelError: no registered model has this name.
        ArgumentError: a batch or number of rounds below 1.
        RuntimeError: the ways do not compute the same, or not finite numbers.
    """
    for argument, value in (("batch", batch), ("rounds", rounds)):
        if value < 1:
            raise ArgumentError(f"{argument} is 1 or more.", received=f"{argument}={value}")
    spec = registry.info(name)
    model = loading.load(spec.name, weights=None)
    images = np.random.RandomState(0).uniform(-1, 1, (batch, *model.input_shape[1:]))
    images = images.astype(np.float32)
    twin = twins.find_twin(spec)
    with tf1_session(model, images.shape) as (predict, graph):
        ways: dict[str, Predict] = {"session": predict, **_calls(model)}
        multiplications = {"session": _multiplications(graph) // batch}
        if twin is not None:
            ways["keras"], graph = _compiled(twins.make_twin(spec, twin), images)
            multiplications["keras"] = _multiplications(graph) // batch
        _check_outputs(spec.name, {way: predict(images) for way, predict in ways.items()})
        seconds, cpu_seconds = time_in_turn(
            {way: lambda predict=predict: predict(images) for way, predict in ways.items()},
            rounds,
            lambda done: progress and progress(done, rounds, spec.name),
        )
    return Throughput(
        model=spec.name,
        twin=twin.application if twin else None,
        batch=batch,
        image_size=spec.input_size,
        parameters=model.count_params(),
        multiplications=multiplications,
        seconds=seconds,
        cpu_seconds=cpu_seconds,
        cores=_cores(),
    )


def time_in_turn(
    calls: dict[str, Callable[[], object]],
    rounds: int,
    progress: Callable[[int], object] = lambda done: None,
) -> tuple[dict[str, list[float]], dict[str, list[float]]]:
    """Seconds, and processor seconds, of each call in each round: A B C, B C A, C A B, ...

    A call before the first round warms up.
    """
    for call in calls.values():
        call()
    seconds: dict[str, list[float]] = {name: [] for name in calls}
    cpu_seconds: dict[str, list[float]] = {name: [] for name in calls}
    names = list(calls)
    for done in range(rounds):
        gc.collect()
        first = done % len(names)
        for name in names[first:] + names[:first]:
            start, cpu_start = time.perf_counter(), time.process_time()
            calls[name]()
            seconds[name].append(time.perf_counter() - start)
            cpu_seconds[name].append(time.process_time() - cpu_start)
        progress(done + 1)
    return seconds, cpu_seconds


def _per_round(ours: Sequence[float], theirs: Sequence[float]) -> Spread:
    return Spread.of([b / a for a, b in zip(ours, theirs, strict=True)])


@contextlib.contextmanager
def tf1_session(model: TF1Model, shape: Sequence[int]) -> Iterator[tuple[Predict, tf.Graph]]:
    """The model's function as TF1 runs it, with the model's values: images -> probabilities."""
    with tf.Graph().as_default() as graph:
        placeholder = v1.placeholder(tf.float32, shape)
        logits, _ = model.network.forward(placeholder)
        probabilities = tf.nn.softmax(logits)
        initializers = {v.op.name: v.initializer for v in v1.global_variables()}
    # Outside of `as_default`, or the other ways would run in this graph too.
    with contextlib.closing(v1.Session(graph=graph)) as session:
        values = model.tf1_variables
        # In one run: each new choice of what to run prunes the whole graph anew.
        given = {op.inputs[1]: values[name].numpy() for name, op in initializers.items()}
        session.run(list(initializers.values()), given)
        del given
        yield lambda images: session.run(probabilities, {placeholder: images}), graph


def _calls(model: TF1Model) -> dict[str, Predict]:
    function = tf.function(lambda images: model(images, training=False))
    return {
        "function": lambda images: function(tf.convert_to_tensor(images)).numpy(),
        "eager": lambda images: model(images, training=False).numpy(),
        "predict": model.predict_on_batch,
    }


def _compiled(model: keras.Model, images: np.ndarray) -> tuple[Predict, tf.Graph]:
    function = tf.function(lambda images: model(images, training=False))
    traced = function.get_concrete_function(tf.convert_to_tensor(images))
    return lambda images: function(tf.convert_to_tensor(images)).numpy(), traced.graph


def _multiplications(graph: tf.Graph) -> int:
    """TensorFlow's own count of a graph's floating-point operations, two a multiplication."""
    options = v1.profiler.ProfileOptionBuilder(
        v1.profiler.ProfileOptionBuilder.float_operation()
    ).with_empty_output()
    counted = v1.profiler.profile(graph, cmd="op", options=options.build())
    total, nodes = 0, [counted]
    while nodes:
        node = nodes.pop()
        nodes.extend(node.children)
        if node.name in MULTIPLYING:
            total += node.float_ops
    return total // 2


def _check_outputs(name: str, outputs: dict[str, np.ndarray]) -> None:
    """Speed counts only where the result is right: the ways of one network agree, and nobody's
    time goes into NaNs."""
    reference = outputs["session"]
    for way, output in outputs.items():
        if not np.isfinite(output).all():
            raise RuntimeError(f"{name}: the outputs of {way!r} are not finite numbers.")
        if way != "keras" and not np.allclose(output, reference, rtol=1e-3, atol=1e-6):
            raise RuntimeError(f"{name}: {way!r} gives other probabilities than the Session.")


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
