"""The forms of a network that are validated, on TensorFlow: its TF1 code in Keras, and the plain
Keras model of `zoo.to_native`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

from zoo.model import TF1Model, load_model
from zoo.native import to_native
from zoo.native.weight_map import weights_of
from zoo.shim import TF1Network, skip_initializers, tf1_variables, track_tf1_style_variables
from zoo.validation.losses import total_loss
from zoo.validation.observed import STEPS, Inference, Training, Variable

MODES = ("eager", "function", "xla")


@track_tf1_style_variables
def run(network: TF1Network, images, training: bool = False):
    """(logits, end points): all that the network makes of images, in one trace."""
    return network.forward(images, training)


class Form:
    """A network in one of its forms, in one mode of execution on one device.

    Args:
        mode: of `MODES`.
        device: "cpu" or "gpu".

    Attributes:
        values: TF1 name -> Keras variable.
        left_out: TF1 names of variables that the form rightly does without.
    """

    values: dict[str, keras.Variable]
    left_out: tuple[str, ...] = ()

    def __init__(self, mode: str, device: str) -> None:
        self._mode, self._device = mode, device
        # Made once: each new one is traced and optimized anew.
        self._everything = self._in_mode(self.everything)

    @property
    def variables(self) -> dict[str, Variable]:
        """TF1 name -> what the variable is."""
        return {
            name: Variable(tuple(variable.shape), variable.trainable)
            for name, variable in self.values.items()
        }

    def value_of(self, name: str) -> np.ndarray:
        return keras.ops.convert_to_numpy(self.values[name])

    def infer(self, images: np.ndarray) -> Inference:
        """What the network makes of a float32 batch."""
        with tf.device(f"/{self._device.upper()}:0"):
            logits, end_points, predictions = self._everything(tf.constant(images))
            regularization = float(sum(map(float, self.losses()), 0.0))
        return Inference(
            _as_float32(logits),
            {name: _as_float32(value) for name, value in end_points.items()},
            regularization,
            None if predictions is None else _as_float32(predictions),
        )

    def output(self, images: np.ndarray) -> np.ndarray:
        """What the model gives its users for a float32 batch, and nothing else."""
        call = self._in_mode(self.predict)
        with tf.device(f"/{self._device.upper()}:0"):
            return _as_float32(call(tf.constant(images)))

    def train(self, images: np.ndarray, labels: np.ndarray, rate: float) -> Training:
        """Three steps of plain gradient descent, after which the variables have other values."""
        names = {id(variable): name for name, variable in self.values.items()}
        trained = [variable for variable in self.values.values() if variable.trainable]

        def step(images, labels):
            with tf.GradientTape() as tape:
                logits, end_points = self.forward(images, training=True)
                loss = total_loss(logits, end_points, labels, self.losses())
            gradients = tape.gradient(loss, trained)
            for variable, gradient in zip(trained, gradients, strict=True):
                if gradient is not None:
                    variable.assign(variable - rate * gradient)
            return loss, gradients

        step = self._in_mode(step)
        losses, first, averages = [], {}, {}
        with tf.device(f"/{self._device.upper()}:0"):
            for number in range(STEPS):
                loss, gradients = step(tf.constant(images), tf.constant(labels))
                losses.append(float(loss))
                if number == 0:
                    first = {
                        names[id(variable)]: gradient.numpy()
                        for variable, gradient in zip(trained, gradients, strict=True)
                        if gradient is not None
                    }
                    averages = {n: self.value_of(n) for n in self._averages()}
        after = {name: self.value_of(name) for name in self.values}
        return Training(losses, first, averages, after, self.unbiased_by(len(images)))

    def everything(self, images):
        """(logits, end points, what the model gives its users), in inference."""
        return (*self.forward(images), self.predict(images))

    def forward(self, images, training: bool = False):
        """(logits, end points by TF1 name)."""
        raise NotImplementedError

    def predict(self, images):
        """What the model gives its users."""
        raise NotImplementedError

    def losses(self) -> list:
        """The regularization losses."""
        raise NotImplementedError

    def reloaded(self, folder: Path) -> Form:
        """The form out of the file that it is saved to."""
        raise NotImplementedError

    def unbiased_by(self, batch: int) -> dict[str, tuple[float, float]]:
        """As in `Training`."""
        return {}

    def _averages(self) -> list[str]:
        return [name for name, variable in self.values.items() if not variable.trainable]

    def _in_mode(self, function: Callable) -> Callable:
        if self._mode == "eager":
            return function
        return tf.function(function, autograph=False, jit_compile=self._mode == "xla")


class Shim(Form):
    """The network's TF1 code inside Keras: a model of `zoo.load`."""

    def __init__(self, model: TF1Model, mode: str = "function", device: str = "cpu") -> None:
        super().__init__(mode, device)
        self.model, self.network = model, model.network
        self.values = tf1_variables(self.network)

    def forward(self, images, training: bool = False):
        images = tf.cast(images, self.network.compute_dtype)
        return run(self.network, images, training=training)

    def predict(self, images):
        return self.model(images, training=False)

    def losses(self) -> list:
        return self.network.losses

    def reloaded(self, folder: Path) -> Shim:
        path = folder / "model.keras"
        self.model.save(path)
        with skip_initializers():
            model = load_model(path)
        return Shim(model, self._mode, self._device)


class Native(Form):
    """The network as a plain Keras model that gives logits and end points.

    Args:
        model: its outputs are the logits and, in their order, the end points.
        names: path of a weight -> TF1 name.
        end_points: TF1 names.
    """

    def __init__(
        self,
        model: keras.Model,
        names: dict[str, str],
        end_points: tuple[str, ...],
        mode: str = "function",
        device: str = "cpu",
    ) -> None:
        super().__init__(mode, device)
        self.model, self.names, self.end_points = model, names, end_points
        weights = weights_of(model)
        self.values = {name: weights[path] for path, name in names.items()}

    @classmethod
    def of(
        cls,
        model: TF1Model,
        image_shape: tuple[int, ...],
        mode: str = "function",
        device: str = "cpu",
    ) -> Native:
        """The native form of a loaded model for images of a shape, without the softmax at its
        end."""
        everything = _Everything(model.network)
        images = keras.Input(image_shape)
        native = to_native(keras.Model(images, everything(images), name=model.name))
        names = {entry.path: entry.tf1[0] for entry in native.weight_map if entry.how == "same"}
        form = cls(native, names, everything.names, mode, device)
        form.left_out = native.weight_map.left_out
        return form

    def forward(self, images, training: bool = False):
        logits, *end_points = self.model(images, training=training)
        return logits, dict(zip(self.end_points, end_points, strict=True))

    def everything(self, images):
        return (*self.forward(images), None)

    def predict(self, images):
        return self.forward(images)[0]

    def losses(self) -> list:
        return self.model.losses

    def reloaded(self, folder: Path) -> Native:
        path = folder / "native.keras"
        self.model.save(path)
        model = keras.saving.load_model(path)
        return Native(model, self.names, self.end_points, self._mode, self._device)

    def unbiased_by(self, batch: int) -> dict[str, tuple[float, float]]:
        return unbiased_by(self.model, self.names, batch)


class _Everything(keras.layers.Layer):
    """Logits and end points of a network, as one layer.

    Attributes:
        names: of the end points, in inference; a network may have more of them in training.
    """

    def __init__(self, network: TF1Network) -> None:
        super().__init__(name="everything", dtype=network.dtype_policy)
        self.network, self.names = network, None

    def call(self, images, training=False):
        logits, end_points = run(self.network, images, training=training)
        if self.names is None:
            self.names = tuple(end_points)
        return [logits, *(end_points[name] for name in self.names)]


def unbiased_by(
    model: keras.Model, names: dict[str, str], batch: int
) -> dict[str, tuple[float, float]]:
    """As in `Training`: TF1's fused kernel, which takes batches of images, moves the average by
    the unbiased variance, n / (n - 1) times the biased one, which Keras takes, and TF1's plain
    arithmetic on clips too.

    Args:
        names: path of a weight -> TF1 name.
    """
    found = {}
    for layer in model.layers:
        if isinstance(layer, keras.layers.BatchNormalization) and len(layer.input.shape) == 4:
            count = batch * int(np.prod(layer.input.shape[1:-1]))
            name = names.get(f"{layer.name}/moving_variance")
            if name is not None and count > 1:
                found[name] = 1 / (count - 1), 1 - layer.momentum
    return found


def _as_float32(tensor) -> np.ndarray:
    return np.asarray(tf.cast(tensor, tf.float32))
