"""What the tests of zoo.native share: recorded networks as Keras models, and other backends."""

import gc
import json
import os
import subprocess
import sys
from pathlib import Path

import networks
import numpy as np
import pytest

# One network of each family: the others have the same layers in other numbers, and
# `pytest tests/native --every-network` takes them too, in about half an hour.
FAMILIES = (
    "cifarnet",
    "i3d",
    "inception_resnet_v2",
    "inception_v1",
    "inception_v2",
    "inception_v3",
    "inception_v4",
    "lenet",
    "mobilenet_edgetpu",
    "mobilenet_v1_025",
    "mobilenet_v2_035",
    "mobilenet_v3_small",
    "nasnet_cifar",
    "pnasnet_mobile",
    "resnet_v1_50",
    "resnet_v2_50",
    "s3dg",
    "vgg_a",
)
SMALL = ("cifarnet", "lenet", "mobilenet_v1_025")
# These run on JAX and PyTorch too: between them, and with a narrow NASNet (test_networks.py), they
# have the layers, kernels' shapes and paddings of the others, in other sizes. `--every-network`
# runs all there.
ON_EVERY_BACKEND = (
    "cifarnet",
    "i3d",
    "inception_v2",
    "inception_v3",
    "lenet",
    "mobilenet_v1_025",
    "mobilenet_v3_small",
    "resnet_v2_50",
    "s3dg",
)

BACKENDS = ("jax", "torch")
WORKER = Path(__file__).with_name("backend_worker.py")


def pytest_generate_tests(metafunc):
    """`arch` is every network that is to be tested."""
    if "arch" in metafunc.fixturenames:
        every = metafunc.config.getoption("--every-network")
        elsewhere = getattr(metafunc.module, "TESTED_ELSEWHERE", ())
        archs = [a for a in (networks.registered() if every else FAMILIES) if a not in elsewhere]
        marked = [pytest.param(a, marks=() if a in SMALL else pytest.mark.slow) for a in archs]
        metafunc.parametrize("arch", marked)


@pytest.fixture(autouse=True)
def memory_given_back():
    """Models and their traces are cycles, which would pile up to gigabytes over the networks."""
    yield
    gc.collect()


@pytest.fixture(name="recorded_model")
def recorded_model_fixture():
    return networks.recorded_model


@pytest.fixture(name="model_of")
def model_of_fixture():
    return networks.model_of


class Backend:
    """A process with another Keras backend, which runs native models of ours."""

    def __init__(self, name: str) -> None:
        environment = {
            **os.environ,
            "KERAS_BACKEND": name,
            "JAX_PLATFORMS": "cpu",
            "JAX_DISABLE_MOST_OPTIMIZATIONS": "1",  # compiles twice as fast
        }
        self.name = name
        self._process = subprocess.Popen(
            [sys.executable, str(WORKER)],
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def run(self, folder, shape, **files):
        """The output of the model in `files` for the recipe's images of a shape."""
        result = folder / f"{self.name}.npy"
        request = {"shape": list(shape), "result": str(result)}
        request |= {kind: str(path) for kind, path in files.items()}
        self._process.stdin.write(json.dumps(request) + "\n")
        self._process.stdin.flush()
        answer = self._process.stdout.readline()
        assert answer, f"the process with the {self.name} backend has ended"
        assert json.loads(answer) == {"backend": self.name, "loaded": []}
        return np.load(result)

    def close(self) -> None:
        self._process.stdin.close()
        self._process.wait()


@pytest.fixture(scope="session", params=BACKENDS)
def backend(request):
    pytest.importorskip(request.param)
    backend = Backend(request.param)
    yield backend
    backend.close()


@pytest.fixture(scope="session")
def backends():
    started = [Backend(name) for name in BACKENDS if pytest.importorskip(name)]
    yield started
    for backend in started:
        backend.close()


@pytest.fixture
def described(tmp_path):
    """Writes what another process needs of a native model, without its values."""

    def describe(native):
        files = {
            "config": tmp_path / "config.json",
            "map": tmp_path / "map.json",
            "constants": tmp_path / "constants.npz",
        }
        files["config"].write_text(native.to_json())
        native.weight_map.save(files["map"])
        constants = {
            entry.path: getattr(native.get_layer(entry.layer), entry.weight).numpy()
            for entry in native.weight_map
            if entry.how == "constant"
        }
        np.savez(files["constants"], **constants)
        return files

    return describe


@pytest.fixture
def backends_of(request, backends):
    """The other backends that a network's native form is to run on."""
    every = request.config.getoption("--every-network")
    return lambda arch: backends if every or arch in ON_EVERY_BACKEND else ()
