"""Forms that run on Keras's other backends, from the files that the TensorFlow process wrote."""

from __future__ import annotations

import functools
import traceback
from collections.abc import Callable
from pathlib import Path

from zoo.benchmarks.forms import FORMS, Setting
from zoo.benchmarks.runnable import LEARNING_RATE, Batch, Runnable, version


def make(form: str, setting: Setting, folder: Path) -> Runnable:
    """A form of the table that runs on JAX, PyTorch or OpenVINO."""
    row = FORMS[form]
    if row.worker == "jax":
        return _jax(folder / row.file, setting)
    if row.worker == "torch":
        return _torch(folder / row.file, row.mode == "compiled", setting)
    if row.file.endswith(".xml"):
        return _openvino_exported(folder / row.file, setting)
    return _openvino_backend(folder / row.file, setting)


def _keras_model(file: Path):
    import keras

    return keras.saving.load_model(file, compile=False)


def _loss(logits, labels, others):
    """Cross entropy, and what layers add, on any backend."""
    import keras

    each = keras.losses.sparse_categorical_crossentropy(
        labels, keras.ops.cast(logits, "float32"), from_logits=True
    )
    return sum(others, keras.ops.mean(each))


# --- JAX


def _jax(file: Path, setting: Setting) -> Runnable:
    import jax

    device = jax.devices()[0]
    if setting.device == "gpu" and device.platform == "cpu":
        raise RuntimeError("JAX sees no GPU")
    model = _keras_model(file)
    state = [
        [variable.value for variable in model.trainable_variables],
        [variable.value for variable in model.non_trainable_variables],
    ]
    step = _jax_training(model, state) if setting.trains else _jax_inference(model, state)
    return Runnable(
        put=lambda batch: Batch(*(jax.device_put(array, device) for array in batch)),
        step=lambda batch: jax.block_until_ready(step(batch)),
        runtime=version("jax"),
    )


def _jax_inference(model, state: list) -> Callable:
    import jax

    @jax.jit
    def function(trained, others, images):
        return model.stateless_call(trained, others, images, training=False)[0]

    return lambda batch: function(*state, batch.images)


def _jax_training(model, state: list) -> Callable:
    import jax

    def loss_of(trained, others, images, labels):
        logits, others, added = model.stateless_call(
            trained, others, images, training=True, return_losses=True
        )
        return _loss(logits, labels, added), others

    @functools.partial(jax.jit, donate_argnums=(0, 1))
    def function(trained, others, images, labels):
        gradients_of = jax.value_and_grad(loss_of, has_aux=True)
        (loss, others), gradients = gradients_of(trained, others, images, labels)
        moved = [v - LEARNING_RATE * g for v, g in zip(trained, gradients, strict=True)]
        return loss, moved, others

    def step(batch):
        loss, *state[:] = function(*state, *batch)
        jax.block_until_ready(state)
        return loss

    return step


# --- PyTorch


def _torch(file: Path, compiles: bool, setting: Setting) -> Runnable:
    place = torch_device(setting)
    model = _keras_model(file)
    if setting.trains:
        variables = [variable.value for variable in model.trainable_variables]

        def loss_of(images, labels):
            return _loss(model(images, training=True), labels, model.losses)

        step = functools.partial(_torch_training_step, variables)
        function = loss_of
    else:
        model.eval()
        step, function = torch_inference_step, lambda images, labels: model(images)
    return torch_runnable(function, step, compiles, version("torch"), torch_put(place), place)


def _torch_training_step(variables: list, function: Callable, images, labels):
    import torch

    loss = function(images, labels)
    loss.backward()
    with torch.no_grad():
        for variable in variables:
            if variable.grad is not None:
                variable.sub_(variable.grad, alpha=LEARNING_RATE)
                variable.grad = None
    return loss.detach()


def torch_inference_step(function: Callable, images, labels):
    import torch

    with torch.inference_mode():
        return function(images, labels)


def torch_device(setting: Setting) -> str:
    """ "cpu" or "cuda", made ready."""
    import torch

    torch.set_num_threads(setting.threads)
    torch.manual_seed(0)
    if setting.device == "cpu":
        return "cpu"
    if not torch.cuda.is_available():
        raise RuntimeError("PyTorch sees no GPU")
    torch.set_float32_matmul_precision("high")  # TF32, as TensorFlow and JAX have it by default.
    torch.backends.cudnn.allow_tf32 = True
    return "cuda"


def torch_put(place: str) -> Callable[[Batch], Batch]:
    import torch

    return lambda batch: Batch(
        torch.from_numpy(batch.images).to(place), torch.from_numpy(batch.labels).long().to(place)
    )


def torch_runnable(
    function: Callable,
    step: Callable,
    compiles: bool,
    runtime: str,
    put: Callable[[Batch], Batch],
    place: str,
) -> Runnable:
    """A step of PyTorch's, `step(function, images, labels)`, with `function` compiled or not."""
    import torch

    function = _CompiledIfItWorks(function) if compiles else function
    wait = torch.cuda.synchronize if place == "cuda" else lambda: None

    def run(batch):
        result = step(function, *batch)
        wait()
        return result

    return Runnable(
        put=put,
        step=run,
        runtime=runtime,
        fetch=lambda result: result.detach().float().cpu().numpy(),
        how=lambda: getattr(function, "how", "eager"),
    )


class _CompiledIfItWorks:
    """torch.compile needs a C++ compiler, and not every network goes through.

    Attributes:
        how: "compiled", or "eager" where the first call could not be.
    """

    how = ""

    def __init__(self, function: Callable) -> None:
        import torch

        self._eager, self._function = function, torch.compile(function, dynamic=False)

    def __call__(self, *arguments):
        if self.how:
            return self._function(*arguments)
        try:
            result, self.how = self._function(*arguments), "compiled"
        except Exception:
            traceback.print_exc()
            self._function, self.how = self._eager, "eager"
            result = self._function(*arguments)
        return result


# --- OpenVINO


def _openvino_backend(file: Path, setting: Setting) -> Runnable:
    import openvino

    # Keras compiles without a way to say how.
    openvino.compile_model = functools.partial(
        openvino.compile_model, config=_openvino_settings(setting)
    )
    predict = _keras_model(file).predict_on_batch
    return Runnable(lambda batch: batch, lambda batch: predict(batch.images), version("openvino"))


def _openvino_exported(file: Path, setting: Setting) -> Runnable:
    import openvino

    compiled = openvino.Core().compile_model(file, "CPU", _openvino_settings(setting))
    return Runnable(
        lambda batch: batch, lambda batch: compiled([batch.images])[0], version("openvino")
    )


def _openvino_settings(setting: Setting) -> dict[str, object]:
    """OpenVINO computes in bfloat16 where the processor can, unless told not to."""
    return {"INFERENCE_PRECISION_HINT": "f32", "INFERENCE_NUM_THREADS": setting.threads}
