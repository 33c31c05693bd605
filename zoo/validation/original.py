"""The reference: a network's TF1 function as TF1 runs it, in a graph and a Session."""

from __future__ import annotations

import contextlib
from collections.abc import Callable

import numpy as np
import tensorflow as tf

from zoo.shim import DeterministicRandomTestTool, TF1Network
from zoo.shim.normalization import batch_norm_in_plain_arithmetic
from zoo.shim.session import fill_variables
from zoo.validation.losses import total_loss
from zoo.validation.observed import STEPS, Inference, Training, Variable

v1 = tf.compat.v1


class Original:
    """One TF1 graph with the network twice, for inference and for training, on the CPU.

    Random operations draw by a `DeterministicRandomTestTool` of mode "constant".

    Args:
        network: an adapter layer; only its function and arguments are used.
        images: shape of a batch for inference.
        trainee: the same network with dropout off.
        training_images: shape of a batch for training; None for inference alone.
        learning_rate: of gradient descent.
        as_written: whether training is to round as plain Keras does: batch norm in plain
            arithmetic, and not in the fused kernel, and no sum put together otherwise by
            TensorFlow's arithmetic optimizer, which each graph gives other occasions to.
        dtype: to infer in, as TF1 does it: images are cast, and variables, which stay float32, are
            where a layer reads them in that dtype.
        as_eager: whether the gradient of `max_pool3d` is to be by the kernel that eager code gets.

    Attributes:
        variables: TF1 name -> what it is, in the order of creation.
        random_operations: names of operations in the training graph that draw, dropout for one.
    """

    def __init__(
        self,
        network: TF1Network,
        images: tuple[int, ...],
        *,
        trainee: TF1Network,
        training_images: tuple[int, ...] | None = None,
        learning_rate: float = 0.0,
        as_written: bool = False,
        dtype: str = "float32",
        as_eager: bool = False,
    ) -> None:
        self._graph = tf.Graph()
        tool = DeterministicRandomTestTool(mode="constant").scope()
        with self._graph.as_default(), tf.device("/CPU:0"), tool:
            self._images = v1.placeholder(tf.float32, images)
            with _variables_by_the_same_names(_cast_to(dtype)):
                logits, end_points = network.forward(tf.cast(self._images, dtype))
            losses = v1.losses.get_regularization_losses()
            found = (logits, dict(end_points), losses)
            *outputs, losses = tf.nest.map_structure(lambda one: tf.cast(one, tf.float32), found)
            self._inference = (*outputs, tf.add_n([0.0, *losses]))
            self.random_operations: list[str] = []
            if training_images is not None:
                with contextlib.ExitStack() as stack:
                    if as_written:
                        stack.enter_context(batch_norm_in_plain_arithmetic())
                    if as_eager:
                        apart = {"MaxPool3D": APART}
                        stack.enter_context(self._graph.gradient_override_map(apart))
                    self._build_training(trainee, training_images, learning_rate)
            trained = {variable.op.name for variable in v1.trainable_variables()}
            self._all = {variable.op.name: variable for variable in v1.global_variables()}
            initializers = [variable.initializer for variable in self._all.values()]
        self.variables = {
            name: Variable(tuple(variable.shape.as_list()), name in trained)
            for name, variable in self._all.items()
        }
        self._initializers = initializers
        options = v1.ConfigProto()
        if as_written:
            rewriting = options.graph_options.rewrite_options
            rewriting.arithmetic_optimization = rewriting.OFF
        self._session = v1.Session(graph=self._graph, config=options)

    def _build_training(self, network, images, learning_rate) -> None:
        before = set(self._graph.get_operations())
        updates_before = set(v1.get_collection(v1.GraphKeys.UPDATE_OPS))
        self._training_images = v1.placeholder(tf.float32, images)
        self._labels = v1.placeholder(tf.int64, images[:1])
        with _variables_by_the_same_names():
            logits, end_points = network.forward(self._training_images, training=True)
        updates = set(v1.get_collection(v1.GraphKeys.UPDATE_OPS)) - updates_before
        self.random_operations = [
            op.name
            for op in self._graph.get_operations()
            if op not in before and op.type in _DRAWING and "/Initializer/" not in op.name
        ]
        losses = v1.losses.get_regularization_losses()
        loss = total_loss(logits, end_points, self._labels, losses)
        optimizer = v1.train.GradientDescentOptimizer(learning_rate)
        pairs = [
            (gradient, variable)
            for gradient, variable in optimizer.compute_gradients(loss, v1.trainable_variables())
            if gradient is not None
        ]
        gradients = {variable.op.name: gradient for gradient, variable in pairs}
        step = tf.group(optimizer.apply_gradients(pairs), *updates)
        self._training = (loss, gradients, step)

    def initial_values(self) -> dict[str, np.ndarray]:
        """What the initializers draw, by TF1 name. All variables then have those values."""
        self._session.run(self._initializers)
        return self._session.run(self._all)

    def fill(self, value_of: Callable[[str], np.ndarray]) -> None:
        """Gives the variables their values, by TF1 name."""
        fill_variables(self._session, value_of)

    def infer(self, images: np.ndarray) -> Inference:
        """What it makes of images; float32, whatever it was computed in."""
        logits, end_points, loss = self._session.run(self._inference, {self._images: images})
        return Inference(logits, end_points, float(loss))

    def train(self, images: np.ndarray, labels: np.ndarray) -> Training:
        """Three steps. The variables then have other values."""
        given = {self._training_images: images, self._labels: labels}
        losses, gradients, averages = [], {}, {}
        for number in range(STEPS):
            loss, found, _ = self._session.run(self._training, given)
            losses.append(float(loss))
            if number == 0:
                gradients = found
                values = self._session.run(self._all)
                averages = {n: values[n] for n, one in self.variables.items() if not one.trainable}
        return Training(losses, gradients, averages, self._session.run(self._all))

    def close(self) -> None:
        self._session.close()


# Name of a gradient, for `Graph.gradient_override_map`.
APART = "zoo_validation_MaxPool3D_apart"


@tf.RegisterGradient(APART)
def _gradient_apart(operation, gradient):
    """Of `max_pool3d`, by TensorFlow's own kernel, which gives all of it to each of several equal
    values, as in TensorFlow 1.15. oneDNN, which gives it to one, takes both passes of a pool or
    neither: both where the backward pass reads the output of the forward one, and no copy. In eager
    code these are never in one graph."""
    return tf.raw_ops.MaxPool3DGrad(
        orig_input=operation.inputs[0],
        orig_output=tf.raw_ops.DeepCopy(x=operation.outputs[0]),
        grad=gradient,
        **{name: operation.get_attr(name) for name in ("ksize", "strides", "padding")},
        data_format=operation.get_attr("data_format").decode(),
    )


# Operations that dropout and its like draw by.
_DRAWING = (
    "RandomUniform",
    "RandomUniformInt",
    "RandomStandardNormal",
    "TruncatedNormal",
    "StatelessRandomUniform",
    "StatelessRandomUniformV2",
)


@contextlib.contextmanager
def _variables_by_the_same_names(getter: Callable | None = None):
    """Inside, variables are made or, where they are there already, used again; and default scope
    names are numbered from the start, as in a graph of its own."""
    scope = v1.get_variable_scope()
    with v1.variable_scope(scope, reuse=v1.AUTO_REUSE, custom_getter=getter):
        yield


def _cast_to(dtype: str) -> Callable | None:
    """A custom getter: a variable that is asked for in half precision is float32, and cast."""
    if dtype == "float32":
        return None

    def getter(get, name, *args, **arguments):
        if arguments.get("dtype") != dtype:
            return get(name, *args, **arguments)
        return tf.cast(get(name, *args, **{**arguments, "dtype": tf.float32}), dtype)

    return getter
