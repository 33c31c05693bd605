"""What the tests of the adapters share: the networks by name, what TensorFlow 1.15.5 recorded of
them, and how to build one with the recipe's weights."""

import functools
import gzip
import json
from pathlib import Path

import numpy as np
import pytest
import recipe

GOLDENS = Path(__file__).parents[1] / "goldens"


@functools.cache
def registered() -> dict:
    """Name of a golden -> the first model of the registry that it belongs to."""
    from zoo import registry

    specs = [registry.info(name) for name in registry.list_models()]
    return {spec.golden: spec for spec in reversed(specs) if spec.golden}


def adapter(arch: str):
    """(adapter class, arguments) of a recorded network."""
    spec = registered()[arch]
    return spec.load_adapter(), dict(spec.arguments)


def make(arch: str, image_shape=None, **arguments):
    """The network built for images (2, *image_shape), or as recorded, with the recipe's weights."""
    from zoo.shim import skip_initializers, tf1_variables

    cls, defaults = adapter(arch)
    network = cls(**{**defaults, **arguments})
    shape = recorded_variables(arch)["input_shape"] if image_shape is None else (2, *image_shape)
    with skip_initializers():
        network(np.zeros(shape, np.float32))
    for name, variable in tf1_variables(network).items():
        variable.assign(recipe.weights(name, tuple(variable.shape)))
    return network


def samples(array) -> np.ndarray:
    """64 values of an array, at the places that the recording took."""
    array = np.asarray(array)
    return array.ravel()[np.random.RandomState(1).choice(array.size, 64)]


def relative_difference(got, expected, scale=None) -> float:
    """The largest difference, in units of the largest expected value."""
    scale = np.abs(expected).max() if scale is None else scale
    return float(np.abs(np.asarray(got) - expected).max() / scale)


def recorded_variables(arch: str) -> dict:
    """goldens/variables: names, shapes, end points, defaults of one network."""
    return json.loads(gzip.decompress((GOLDENS / f"variables/{arch}.json.gz").read_bytes()))


def recorded_cases() -> list[dict]:
    """goldens/outputs/arguments*.json: results for other arguments and image sizes."""
    files = sorted((GOLDENS / "outputs").glob("arguments*.json"))
    return [case for file in files for case in json.loads(file.read_text())]


@pytest.fixture(name="make")
def make_fixture():
    return make


@pytest.fixture(name="adapter")
def adapter_fixture():
    return adapter


@pytest.fixture
def build_in_graph():
    """Builds a network's TF1 graph for images of a shape: quick, and errors come as raised."""
    import tensorflow as tf

    def build(network, *image_shape):
        with tf.Graph().as_default():
            images = tf.compat.v1.placeholder(tf.float32, [1, *image_shape])
            return network.forward(images)

    return build


@pytest.fixture(name="relative_difference")
def relative_difference_fixture():
    return relative_difference


@pytest.fixture(name="samples")
def samples_fixture():
    return samples


@pytest.fixture
def images():
    return lambda *shape: recipe.images(shape)


def pytest_generate_tests(metafunc):
    """`arch` is every recorded network, `case` every recorded set of arguments."""
    if "built" in metafunc.fixturenames:
        small = ("mobilenet_v1_025", "alexnet_v2", "inception_v1", "cifarnet", "lenet")
        archs = [
            pytest.param(arch, marks=() if arch in small else pytest.mark.slow)
            for arch in registered()
        ]
        metafunc.parametrize("built", archs, indirect=True, scope="module")
    if "case" in metafunc.fixturenames:
        cases = recorded_cases()
        metafunc.parametrize(
            "case",
            cases,
            ids=[
                "-".join(
                    [c["arch"], "x".join(map(str, c["size"])), *map(_text, c["arguments"].items())]
                )
                for c in cases
            ],
        )


def _text(argument) -> str:
    return "=".join(map(str, argument))


@pytest.fixture(scope="module")
def built(request):
    return Built(request.param)


class Built:
    """A network with its default arguments, its results, and what was recorded of it."""

    def __init__(self, arch: str) -> None:
        self.arch = arch
        self.recorded = recorded_variables(arch)
        self.network = make(arch, tuple(self.recorded["input_shape"][1:]))
        images = recipe.images(self.recorded["input_shape"])
        self.logits = np.asarray(self.network(images))
        self.end_points = self.network.end_points(images)

    @property
    def outputs(self):
        path = GOLDENS / f"outputs/{self.arch}.npz"
        if not path.exists():  # some widths: only their variables were recorded
            pytest.skip("no outputs were recorded")
        return np.load(path)
