"""The process in which a native model runs on the Keras backend that KERAS_BACKEND names.

`python -m zoo.validation.backend_worker`, started by backends.py. It imports neither TensorFlow
(but for that backend) nor TF1 code: what is validated is the model that one would deploy.
"""

from __future__ import annotations

import functools
import re
import sys
from pathlib import Path

import numpy as np

from zoo import processes
from zoo.validation.observed import AUXILIARY_LOGITS, AUXILIARY_WEIGHT, STEPS

# Drawing random values costs JAX a compilation for each shape, and they are replaced anyway.
_DRAWN = re.compile(r'"class_name": "GlorotUniform", "config": \{[^}]*\}')


class Worker:
    """The model that it was last told to load, and what the process can be asked to do with it."""

    def __init__(self) -> None:
        self._model = None
        self._names: dict[str, str] = {}
        self._end_points: list[str] = []
        self._mode = "eager"

    def load(
        self,
        config: str,
        weights: str,
        names: dict[str, str],
        end_points: list[str],
        mode: str,
        device: str,
    ) -> dict:
        """Makes the model of a JSON configuration, whose outputs are logits and end points.

        Args:
            names: path of a weight -> TF1 name.
            end_points: TF1 names.
        """
        import keras

        if device != _device():
            return {"device": _device(), "loaded": []}
        text = Path(config).read_text("utf-8")
        self._model = keras.models.model_from_json(
            _DRAWN.sub('"class_name": "Zeros", "config": {}', text)
        )
        self._model.load_weights(weights)
        self._names, self._end_points, self._mode = names, end_points, mode
        loaded = [name for name in ("tensorflow", "tf_slim") if name in sys.modules]
        return {"device": device, "loaded": loaded}

    def variables(self) -> dict:
        found = {
            name: [list(variable.shape), bool(variable.trainable)]
            for name, variable in self._values().items()
        }
        return {"variables": found}

    def infer(self, images: str, to: str) -> dict:
        logits, *others = self._predict(np.load(images, allow_pickle=False))
        arrays = {
            _escaped(f"end point:{name}"): _as_numpy(value)
            for name, value in zip(self._end_points, others, strict=True)
        }
        np.savez(to, logits=_as_numpy(logits), **arrays)
        return {"regularization_loss": float(sum(map(float, self._model.losses), 0.0))}

    def train(self, images: str, labels: list[int], rate: float, to: str) -> dict:
        """Three steps of plain gradient descent; arrays as "KIND:NAME" in one file."""
        batch, classes = np.load(images, allow_pickle=False), np.array(labels)
        values, arrays, losses = self._values(), {}, []
        trained = [name for name, variable in values.items() if variable.trainable]
        for number in range(STEPS):
            loss, gradients = self._gradients(batch, classes, [values[name] for name in trained])
            losses.append(loss)
            for name, gradient in zip(trained, gradients, strict=True):
                if gradient is None:
                    continue
                values[name].assign(values[name] - rate * gradient)
                if number == 0:
                    arrays[f"gradient:{name}"] = _as_numpy(gradient)
            if number == 0:
                averages = (name for name, variable in values.items() if not variable.trainable)
                arrays.update({f"average:{name}": _as_numpy(values[name]) for name in averages})
        arrays.update({f"variable:{name}": _as_numpy(one) for name, one in values.items()})
        np.savez(to, **{_escaped(key): value for key, value in arrays.items()})
        return {"losses": losses}

    def save_and_load(self, path: str) -> dict:
        import keras

        self._model.save(path)
        self._model = keras.saving.load_model(path, compile=False)
        return {}

    def write_values(self, to: str) -> dict:
        np.savez(to, **{_escaped(name): _as_numpy(one) for name, one in self._values().items()})
        return {}

    def _values(self) -> dict:
        weights = {
            f"{layer.name}/{weight.name}": weight
            for layer in self._model._flatten_layers(include_self=False)
            for weight in layer._trainable_variables + layer._non_trainable_variables
        }
        return {name: weights[path] for path, name in self._names.items()}

    def _predict(self, images: np.ndarray):
        if _backend() == "jax":
            return _jax_predict(self._model, images, self._mode)
        if _backend() == "torch":
            import torch

            with torch.no_grad():
                return self._model(images, training=False)
        return self._model(images, training=False)

    def _gradients(self, images, labels, trained) -> tuple[float, list]:
        of_backend = _jax_gradients if _backend() == "jax" else _torch_gradients
        auxiliary = 0  # the place of the auxiliary logits among the outputs, after the logits
        if AUXILIARY_LOGITS in self._end_points:
            auxiliary = 1 + self._end_points.index(AUXILIARY_LOGITS)
        return of_backend(self._model, images, labels, trained, auxiliary, self._mode)


# --- JAX


def _jax_state(model) -> tuple[list, list]:
    return (
        [variable.value for variable in model.trainable_variables],
        [variable.value for variable in model.non_trainable_variables],
    )


def _jax_predict(model, images, mode: str):
    import jax

    def forward(trained, others, images):
        return model.stateless_call(trained, others, images, training=False)[0]

    forward = jax.jit(forward) if mode == "xla" else forward
    return forward(*_jax_state(model), images)


@functools.lru_cache(maxsize=1)
def _jax_step(model, auxiliary: int, mode: str):
    import jax
    from keras import ops

    def loss_of(trained, others, images, labels):
        outputs, others, extra = model.stateless_call(
            trained, others, images, training=True, return_losses=True
        )
        return _cross_entropies(ops, outputs, auxiliary, labels) + sum(extra, 0.0), others

    step = jax.value_and_grad(loss_of, has_aux=True)
    return jax.jit(step) if mode == "xla" else step


def _jax_gradients(model, images, labels, trained, auxiliary: int, mode: str) -> tuple[float, list]:
    step = _jax_step(model, auxiliary, mode)
    (loss, others), gradients = step(*_jax_state(model), images, labels)
    for variable, value in zip(model.non_trainable_variables, others, strict=True):
        variable.assign(value)
    by_id = {
        id(variable): gradient
        for variable, gradient in zip(model.trainable_variables, gradients, strict=True)
    }
    return float(loss), [by_id[id(variable)] for variable in trained]


# --- PyTorch


def _torch_gradients(
    model, images, labels, trained, auxiliary: int, _mode: str
) -> tuple[float, list]:
    from keras import ops

    model.zero_grad()
    outputs = model(images, training=True)
    loss = _cross_entropies(ops, outputs, auxiliary, labels) + sum(model.losses, 0.0)
    loss.backward()
    gradients = [variable.value.grad for variable in trained]
    return float(loss), [None if one is None else one.detach().clone() for one in gradients]


def _cross_entropies(ops, outputs, auxiliary: int, labels):
    """Of the logits and, where it is not 0, of that output, the auxiliary logits."""
    loss = _cross_entropy(ops, outputs[0], labels)
    if auxiliary:
        loss = loss + AUXILIARY_WEIGHT * _cross_entropy(ops, outputs[auxiliary], labels)
    return loss


def _cross_entropy(ops, logits, labels):
    logits = ops.cast(ops.reshape(logits, (len(labels), -1)), "float32")
    return ops.mean(ops.sparse_categorical_crossentropy(labels, logits, from_logits=True))


def _device() -> str:
    """ "gpu" where the backend computes on one, else "cpu"."""
    if _backend() == "jax":
        import jax

        return "gpu" if jax.default_backend() in ("gpu", "cuda", "rocm") else "cpu"
    if _backend() == "torch":
        import torch

        return "gpu" if torch.cuda.is_available() else "cpu"
    return "cpu"


def _backend() -> str:
    import keras

    return keras.backend.backend()


def _as_numpy(tensor) -> np.ndarray:
    import keras

    return np.asarray(keras.ops.convert_to_numpy(tensor), np.float32)


def _escaped(name: str) -> str:
    """Of a member in an archive: '/' would make folders."""
    return name.replace("/", "|")


if __name__ == "__main__":
    worker = Worker()
    processes.answer(
        {
            name: getattr(worker, name)
            for name in ("load", "variables", "infer", "train", "save_and_load", "write_values")
        }
    )
