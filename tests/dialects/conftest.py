"""What the tests of all dialects share: recorded networks, and a process that has PyTorch."""

import importlib.util
from pathlib import Path

import numpy as np
import pytest
import recipe
from networks import GOLDENS, recorded_variables, relative_difference

from zoo import registry
from zoo.processes import Process


def shapes_of(model: str) -> dict[str, tuple[int, ...]]:
    """TF1 name -> shape of a registered model's variables, as TensorFlow 1.15.5 made them."""
    variables = recorded_variables(registry.info(model).golden)["variables"]
    return {name: tuple(shape) for name, shape, _ in variables}


class Recorded:
    """A network with the recipe's weights, and the logits that TensorFlow 1.15.5 gave for the first
    of the recipe's images."""

    def __init__(self, model: str) -> None:
        self.spec = registry.info(model)
        self.shapes = shapes_of(model)
        self.images = recipe.images(recorded_variables(self.spec.golden)["input_shape"])[:1]
        outputs = np.load(GOLDENS / f"outputs/{self.spec.golden}.npz")
        self.logits = outputs["logits"][:1].reshape(1, -1)
        self.weights = {name: recipe.weights(name, shape) for name, shape in self.shapes.items()}

    def differs(self, logits) -> float:
        """How far logits are from the recorded ones, in units of the largest; the background's
        are left out where they are not there."""
        return relative_difference(logits, self.logits[:, -np.shape(logits)[1] :])


class TorchProcess(Process):
    """Does jobs in tests/dialects/torch_process.py."""

    def __init__(self, folder: Path) -> None:
        environment = {"PYTHONPATH": str(Path(__file__).parent)}
        super().__init__("torch_process", environment=environment, name="the PyTorch process")
        self.images = folder / "images.npy"

    def __call__(self, do: str, images=None, **job) -> dict:
        if images is not None:
            np.save(self.images, images)
        job = {"images": self.images, **job}
        paths = {name: str(value) for name, value in job.items() if isinstance(value, Path)}
        answer = self.ask(do, **{**job, **paths})
        return {
            name: np.array(value) if name in ("logits", "corrected") else value
            for name, value in answer.items()
        }


@pytest.fixture(scope="session")
def recorded():
    return Recorded


@pytest.fixture(scope="session")
def recorded_shapes():
    return shapes_of


@pytest.fixture(scope="session")
def torch_process(tmp_path_factory):
    missing = [name for name in ("torch", "timm", "transformers") if not _installed(name)]
    if missing:
        pytest.skip(f"{', '.join(missing)} missing: pip install -e '.[peers]'")
    with TorchProcess(tmp_path_factory.mktemp("torch")) as process:
        yield process


def _installed(name: str) -> bool:
    return importlib.util.find_spec(name) is not None
