"""Steps on TensorFlow. Expected: those of TF1's own optimizer and of Keras's."""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import keras
import numpy as np
import pytest
import tiny

import zoo
from zoo.benchmarks import tensorflow_forms
from zoo.benchmarks.forms import Setting
from zoo.benchmarks.runnable import Batch
from zoo.model import TF1Model

RATE = 0.1
INFERENCE, TRAINING = Setting("lenet"), Setting("lenet", "training")


@pytest.fixture(autouse=True)
def tiny_network(monkeypatch):
    """The small network, a new one with the same values each time, in place of a registered one."""
    monkeypatch.setattr(tensorflow_forms, "LEARNING_RATE", RATE)
    monkeypatch.setattr(tensorflow_forms, "loaded", lambda name, policy: logits_of_tiny(policy))
    monkeypatch.setattr(
        tensorflow_forms,
        "native",
        lambda name, policy, fold: zoo.to_native(logits_of_tiny(policy), fold_batch_norm=fold),
    )


def logits_of_tiny(policy="float32") -> TF1Model:
    keras.utils.set_random_seed(0)
    return TF1Model(
        tiny.TinyNet(name="tiny", dtype=policy),
        (tiny.SIDE, tiny.SIDE, 3),
        classifier_activation=None,
        model_name="lenet",
        preprocessing="lenet",
        image_size=tiny.SIDE,
        label_offset=0,
    )


@pytest.fixture(scope="module")
def batch():
    images, labels = tiny.coloured(6)
    return Batch(images, labels.astype(np.int32))


def losses(form, batch, count=3) -> list[float]:
    made = tensorflow_forms.make(form, TRAINING)
    on_device = made.put(batch)
    return [float(made.fetch(made.step(on_device))) for _ in range(count)]


@pytest.fixture(scope="module")
def expected(batch):
    """Losses of three steps by Keras's own optimizer and loss."""
    model = logits_of_tiny()
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.SGD(RATE), loss)
    found = [model.train_on_batch(batch.images, batch.labels) for _ in range(3)]
    assert found[0] > 1.01 * found[2]
    return found


@pytest.mark.parametrize("form", ["session", "shim", "native eager", "native xla"])
def test_a_step_is_gradient_descent(form, batch, expected):
    # 2e-6 of rounding a step, and 24 bits of float32; Keras's batch norm differs in the moving
    # variance alone, which training does not use.
    np.testing.assert_allclose(losses(form, batch), expected, rtol=1e-5)


def test_a_step_moves_the_averages(batch, monkeypatch):
    model = logits_of_tiny()
    monkeypatch.setattr(tensorflow_forms, "loaded", lambda name, policy: model)
    mean = model.tf1_variables["Tiny/a/BatchNorm/moving_mean"]
    before = mean.numpy()
    losses("shim", batch, 1)
    assert np.abs(mean.numpy() - before).max() > 0


@pytest.mark.parametrize("form", ["shim", "shim predict", "native eager", "folded", "frozen"])
def test_inference_is_the_sessions(form, batch):
    session, made = (tensorflow_forms.make(name, INFERENCE) for name in ("session", form))
    reference = session.fetch(session.step(session.put(batch)))
    output = made.fetch(made.step(made.put(batch)))
    assert session.timed and made.runtime.startswith("tensorflow 2.")
    np.testing.assert_allclose(output, reference, rtol=1e-4, atol=1e-5)


def test_a_lower_dtype(batch):
    setting = Setting("lenet", dtype="bfloat16")
    session, made = (tensorflow_forms.make(name, setting) for name in ("session", "shim"))
    assert not session.timed  # It serves to compare with.
    reference = session.fetch(session.step(session.put(batch)))
    output = made.fetch(made.step(made.put(batch))).astype(np.float32)
    apart = np.abs(output - reference).max() / np.abs(reference).max()
    # bfloat16 has 8 bits, which float32 would show no trace of.
    assert 1e-4 < apart < 0.1


def test_no_gpu_is_said(monkeypatch):
    setting = Setting("lenet", device="gpu")
    monkeypatch.setattr("tensorflow.config.list_physical_devices", lambda kind: [])
    with pytest.raises(RuntimeError, match="TensorFlow sees no GPU"):
        tensorflow_forms.make("shim", setting)
    assert not tensorflow_forms.make("session", setting).timed
