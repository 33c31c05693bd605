"""A process that runs forms of a network (worker.py), seen from the one that asks it."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

from zoo.benchmarks.forms import Setting
from zoo.processes import Process

# Which Keras backend a process has; those of the other peers use none.
_BACKENDS = {
    "tensorflow": "tensorflow",
    "keras": "tensorflow",
    "jax": "jax",
    "torch": "torch",
    "openvino": "openvino",
}


class WorkerProcess(Process):
    """Starts the process; ends it on leaving the `with` block.

    Args:
        worker: "tensorflow", "keras", "jax", "torch", "openvino", "onnxruntime" or "timm".
        setting: of its forms.
        folder: that the processes share.
        timeout: seconds that an answer may take; the process is ended after that.

    Attributes:
        prepared: forms that it has ready.
    """

    def __init__(self, worker: str, setting: Setting, folder: Path, timeout: float) -> None:
        super().__init__(
            "zoo.benchmarks.worker",
            str(folder),
            json.dumps(dataclasses.asdict(setting)),
            environment=_environment(worker, setting),
            name=f"the {worker} process",
            seconds=timeout,
        )
        self.prepared: set[str] = set()


def _environment(worker: str, setting: Setting) -> dict[str, str]:
    found = {}
    if setting.device == "cpu":
        found["CUDA_VISIBLE_DEVICES"] = "-1"
        found["JAX_PLATFORMS"] = "cpu"
        found["OMP_NUM_THREADS"] = str(setting.threads)
    else:
        # Several processes share the GPU: each takes what it needs.
        found["TF_FORCE_GPU_ALLOW_GROWTH"] = "true"
        found["XLA_PYTHON_CLIENT_PREALLOCATE"] = "false"
    if worker == "timm" and not setting.trains:
        # Weights as constants, laid out once: PyTorch's way to compile for inference. Kernels in
        # Keras's order of axes then meet oneDNN's slowest code.
        found["TORCHINDUCTOR_FREEZING"] = "1"
    if worker in _BACKENDS:
        found["KERAS_BACKEND"] = _BACKENDS[worker]
    return found
