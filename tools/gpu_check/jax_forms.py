"""What JAX runs: the native form on Keras's JAX backend, and the TF1 code's own graph."""

from __future__ import annotations

import concurrent.futures
import time
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from gpu_check.bundle import (
    BFLOAT16,
    EXACT,
    INFERENCE,
    TF32,
    TRAINING,
    Bundle,
    Network,
    TrainingCase,
)
from gpu_check.forms import Form, Steps, Timed
from gpu_check.native import as_tf1_moves, native_model, tf1_names
from gpu_check.settings import Setting
from zoo.validation import recipe

_PRECISION = {EXACT: "highest", TF32: "tensorfloat32", BFLOAT16: None}
_LEARNING_RATE = 1e-6  # Small enough for any network to stay finite; the work is the same.


class _JAX(Form):
    """Compiles in threads: XLA leaves Python alone meanwhile."""

    packages = ("jax", "jaxlib", "keras")

    def __init__(self, bundle: Bundle) -> None:
        super().__init__(bundle)
        self._threads = concurrent.futures.ThreadPoolExecutor(4)
        self._compiling: dict[Setting, concurrent.futures.Future] = {}

    def device(self) -> dict[str, str]:
        device = jax.devices()[0]
        return {"kind": device.platform, "name": device.device_kind}

    def prepare(self, setting: Setting) -> None:
        with jax.default_matmul_precision(_PRECISION[setting.dtype]):
            step, arguments, loops = self._step(setting)
            # What a training step gives takes the place of what it took.
            donated = tuple(range(loops))
            lowered = jax.jit(step, donate_argnums=donated).lower(*arguments)
        self._compiling[setting] = self._threads.submit(_compiled, lowered, arguments, loops)

    def finish(self, setting: Setting) -> Timed:
        return self._compiling.pop(setting).result()

    def _step(self, setting: Setting) -> tuple[Callable, tuple, int]:
        """(function, its arguments, how many of the first ones it gives anew, after a loss)."""
        raise NotImplementedError


def _compiled(lowered, arguments: tuple, loops: int) -> Timed:
    start = time.perf_counter()
    compiled = lowered.compile()
    seconds = time.perf_counter() - start
    memory = compiled.memory_analysis()
    held = memory and (
        memory.argument_size_in_bytes
        + memory.output_size_in_bytes
        + memory.temp_size_in_bytes
        - memory.alias_size_in_bytes
    )
    state, rest = list(arguments[:loops]), arguments[loops:]

    def run() -> Any:
        result = compiled(*state, *rest)
        if loops:
            state[:] = result[1:]
            return result[0]
        return result

    return Timed(run, jax.block_until_ready, seconds, held or None)


def _images(network: Network, batch: int, dtype: str) -> jax.Array:
    shape = (batch, *network.image_shape)
    return jax.random.uniform(jax.random.key(0), shape, minval=-1, maxval=1).astype(dtype)


def _labels(network: Network, batch: int) -> jax.Array:
    return jax.random.randint(jax.random.key(1), (batch,), 0, network.classes)


def _compute_dtype(dtype: str) -> str:
    return BFLOAT16 if dtype == BFLOAT16 else "float32"


class Native(_JAX):
    """`zoo.to_native`, jitted."""

    def logits(self, network: Network, dtype: str) -> np.ndarray:
        model = self.native(network, dtype)
        function, trained, others = _inference(model)
        shape = (network.recorded_batch, *network.image_shape)
        with jax.default_matmul_precision(_PRECISION[dtype]):
            return np.asarray(jax.jit(function)(trained, others, recipe.images(shape)), np.float32)

    def three_steps(self, training: TrainingCase) -> Steps:
        model, case = native_model(training), training.case
        function, trained, others = _training(model, case["learning_rate"], with_gradients=True)
        images, labels = recipe.images(case["input_shape"]), jnp.asarray(case["labels"])
        losses, names = [], tf1_names(model, training)
        with jax.default_matmul_precision("highest"):
            step = jax.jit(function)
            for number in range(3):
                loss, trained, others, gradients = step(trained, others, images, labels)
                losses.append(float(loss))
                if number == 0:
                    norms = [float(jnp.linalg.norm(gradient)) for gradient in gradients]
                    first = [np.asarray(value) for value in others]
        averages = {
            names[id(variable)]: value
            for variable, value in zip(model.non_trainable_variables, first, strict=True)
            if id(variable) in names
        }
        return Steps(
            losses,
            dict(zip([names[id(v)] for v in model.trainable_variables], norms, strict=True)),
            as_tf1_moves(model, len(labels), training, averages),
        )

    def _step(self, setting: Setting) -> tuple[Callable, tuple, int]:
        network = self.bundle.by_name[setting.network]
        dtype = _compute_dtype(setting.dtype)
        images = _images(network, setting.batch, dtype)
        if setting.task == INFERENCE:
            function, *values = _inference(self.native(network, setting.dtype))
            return function, (*values, images), 0
        # Values of its own, which the step will use up.
        model = self.native(network, setting.dtype, training=True)
        function, *values = _training(model, _LEARNING_RATE)
        values = _copied(values)
        return function, (*values, images, _labels(network, setting.batch)), 2


def _inference(model) -> tuple[Callable, list, list]:
    def function(trained, others, images):
        return model.stateless_call(trained, others, images, training=False)[0]

    return function, *_values(model)


def _training(model, rate: float, with_gradients: bool = False) -> tuple[Callable, list, list]:
    """Plain gradient descent on the mean cross entropy and the regularization losses."""

    def loss_of(trained, others, images, labels):
        logits, others, losses = model.stateless_call(
            trained, others, images, training=True, return_losses=True
        )
        logits = logits.astype("float32").reshape(len(labels), -1)
        picked = jnp.take_along_axis(jax.nn.log_softmax(logits), labels[:, None], 1)
        return sum(losses, -picked.mean()), others

    def function(trained, others, images, labels):
        (loss, others), gradients = jax.value_and_grad(loss_of, has_aux=True)(
            trained, others, images, labels
        )
        trained = [
            value - rate * gradient for value, gradient in zip(trained, gradients, strict=True)
        ]
        return (loss, trained, others, gradients) if with_gradients else (loss, trained, others)

    return function, *_values(model)


def _values(model) -> tuple[list, list]:
    return (
        [variable.value for variable in model.trainable_variables],
        [variable.value for variable in model.non_trainable_variables],
    )


# In one compilation, not in one for every shape.
_copied = jax.jit(lambda values: jax.tree.map(jnp.copy, values))


class Program(_JAX):
    """The TF1 code's own graph as StableHLO."""

    packages = ("jax", "jaxlib")

    def logits(self, network: Network, dtype: str) -> np.ndarray:
        program = network.program(INFERENCE, dtype, network.recorded_batch)
        images = recipe.images((network.recorded_batch, *network.image_shape))
        images = jnp.asarray(images, _compute_dtype(dtype))
        (logits,) = jax.jit(program.in_jax())(images, _variables(program, {})).values()
        return np.asarray(logits, np.float32)

    def three_steps(self, training: TrainingCase) -> Steps:
        case, program, losses = training.case, training.program(), []
        images, labels = recipe.images(case["input_shape"]), jnp.asarray(case["labels"], "int32")
        variables, step = _variables(program, {}), jax.jit(program.in_jax())
        for number in range(3):
            loss, variables = step(images, labels, variables)
            losses.append(float(loss))
            if number == 0:
                first = {name: value for name, value in variables.items() if "/moving_" in name}
        return Steps(losses, {}, {name: np.asarray(value) for name, value in first.items()})

    def _step(self, setting: Setting) -> tuple[Callable, tuple, int]:
        network = self.bundle.by_name[setting.network]
        program = network.program(*setting[1:])
        function = program.in_jax()
        images = _images(network, setting.batch, program.inputs[0].dtype)
        variables = _variables(program, self._models.setdefault((network.name,), {}))
        if setting.task != TRAINING:
            return lambda variables, images: function(images, variables), (variables, images), 0
        labels = _labels(network, setting.batch).astype("int32")

        def step(variables, images, labels):
            return function(images, labels, variables)

        return step, (_copied(variables), images, labels), 1


def _variables(program, known: dict) -> dict[str, jax.Array]:
    """The recipe's values; those in `known` are taken from there, and new ones added."""
    for tensor in program.variables:
        if tensor.name not in known:
            value = recipe.weights(tensor.name, tensor.shape)
            known[tensor.name] = jnp.asarray(value, tensor.dtype)
    return {tensor.name: known[tensor.name] for tensor in program.variables}
