"""The functions that are compiled, and where their arguments and results lie: JAX."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from zoo.programs import StableHLO

# As in zoo.export.stablehlo.
LEARNING_RATE = 0.01


@dataclass(frozen=True)
class Step:
    """A function of (images[, labels], variables) for `jax.jit`.

    Attributes:
        function: gives outputs, or (loss, new variables) for a training step.
        shapes: a `jax.ShapeDtypeStruct` of each argument, a tree of them of the last.
        training: whether it is a training step.
    """

    function: Callable
    shapes: tuple
    training: bool

    def on(self, devices: Sequence[Any]) -> tuple[Any, tuple]:
        """The function as `jax.jit` makes it for these devices, and its arguments' shapes there.

        The batch is divided among the devices, and each has all variables. A training step's new
        variables take the memory of the old ones.
        """
        import jax
        import numpy as np

        mesh = jax.sharding.Mesh(np.array(devices), ("batch",))
        divided = jax.sharding.NamedSharding(mesh, jax.sharding.PartitionSpec("batch"))
        on_each = jax.sharding.NamedSharding(mesh, jax.sharding.PartitionSpec())

        def place(tree, sharding):
            return jax.tree.map(
                lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=sharding), tree
            )

        *batch, variables = self.shapes
        arguments = (*(place(part, divided) for part in batch), place(variables, on_each))
        jitted = jax.jit(
            self.function,
            out_shardings=on_each if self.training else divided,
            donate_argnums=len(batch) if self.training else (),
        )
        return jitted, arguments


def shim_step(file: Path) -> Step:
    """The TF1 code's own graph, from the StableHLO file that was made of it."""
    import jax

    program = StableHLO.read(file)
    shapes = [jax.ShapeDtypeStruct(tensor.shape, tensor.dtype) for tensor in program.inputs]
    count = len(shapes) - len(program.variables)
    names = [tensor.name for tensor in program.variables]
    variables = dict(zip(names, shapes[count:], strict=True))
    return Step(program.in_jax(), (*shapes[:count], variables), program.training)


def native_step(file: Path, batch: int, *, training: bool) -> Step:
    """The plain Keras model in a `.keras` file, in a process whose Keras has the JAX backend.

    A model to train gives logits. The step is that of zoo.export.stablehlo, without auxiliary
    logits, which a plain model has not.
    """
    import jax
    import keras

    model = keras.saving.load_model(file, compile=False)
    groups = (model.trainable_variables, model.non_trainable_variables)
    variables = tuple(
        [jax.ShapeDtypeStruct(variable.shape, variable.dtype) for variable in group]
        for group in groups
    )
    dtype = _compute_dtype(model)
    images = jax.ShapeDtypeStruct((batch, *model.input_shape[1:]), dtype)
    if training:
        labels = jax.ShapeDtypeStruct((batch,), "int32")
        return Step(_training(model), (images, labels, variables), True)
    return Step(_inference(model), (images, variables), False)


def _compute_dtype(model) -> str:
    """That of the first layer with weights: the activation at the end is float32's."""
    return next(layer.compute_dtype for layer in model.layers if layer.weights)


def _inference(model) -> Callable:
    def infer(images, variables):
        outputs, _ = model.stateless_call(*variables, images, training=False)
        return outputs

    return infer


def _training(model) -> Callable:
    import jax
    import jax.numpy as jnp

    def loss_of(trained, others, images, labels):
        logits, others, losses = model.stateless_call(
            trained, others, images, training=True, return_losses=True
        )
        likelihoods = jax.nn.log_softmax(logits.astype(jnp.float32))
        picked = jnp.take_along_axis(likelihoods, labels[:, None], axis=-1)
        return sum(losses, -jnp.mean(picked)), others

    def train(images, labels, variables):
        trained, others = variables
        (loss, others), gradients = jax.value_and_grad(loss_of, has_aux=True)(
            trained, others, images, labels
        )
        trained = jax.tree.map(lambda value, g: value - LEARNING_RATE * g, trained, gradients)
        return loss, (trained, others)

    return train
