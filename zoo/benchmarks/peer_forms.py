"""Peers that are neither TensorFlow's nor Keras's: ONNX Runtime and timm."""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path

from zoo import registry
from zoo.benchmarks.backend_forms import (
    torch_device,
    torch_inference_step,
    torch_put,
    torch_runnable,
)
from zoo.benchmarks.forms import FORMS, Setting
from zoo.benchmarks.runnable import LEARNING_RATE, Batch, Runnable, version
from zoo.benchmarks.twins import timm_twin

# As Slim's, and as the regularization losses of the other forms.
_WEIGHT_DECAY = 4e-5


def make(form: str, setting: Setting, folder: Path) -> Runnable:
    """A form of the table that runs in ONNX Runtime or is timm's."""
    row = FORMS[form]
    if row.worker == "onnxruntime":
        return _onnxruntime(folder / row.file, setting)
    return _timm(row.mode == "compiled", setting)


def _onnxruntime(file: Path, setting: Setting) -> Runnable:
    import onnxruntime

    place, provider = ("cpu", "CPU") if setting.device == "cpu" else ("cuda", "CUDA")
    if f"{provider}ExecutionProvider" not in onnxruntime.get_available_providers():
        raise RuntimeError("this ONNX Runtime is a build without GPU support")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = setting.threads
    session = onnxruntime.InferenceSession(
        file, options, providers=[f"{provider}ExecutionProvider"]
    )
    (images,), (logits,) = session.get_inputs(), session.get_outputs()
    put = functools.partial(onnxruntime.OrtValue.ortvalue_from_numpy, device_type=place)
    return Runnable(
        put=lambda batch: put(batch.images),
        step=lambda given: session.run_with_ort_values([logits.name], {images.name: given})[0],
        fetch=lambda given: given.numpy(),
        runtime=version("onnxruntime"),
    )


def _timm(compiles: bool, setting: Setting) -> Runnable:
    import torch

    place = torch_device(setting)
    spec = registry.info(setting.model)
    model = import_timm().create_model(**timm_twin(spec)).train(setting.trains)
    model = model.to(place, memory_format=torch.channels_last)
    mixed = torch.autocast(place, getattr(torch, setting.dtype), enabled=setting.dtype != "float32")

    def logits_of(images):
        with mixed:
            return model(images)

    if setting.trains:
        optimizer = torch.optim.SGD(
            model.parameters(), lr=LEARNING_RATE, weight_decay=_WEIGHT_DECAY
        )
        step = functools.partial(_training_step, optimizer)

        def function(images, labels):
            return torch.nn.functional.cross_entropy(logits_of(images).float(), labels)
    else:
        step, function = torch_inference_step, lambda images, labels: logits_of(images)
    put, runtime = _channels_first(torch_put(place)), version("timm", version("torch"))
    return torch_runnable(function, step, compiles, runtime, put, place)


def _training_step(optimizer, function: Callable, images, labels):
    loss = function(images, labels)
    loss.backward()
    optimizer.step()
    optimizer.zero_grad(set_to_none=True)
    return loss.detach()


def _channels_first(put: Callable[[Batch], Batch]) -> Callable[[Batch], Batch]:
    """PyTorch's order of axes; in memory the channels stay last."""

    def put_so(batch: Batch) -> Batch:
        images, labels = put(batch)
        return Batch(images.permute(0, 3, 1, 2), labels)

    return put_so


def import_timm():
    """timm, which imports torchvision: a build for GPUs fails to, beside PyTorch's for CPUs."""
    import torch

    try:
        import torchvision  # noqa: F401
    except RuntimeError:
        library = torch.library.Library("torchvision", "DEF")
        for name in ("nms", "qnms"):  # The operators that it looks for.
            library.define(f"{name}(Tensor a, Tensor b, float c) -> Tensor")
        import_timm.library = library  # As long as it lives, so do its operators.
    import timm

    return timm
