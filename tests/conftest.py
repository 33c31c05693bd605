"""What several test files share: a small real network, and its checkpoint as TF1 writes it."""

import os
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import pytest
import recipe

SMALL = "mobilenet_v1_0.25_128"


def pytest_addoption(parser):
    parser.addoption(
        "--every-network",
        action="store_true",
        help="native forms of every recorded network, where one of each family is taken else",
    )


@pytest.fixture(scope="session", autouse=True)
def own_cache(tmp_path_factory):
    """No test reads or fills the user's cache."""
    before = os.environ.get("ZOO_CACHE")
    if before is None:
        os.environ["ZOO_CACHE"] = str(tmp_path_factory.mktemp("cache"))
    yield
    if before is None:
        del os.environ["ZOO_CACHE"]


def save_as_tf1_does(network, image_shape, path, values=recipe.weights, extra=()):
    """Builds the network's TF1 graph and saves it with `tf.compat.v1.train.Saver`.

    Args:
        values: name and shape -> value of each of the network's variables.
        extra: (name, array) of further variables to save beside them.
    """
    import tensorflow as tf

    from zoo.shim.session import filled_session

    v1 = tf.compat.v1
    with tf.Graph().as_default() as graph:
        network.forward(v1.placeholder(tf.float32, [1, *image_shape]))
        shapes = {v.op.name: tuple(v.shape.as_list()) for v in v1.global_variables()}
    filled = filled_session(graph, lambda name: values(name, shapes[name]))
    with filled as session, graph.as_default():
        more = [v1.get_variable(name, initializer=array) for name, array in extra]
        session.run([variable.initializer for variable in more])
        return v1.train.Saver().save(session, str(path), write_meta_graph=False)


@pytest.fixture(scope="session")
def small_checkpoint(tmp_path_factory):
    """A V2 checkpoint of MobileNet V1 0.25 with 1001 classes, by the recipe's weights."""
    from zoo.adapters.mobilenet_v1 import MobileNetV1

    network = MobileNetV1(num_classes=1001, depth_multiplier=0.25)
    path = tmp_path_factory.mktemp("mobilenet_v1_025") / "model.ckpt"
    return save_as_tf1_does(network, (128, 128, 3), path)


@pytest.fixture(scope="session")
def goldens():
    """The folder of recorded values."""
    return Path(__file__).parent / "goldens"
