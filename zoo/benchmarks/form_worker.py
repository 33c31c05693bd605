"""The process in which forms of a network run: asked in lines of JSON, answers in such lines.

`python -m zoo.benchmarks.form_worker WORKER MODEL FOLDER THREADS`, started by worker_process.py.
Nothing heavy is imported before it is asked for.
"""

from __future__ import annotations

import contextlib
import functools
import json
import os
import sys
import time
import traceback
from collections.abc import Callable
from importlib import metadata
from pathlib import Path

import numpy as np

Predict = Callable[[np.ndarray], np.ndarray]


class Worker:
    """Forms made so far, and what the process can be asked to do with them.

    Attributes:
        model: registered name of the network.
        folder: shared by the processes.
        threads: to compute on.
    """

    def __init__(self, model: str, folder: Path, threads: int) -> None:
        self.model, self.folder, self.threads = model, folder, threads
        self._forms: dict[str, Predict] = {}
        self._images: dict[str, np.ndarray] = {}

    def prepare(self, form: str, twin: dict | None) -> dict:
        self._forms[form], runtime = _MAKERS[form](self, twin)
        return {"runtime": runtime}

    def write(self, file: str) -> dict:
        path = self.folder / file
        if file == "tf1.onnx":
            from zoo.export import to_onnx

            to_onnx(_loaded(self.model), path)
        elif file == "folded.xml":
            _native(self.model, fold=True).export(str(path), format="openvino", verbose=False)
        else:
            _native(self.model, fold=file == "folded.keras").save(path)
        return {}

    def run(self, form: str, images: str, to: str) -> dict:
        np.save(to, self._forms[form](self._batch(images)))
        return {}

    def time(self, form: str, images: str, seconds: float) -> dict:
        """Seconds a call takes, and processor seconds, the mean over as many as fit in."""
        predict, batch, calls = self._forms[form], self._batch(images), 0
        predict(batch)
        start, cpu_start = time.perf_counter(), time.process_time()
        while (taken := time.perf_counter() - start) < seconds:
            predict(batch)
            calls += 1
        cpu = time.process_time() - cpu_start
        return {"seconds": taken / calls, "cpu_seconds": cpu / calls}

    def _batch(self, images: str) -> np.ndarray:
        if images not in self._images:
            self._images[images] = np.load(images, allow_pickle=False)
        return self._images[images]


# --- TensorFlow


@functools.cache
def _loaded(name: str):
    """The loaded model, with values that neither die away nor grow from layer to layer: numbers
    too small for float32's usual form are slow, and not equally slow everywhere."""
    import tensorflow as tf

    import zoo

    model = zoo.load(name, weights=None)
    random = np.random.RandomState(0)
    for variable_name, variable in model.tf1_variables.items():
        shape = tuple(variable.shape)
        if len(shape) < 2:
            continue
        depthwise = variable_name.endswith("depthwise_weights")
        fan_in = np.prod(shape[:-2] if depthwise else shape[:-1])
        variable.assign(tf.constant(random.normal(0, np.sqrt(2 / fan_in), shape), tf.float32))
    return model


@functools.cache
def _native(name: str, fold: bool):
    import zoo

    return zoo.to_native(_loaded(name), fold_batch_norm=fold)


def _session(worker: Worker, _twin) -> tuple[Predict, str]:
    from zoo.benchmarks.throughput import tf1_session

    model = _loaded(worker.model)
    predict, _ = _OPEN.enter_context(tf1_session(model, (None, *model.input_shape[1:])))
    return predict, _version("tensorflow")


# What stays open until the process ends.
_OPEN = contextlib.ExitStack()


def _function(model) -> tuple[Predict, str]:
    import tensorflow as tf

    function = tf.function(lambda images: model(images, training=False))
    return lambda images: function(tf.convert_to_tensor(images)).numpy(), _version("tensorflow")


def _frozen(worker: Worker, _twin) -> tuple[Predict, str]:
    import tensorflow as tf
    from tensorflow.python.framework import convert_to_constants

    model = _native(worker.model, fold=True)
    spec = tf.TensorSpec(model.input_shape, tf.float32)
    traced = tf.function(lambda images: model(images, training=False)).get_concrete_function(spec)
    frozen = convert_to_constants.convert_variables_to_constants_v2(traced)
    return lambda images: frozen(tf.convert_to_tensor(images))[0].numpy(), _version("tensorflow")


# --- Other backends of Keras


def _keras_model(worker: Worker, file: str):
    import keras

    return keras.saving.load_model(worker.folder / file, compile=False)


def _jax(file: str, worker: Worker, _twin) -> tuple[Predict, str]:
    import jax

    model = _keras_model(worker, file)
    trained = [variable.value for variable in model.trainable_variables]
    others = [variable.value for variable in model.non_trainable_variables]

    @jax.jit
    def function(trained, others, images):
        return model.stateless_call(trained, others, images, training=False)[0]

    return lambda images: np.asarray(function(trained, others, images)), _version("jax")


def _openvino_backend(worker: Worker, _twin) -> tuple[Predict, str]:
    import openvino

    # Keras compiles without a way to say how.
    openvino.compile_model = functools.partial(
        openvino.compile_model, config=_openvino_settings(worker)
    )
    return _keras_model(worker, "folded.keras").predict_on_batch, _version("openvino")


def _openvino_exported(worker: Worker, _twin) -> tuple[Predict, str]:
    import openvino

    compiled = openvino.Core().compile_model(
        worker.folder / "folded.xml", "CPU", _openvino_settings(worker)
    )
    return lambda images: compiled([images])[0], _version("openvino")


def _openvino_settings(worker: Worker) -> dict[str, object]:
    """OpenVINO computes in bfloat16 where the processor can, unless told not to."""
    return {"INFERENCE_PRECISION_HINT": "f32", "INFERENCE_NUM_THREADS": worker.threads}


def _torch(file: str, worker: Worker, _twin) -> tuple[Predict, str]:
    import torch

    torch.set_num_threads(worker.threads)
    model = _keras_model(worker, file).eval()
    shape = (1, *model.input_shape[1:])

    def predict(function, images):
        with torch.inference_mode():
            return function(torch.from_numpy(images)).numpy()

    return _compiled_if_it_works(model, predict, np.zeros(shape, np.float32))


def _compiled_if_it_works(model, predict, images: np.ndarray) -> tuple[Predict, str]:
    """torch.compile needs a C++ compiler, and not every network goes through."""
    import torch

    compiled = torch.compile(model, dynamic=False)
    try:
        predict(compiled, images)
    except Exception:
        traceback.print_exc()
        return functools.partial(predict, model), f"{_version('torch')}, eager"
    return functools.partial(predict, compiled), f"{_version('torch')}, compiled"


# --- Peers


def _onnxruntime(worker: Worker, _twin) -> tuple[Predict, str]:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = worker.threads
    session = onnxruntime.InferenceSession(
        worker.folder / "tf1.onnx", options, providers=["CPUExecutionProvider"]
    )
    (images_input,) = session.get_inputs()
    return (
        lambda images: session.run(None, {images_input.name: images})[0],
        _version("onnxruntime"),
    )


def _timm(compiled: bool, worker: Worker, twin: dict) -> tuple[Predict, str]:
    import torch

    torch.set_num_threads(worker.threads)
    torch.manual_seed(0)
    model = _import_timm().create_model(**twin).eval().to(memory_format=torch.channels_last)

    def predict(function, images):
        with torch.inference_mode():
            images = torch.from_numpy(images).permute(0, 3, 1, 2)  # Which is channels last.
            return torch.softmax(function(images), -1).numpy()

    if not compiled:
        return functools.partial(predict, model), f"{_version('timm')}, eager"
    predict, how = _compiled_if_it_works(model, predict, np.zeros((1, 224, 224, 3), np.float32))
    return predict, f"{_version('timm')}, {how}"


def _import_timm():
    """timm, which imports torchvision: a build for GPUs fails to, beside PyTorch's for CPUs."""
    import torch

    try:
        import torchvision  # noqa: F401
    except RuntimeError:
        library = torch.library.Library("torchvision", "DEF")
        for name in ("nms", "qnms"):  # The operators that it looks for.
            library.define(f"{name}(Tensor a, Tensor b, float c) -> Tensor")
        _import_timm.library = library  # As long as it lives, so do its operators.
    import timm

    return timm


def _version(package: str) -> str:
    return f"{package} {metadata.version(package)}"


_MAKERS = {
    "session": _session,
    "shim": lambda worker, _: _function(_loaded(worker.model)),
    "native": lambda worker, _: _function(_native(worker.model, fold=False)),
    "folded": lambda worker, _: _function(_native(worker.model, fold=True)),
    "frozen": _frozen,
    "jax native": functools.partial(_jax, "native.keras"),
    "jax folded": functools.partial(_jax, "folded.keras"),
    "torch native": functools.partial(_torch, "native.keras"),
    "torch folded": functools.partial(_torch, "folded.keras"),
    "openvino folded": _openvino_backend,
    "openvino exported": _openvino_exported,
    "onnxruntime": _onnxruntime,
    "timm": functools.partial(_timm, False),
    "timm compiled": functools.partial(_timm, True),
}


def _keep_to(threads: int) -> None:
    """Not every library has a setting for its threads; all of them count the cores there are."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:threads])


def _main(_worker: str, model: str, folder: str, threads: str) -> None:
    # Libraries print what they like, from C++ too: to the log.
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    _keep_to(int(threads))
    worker = Worker(model, Path(folder), int(threads))
    with _OPEN:
        for line in sys.stdin:
            job = json.loads(line)
            try:
                answer = getattr(worker, job.pop("do"))(**job)
            except Exception as error:
                traceback.print_exc()
                said = str(error).strip().split("\n")[0][:300]
                answer = {"error": f"{type(error).__name__}: {said}"}
            print(json.dumps(answer), file=answers, flush=True)


if __name__ == "__main__":
    _main(*sys.argv[1:])
