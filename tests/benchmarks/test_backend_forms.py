"""Steps on PyTorch. Expected: PyTorch's own gradients and arithmetic by hand."""

import numpy as np
import pytest

from zoo.benchmarks import backend_forms
from zoo.benchmarks.forms import Setting
from zoo.benchmarks.runnable import LEARNING_RATE, Batch

torch = pytest.importorskip("torch")

BATCH = Batch(np.arange(12, dtype=np.float32).reshape(2, 2, 1, 3), np.array([0, 2], np.int32))


def mean(images, labels):
    return images.mean((1, 2))


def runnable(compiles: bool, step=backend_forms.torch_inference_step, function=mean):
    put = backend_forms.torch_put("cpu")
    return backend_forms.torch_runnable(function, step, compiles, "torch 2", put, "cpu")


def refusing(function, **options):
    def refuse(*arguments):
        raise RuntimeError("no C++ compiler")

    return refuse


@pytest.mark.parametrize(
    ("compiles", "compiler", "how"),
    [
        (False, None, "eager"),
        (True, lambda function, **options: function, "compiled"),
        (True, refusing, "eager"),
    ],
)
def test_what_does_not_compile_runs_eager(monkeypatch, compiles, compiler, how):
    monkeypatch.setattr(torch, "compile", compiler)
    made = runnable(compiles)
    on_device = made.put(BATCH)
    for _ in range(2):
        output = made.fetch(made.step(on_device))
        np.testing.assert_array_equal(output, BATCH.images.mean((1, 2)))
    assert made.how() == how


def test_what_fails_later_fails(monkeypatch):
    """Out of memory at a larger batch, for one: an eager step would not be what was asked for."""
    monkeypatch.setattr(torch, "compile", lambda function, **options: function)
    calls = []

    def once(images, labels):
        calls.append(len(images))
        if len(calls) > 1:
            raise RuntimeError("out of memory")
        return images

    made = runnable(True, function=once)
    made.step(made.put(BATCH))
    with pytest.raises(RuntimeError, match="out of memory"):
        made.step(made.put(BATCH))


def test_a_step_of_training_is_gradient_descent():
    weight = torch.nn.Parameter(torch.ones(3))
    unused = torch.nn.Parameter(torch.ones(3))

    def loss_of(images, labels):
        return torch.nn.functional.cross_entropy(images.mean((1, 2)) * weight, labels)

    loss_of(*backend_forms.torch_put("cpu")(BATCH)).backward()
    expected, weight.grad = (weight - LEARNING_RATE * weight.grad).detach(), None

    def step(function, images, labels):
        return backend_forms._torch_training_step([weight, unused], function, images, labels)

    made = runnable(False, step, loss_of)
    assert np.isfinite(made.fetch(made.step(made.put(BATCH))))
    assert not torch.equal(expected, torch.ones(3))
    assert torch.equal(weight.detach(), expected) and torch.equal(unused, torch.ones(3))


def test_no_gpu_is_said(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(RuntimeError, match="PyTorch sees no GPU"):
        backend_forms.torch_device(Setting("lenet", device="gpu", threads=torch.get_num_threads()))
