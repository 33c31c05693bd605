"""The recorded networks by name: what TensorFlow 1.15.5 said of each, and the network itself with
the recipe's weights."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import keras
import numpy as np
import recipe
import tensorflow as tf

from zoo.shim import skip_initializers, tf1_variables, track_tf1_style_variables

GOLDENS = Path(__file__).parent / "goldens"


def registered() -> dict:
    """Name of a golden -> the first model of the registry that it belongs to."""
    from zoo import registry

    specs = [registry.info(name) for name in registry.list_models()]
    return {spec.golden: spec for spec in reversed(specs) if spec.golden}


def adapter(arch: str):
    """(adapter class, arguments) of a recorded network."""
    spec = registered()[arch]
    return spec.load_adapter(), dict(spec.arguments)


@track_tf1_style_variables
def run(network, images, training=False):
    """(logits, end points): all that the network makes of images, in one trace."""
    return network.forward(images, training)


def trace(network, *shape, training=False):
    """(logits, end points) for a batch of a shape, as symbols: quick, since nothing is computed.

    The network has its variables afterwards, without values; `run` uses the trace again.
    """
    with skip_initializers():
        function = tf.function(lambda images: run(network, images, training), autograph=False)
        return function.get_concrete_function(tf.TensorSpec(shape)).structured_outputs


def give_weights(network) -> None:
    """Gives every variable of the network the recipe's value."""
    for name, variable in tf1_variables(network).items():
        variable.assign(recipe.weights(name, tuple(variable.shape)))


def make(arch: str, image_shape=None, **arguments):
    """The network built for images (2, *image_shape), or as recorded, with the recipe's weights."""
    cls, defaults = adapter(arch)
    network = cls(**{**defaults, **arguments})
    shape = recorded_variables(arch)["input_shape"] if image_shape is None else (2, *image_shape)
    trace(network, *shape)
    give_weights(network)
    return network


def model_of(network, image_shape, name="model"):
    """A Keras model from images to logits, with the recipe's weights."""
    images = keras.Input(image_shape, name="images")
    with skip_initializers():
        model = keras.Model(images, network(images), name=name)
    give_weights(network)
    return model


def recorded_model(arch: str, image_shape=None, **arguments):
    """A recorded network as a Keras model with the recipe's weights."""
    cls, defaults = adapter(arch)
    shape = image_shape or recorded_variables(arch)["input_shape"][1:]
    return model_of(cls(**{**defaults, **arguments}), shape, arch)


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


class Built:
    """A network, its results, and what was recorded of it.

    Args:
        arch: the golden's name.
        **arguments: of the network, where its defaults are not meant.
    """

    def __init__(self, arch: str, **arguments) -> None:
        self.arch = arch
        self.recorded = recorded_variables(arch)
        self.images = recipe.images(self.recorded["input_shape"])
        self.network = make(arch, **arguments)
        logits, self.end_points = run(self.network, self.images)
        self.logits = np.asarray(logits)

    @property
    def outputs(self):
        return np.load(GOLDENS / f"outputs/{self.arch}.npz")
