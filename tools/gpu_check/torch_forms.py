"""What PyTorch runs: the native form on Keras's PyTorch backend, and timm's twin."""

from __future__ import annotations

import functools
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from gpu_check.bundle import BFLOAT16, EXACT, INFERENCE, Bundle, Network, TrainingCase
from gpu_check.forms import Form, Steps, Timed
from gpu_check.native import as_tf1_moves, native_model, tf1_names
from gpu_check.settings import Setting
from zoo.validation import recipe

_LEARNING_RATE = 1e-6
_DEVICE = "cuda" if torch.cuda.is_available() else "cpu"


class _Torch(Form):
    """A PyTorch module, called as it is or compiled."""

    packages = ("torch", "keras")

    def __init__(self, bundle: Bundle, compiled: bool = False) -> None:
        super().__init__(bundle)
        self.compiled = compiled
        self._prepared: dict[Setting, Timed] = {}
        torch.backends.cudnn.benchmark = True
        _allow_tf32(True)

    def device(self) -> dict[str, str]:
        if _DEVICE == "cpu":
            return {"kind": "cpu", "name": "cpu"}
        return {"kind": "gpu", "name": torch.cuda.get_device_name()}

    def prepare(self, setting: Setting) -> None:
        _allow_tf32(setting.dtype != EXACT)
        network = self.bundle.by_name[setting.network]
        if _DEVICE == "cuda":
            torch.cuda.reset_peak_memory_stats()
            before = torch.cuda.memory_allocated()
        if setting.task == INFERENCE:
            run, model = self._inference(network, setting)
        else:
            run, model = self._training(network, setting)
        start = time.perf_counter()
        _wait(run())
        first = time.perf_counter() - start
        start = time.perf_counter()
        _wait(run())
        memory = None
        if _DEVICE == "cuda":
            # The model may have been there before, for another batch size.
            memory = torch.cuda.max_memory_allocated() - before
            if torch.cuda.memory_allocated() - before < (held := _size(model)):
                memory += held
        seconds = first - (time.perf_counter() - start) if self.compiled else 0.0
        self._prepared[setting] = Timed(run, _wait, seconds, memory)

    def finish(self, setting: Setting) -> Timed:
        return self._prepared.pop(setting)

    def _inference(self, network: Network, setting: Setting) -> tuple[Callable, Any]:
        model = self.module(network, setting.dtype, training=False)
        images = self.images(network, setting)
        function = self._maybe_compiled(model)

        def run():
            with torch.inference_mode():
                return function(images)

        return run, model

    def _training(self, network: Network, setting: Setting) -> tuple[Callable, Any]:
        model = self.module(network, setting.dtype, training=True)
        images = self.images(network, setting)
        labels = torch.randint(0, network.classes, (setting.batch,), device=_DEVICE)
        parameters = [value for value in model.parameters() if value.requires_grad]
        optimizer = torch.optim.SGD(parameters, lr=_LEARNING_RATE)
        function = self._maybe_compiled(functools.partial(self.train, model, setting.dtype))

        def run():
            optimizer.zero_grad(set_to_none=True)
            loss = torch.nn.functional.cross_entropy(function(images), labels)
            loss.backward()
            optimizer.step()
            return loss

        return run, model

    def _maybe_compiled(self, function: Callable) -> Callable:
        # A graph for each batch size, with nothing left open, as JAX has it.
        return torch.compile(function, dynamic=False) if self.compiled else function

    def module(self, network: Network, dtype: str, training: bool):
        """The model."""
        raise NotImplementedError

    def train(self, model, dtype: str, images):
        """Logits in float32, as in training."""
        raise NotImplementedError

    def images(self, network: Network, setting: Setting):
        """A batch on the device."""
        shape = (setting.batch, *network.image_shape)
        images = torch.rand(shape, device=_DEVICE) * 2 - 1
        return images.bfloat16() if setting.dtype == BFLOAT16 else images


def _allow_tf32(allowed: bool) -> None:
    torch.set_float32_matmul_precision("high" if allowed else "highest")
    torch.backends.cudnn.allow_tf32 = allowed


def _wait(_result) -> None:
    if _DEVICE == "cuda":
        torch.cuda.synchronize()


def _size(model) -> int:
    return sum(value.numel() * value.element_size() for value in model.parameters())


class Native(_Torch):
    """`zoo.to_native`."""

    def module(self, network: Network, dtype: str, training: bool):
        return self.native(network, dtype, training)

    def train(self, model, dtype: str, images):
        return model(images, training=True).float().flatten(1)

    def logits(self, network: Network, dtype: str) -> np.ndarray:
        _allow_tf32(False)
        model = self.native(network, dtype)
        images = torch.from_numpy(recipe.images((network.recorded_batch, *network.image_shape)))
        with torch.no_grad():
            return model(images.to(_DEVICE), training=False).float().cpu().numpy()

    def three_steps(self, training: TrainingCase) -> Steps:
        _allow_tf32(False)
        model, case = native_model(training), training.case
        images = torch.from_numpy(recipe.images(case["input_shape"])).to(_DEVICE)
        labels = torch.as_tensor(case["labels"], device=_DEVICE)
        names, trained = tf1_names(model, training), model.trainable_variables
        optimizer = torch.optim.SGD([v.value for v in trained], lr=case["learning_rate"])
        losses = []
        for number in range(3):
            optimizer.zero_grad()
            logits = model(images, training=True).flatten(1)
            loss = torch.nn.functional.cross_entropy(logits, labels) + sum(model.losses)
            loss.backward()
            losses.append(float(loss.detach()))
            if number == 0:
                norms = {names[id(v)]: float(v.value.grad.norm()) for v in trained}
                averages = {
                    names[id(v)]: v.value.detach().cpu().numpy().copy()
                    for v in model.non_trainable_variables
                    if id(v) in names
                }
            optimizer.step()
        return Steps(losses, norms, as_tf1_moves(model, len(labels), training, averages))


class Timm(_Torch):
    """The twin of the same name in timm, with values of its own, channels last."""

    packages = ("torch", "timm")

    def module(self, network: Network, dtype: str, training: bool):
        if network.timm is None:
            raise LookupError("timm has no twin of it")
        import timm

        key = (network.name, dtype == BFLOAT16 and not training, training)
        if key not in self._models:
            torch.manual_seed(0)
            model = timm.create_model(**network.timm).train(training)
            model = model.to(_DEVICE, memory_format=torch.channels_last)
            self._models[key] = model.bfloat16() if key[1] else model
        return self._models[key]

    def train(self, model, dtype: str, images):
        with torch.autocast(_DEVICE, torch.bfloat16, enabled=dtype == BFLOAT16):
            return model(images).float()

    def images(self, network: Network, setting: Setting):
        return super().images(network, setting).permute(0, 3, 1, 2)  # Which is channels last.
