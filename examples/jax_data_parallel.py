"""A plain Keras model of `zoo.to_native` trained on JAX, each batch shared by all devices.

    KERAS_BACKEND=jax python examples/jax_data_parallel.py native.keras images.npz

Neither zoo nor TensorFlow is needed: `native.keras` is what `zoo.to_native(...).save(...)` wrote,
and `images.npz` has `images`, preprocessed, float32 (images, height, width, channels), and
`labels`, int64 (images,), such as

    np.savez("images.npz", images=model.preprocess(paths), labels=labels)

On a machine without accelerators, XLA_FLAGS=--xla_force_host_platform_device_count=2 makes two
devices of its CPU.
"""

import argparse

import keras
import numpy as np


def data_parallel(devices: list[str] | None = None) -> keras.distribution.DataParallel:
    """Makes Keras share each batch over the devices, all by default ("cpu:0", "gpu:3"), from here
    on. Comes before the model."""
    distribution = keras.distribution.DataParallel(devices=devices)
    keras.distribution.set_distribution(distribution)
    return distribution


def train(
    path: str,
    images: np.ndarray,
    labels: np.ndarray,
    *,
    epochs: int = 10,
    batch_size: int = 32,
    learning_rate: float = 1e-3,
    verbose: str | int = "auto",
) -> tuple[keras.Model, dict]:
    """The model of the file, trained, and its history.

    Each step is that of one device on the whole batch, batch norm too: JAX computes its statistics
    over all devices. What is less than a batch at an epoch's end is dropped, since devices share
    batches evenly.

    Args:
        path: of a `.keras` file.
        images: preprocessed, (images, height, width, channels).
        labels: whole numbers, (images,).
        epochs, batch_size, learning_rate: of SGD with momentum; batch_size of all devices together.
        verbose: as in Keras's `fit`.
    """
    model = keras.saving.load_model(path)
    probabilities = getattr(model.layers[-1], "activation", None) is keras.activations.softmax
    model.compile(
        keras.optimizers.SGD(learning_rate, momentum=0.9),
        keras.losses.SparseCategoricalCrossentropy(from_logits=not probabilities),
        metrics=["accuracy"],
    )
    batches = Batches(images, labels, batch_size)
    history = model.fit(batches, epochs=epochs, verbose=verbose, shuffle=False)
    return model, history.history


class Batches(keras.utils.PyDataset):
    """Whole batches of arrays, in an order of its own in each epoch."""

    def __init__(self, images: np.ndarray, labels: np.ndarray, batch_size: int) -> None:
        super().__init__()
        self._images, self._labels, self._size = images, labels, batch_size
        self._epoch = -1
        self.on_epoch_begin()

    def __len__(self) -> int:
        return len(self._images) // self._size

    def __getitem__(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        chosen = self._order[index * self._size : (index + 1) * self._size]
        return self._images[chosen], self._labels[chosen]

    def on_epoch_begin(self) -> None:
        self._epoch += 1
        self._order = np.random.RandomState(self._epoch).permutation(len(self._images))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", help="a .keras file of zoo.to_native's")
    parser.add_argument("data", help="an .npz file of images and labels")
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--learning-rate", type=float, default=1e-3)
    parser.add_argument("--out", default="trained.keras")
    given = parser.parse_args()
    print(f"{len(data_parallel().device_mesh.devices)} devices of {keras.backend.backend()}")
    with np.load(given.data) as data:
        trained, _ = train(
            given.model,
            data["images"],
            data["labels"],
            epochs=given.epochs,
            batch_size=given.batch_size,
            learning_rate=given.learning_rate,
        )
    trained.save(given.out)
