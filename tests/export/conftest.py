"""What the tests of all forms share: a registered network, fine-tuned, and noise."""

import numpy as np
import pytest


def noise_of(*shape):
    return np.random.RandomState(0).uniform(-1, 1, shape).astype(np.float32)


@pytest.fixture(scope="session")
def noise():
    """Shape -> float32 images."""
    return noise_of


@pytest.fixture(scope="session")
def small(small_checkpoint):
    """MobileNet V1, fine-tuned by a step, so that no checkpoint has its values."""
    import zoo

    model = zoo.load("mobilenet_v1_0.25_128", tf1_ckpt=small_checkpoint)
    model.compile("sgd", "sparse_categorical_crossentropy", jit_compile=False)
    model.train_on_batch(noise_of(2, 128, 128, 3), np.array([1, 2]))
    return model
