"""A native model on another backend of Keras's, in a process of its own (backend_worker.py)."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from zoo.errors import ArgumentError
from zoo.model import TF1Model
from zoo.processes import Process
from zoo.validation.forms import Native
from zoo.validation.observed import Inference, Training, Variable


class Elsewhere:
    """A native model in another process; it answers what `zoo.validation.forms.Form` does."""

    def __init__(self, process: Process, folder: Path, native: Native) -> None:
        self._process, self._folder, self._native = process, folder, native
        self.left_out = native.left_out
        self._values: dict[str, np.ndarray] | None = None

    @property
    def variables(self) -> dict[str, Variable]:
        found = self._process.ask("variables")["variables"]
        return {n: Variable(tuple(shape), trainable) for n, (shape, trainable) in found.items()}

    def value_of(self, name: str) -> np.ndarray:
        if self._values is None:
            self._process.ask("write_values", to=str(self._folder / "values.npz"))
            self._values = _read(self._folder / "values.npz")
        return self._values[name]

    def infer(self, images: np.ndarray) -> Inference:
        np.save(self._folder / "images.npy", images)
        told = self._process.ask(
            "infer", images=str(self._folder / "images.npy"), to=str(self._folder / "outputs.npz")
        )
        found = _read(self._folder / "outputs.npz")
        end_points = {name: found[f"end point:{name}"] for name in self._native.end_points}
        return Inference(found["logits"], end_points, told["regularization_loss"])

    def output(self, images: np.ndarray) -> np.ndarray:
        return self.infer(images).logits

    def train(self, images: np.ndarray, labels: np.ndarray, rate: float) -> Training:
        np.save(self._folder / "images.npy", images)
        told = self._process.ask(
            "train",
            images=str(self._folder / "images.npy"),
            labels=labels.tolist(),
            rate=rate,
            to=str(self._folder / "training.npz"),
        )
        found: dict[str, dict[str, np.ndarray]] = {"gradient": {}, "average": {}, "variable": {}}
        for key, value in _read(self._folder / "training.npz").items():
            kind, _, name = key.partition(":")
            found[kind][name] = value
        unbiased = self._native.unbiased_by(len(images))
        return Training(told["losses"], *found.values(), unbiased)

    def reloaded(self, folder: Path) -> Elsewhere:
        """The process goes on with the model out of the file."""
        self._process.ask("save_and_load", path=str(folder / "native.keras"))
        self._values = None
        return self


@contextlib.contextmanager
def elsewhere(
    model: TF1Model, image_shape: tuple[int, ...], backend: str, mode: str, device: str
) -> Iterator[Elsewhere]:
    """The native form of a loaded model for images of a shape, on another backend.

    Args:
        backend: "jax" or "torch".
        mode: "eager" or "xla".
        device: "cpu" or "gpu".

    Raises:
        ArgumentError: the backend sees no such device.
        WorkerError: the process failed.
    """
    native = Native.of(model, image_shape)
    with (
        tempfile.TemporaryDirectory(prefix="zoo-validate-") as made,
        Process(
            "zoo.validation.backend_worker", environment=_environment(backend, device)
        ) as process,
    ):
        folder = Path(made)
        (folder / "config.json").write_text(native.model.to_json(), "utf-8")
        native.model.save_weights(folder / "native.weights.h5")
        told = process.ask(
            "load",
            config=str(folder / "config.json"),
            weights=str(folder / "native.weights.h5"),
            names=native.names,
            end_points=native.end_points,
            mode=mode,
            device=device,
        )
        if told["device"] != device:
            raise ArgumentError(
                f"{backend} sees no {device.upper()} here.",
                received=f"device={device!r}",
                accepted=f"device={told['device']!r}",
                next_step="install the backend's build for that device, or validate on the cpu.",
            )
        yield Elsewhere(process, folder, native)


def _environment(backend: str, device: str) -> dict[str, str]:
    found = {
        "KERAS_BACKEND": backend,
        "JAX_DISABLE_MOST_OPTIMIZATIONS": "1",  # compiles twice as fast, and computes the same
        # TF32 and its like keep 10 bits of a factor: that is speed, and no equivalence.
        "JAX_DEFAULT_MATMUL_PRECISION": "highest",
        "NVIDIA_TF32_OVERRIDE": "0",
        "XLA_PYTHON_CLIENT_PREALLOCATE": "false",
    }
    if device == "cpu":
        found |= {"JAX_PLATFORMS": "cpu", "CUDA_VISIBLE_DEVICES": "-1"}
    return found


def _read(path: Path) -> dict[str, np.ndarray]:
    with np.load(path, allow_pickle=False) as file:
        return {key.replace("|", "/"): file[key] for key in file.files}
