"""Checkpoints written by real TensorFlow: recorded ones (1.15.5), and ones made here (the one
that is installed), of which TensorFlow's own reader tells the expected values."""

import json
import os
import zlib
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import numpy as np
import pytest

GOLDENS = Path(__file__).parents[1] / "goldens" / "checkpoints"


def recorded_values(name: str, shape, dtype="float32") -> np.ndarray:
    """The rule of tools/record_checkpoints.py, by which TensorFlow 1.15.5 was given its values."""
    rng = np.random.RandomState(zlib.crc32(name.encode()) & 0xFFFFFFFF)
    return rng.uniform(0, 100, shape).astype(dtype)


class Variable:
    """A stand-in for a variable: a shape, a dtype, and `assign`."""

    def __init__(self, shape, dtype="float32"):
        self.shape, self.dtype = tuple(shape), dtype
        self.value = None

    def assign(self, value):
        assert value.shape == self.shape and value.dtype == self.dtype
        self.value = value


@pytest.fixture
def recorded():
    """The rule for recorded values."""
    return recorded_values


@pytest.fixture
def variable():
    """The stand-in for a variable."""
    return Variable


@pytest.fixture(scope="session")
def goldens() -> Path:
    return GOLDENS


@pytest.fixture(scope="session")
def golden_names() -> dict:
    """{"momentum" or "adam": {name: (shape, dtype)}} as TF 1.15.5's NewCheckpointReader told."""
    names = json.loads((GOLDENS / "names.json").read_text())
    return {
        run: {name: (tuple(shape), dtype) for name, (shape, dtype) in entries.items()}
        for run, entries in names.items()
    }


@pytest.fixture
def network(golden_names):
    """The recorded network's inference variables: without its auxiliary head."""
    return {
        name: Variable(shape)
        for name, (shape, _) in golden_names["momentum"].items()
        if name.startswith("Net/")
        and "AuxLogits" not in name
        and not name.endswith(("/Momentum", "/ExponentialMovingAverage"))
    }


# name -> value of the variables in the checkpoints made below
MADE = {
    "net/weights": np.random.RandomState(1).standard_normal((3, 3, 2, 4)).astype(np.float32),
    "net/biases": np.array([-1.5, 0.0, np.inf, 2e-30], np.float32),
    "net/partitioned": np.random.RandomState(2).standard_normal((200, 2)).astype(np.float32),
    "net/half": np.array([[1.5, -2.25, 65504]], np.float16),
    "net/double": np.array([np.pi, -1e300]),
    "net/small": np.array([-128, 0, 127], np.int8),
    "net/octets": np.array([0, 200, 255], np.uint8),
    "net/mask": np.array([True, False]),
    "net/empty": np.zeros((0, 3), np.float32),
    "net/names": np.array([b"", b"abc", b"\x00" * 200], object),
    "steps": np.array([-(2**40), 0, 5], np.int64),
    "global_step": np.array(12345, np.int64),
}


@pytest.fixture(scope="session")
def made() -> dict:
    return MADE


@pytest.fixture(scope="session")
def made_by_tensorflow(tmp_path_factory) -> Path:
    """A folder with v2, v1, sharded V1 (v1s) and a SavedModel of MADE, by the installed TF."""
    import tensorflow as tf

    v1 = tf.compat.v1
    folder = tmp_path_factory.mktemp("made")
    with tf.Graph().as_default(), v1.Session() as session:
        for name, value in MADE.items():
            v1.get_variable(
                name,
                shape=value.shape,
                dtype=tf.string if value.dtype == object else value.dtype,
                # A constant is sliced by the partitioner, through its partition_info.
                initializer=_sliced(value),
                partitioner=v1.fixed_size_partitioner(3) if "partitioned" in name else None,
                use_resource=False,
            )
        session.run(v1.global_variables_initializer())
        v1.train.Saver().save(session, str(folder / "v2"), latest_filename="a")
        old = v1.train.SaverDef.V1
        v1.train.Saver(write_version=old).save(session, str(folder / "v1"), latest_filename="b")
        v1.train.Saver(write_version=old, sharded=True).save(
            session, str(folder / "v1s"), latest_filename="c"
        )
        builder = v1.saved_model.Builder(str(folder / "saved_model"))
        builder.add_meta_graph_and_variables(session, ["serve"])
        builder.save()
    return folder


def _sliced(value):
    import tensorflow as tf

    def initializer(shape, dtype=None, partition_info=None):
        part = value
        if partition_info is not None:
            offsets = zip(partition_info.var_offset, shape, strict=True)
            part = value[tuple(slice(start, start + size) for start, size in offsets)]
        return tf.constant(part.tolist(), dtype, part.shape)

    return initializer


def _frozen(prefix: str, resource: bool) -> bytes:
    import tensorflow as tf

    v1 = tf.compat.v1
    with tf.Graph().as_default() as graph, v1.Session() as session:
        images = v1.placeholder(tf.float32, (None, 4, 4, 2), "images")
        weights = v1.get_variable(
            "net/weights", initializer=MADE["net/weights"], use_resource=resource
        )
        biases = v1.get_variable(
            "net/biases", initializer=np.full(4, 0.5, np.float32), use_resource=resource
        )
        net = tf.nn.conv2d(images, weights, 1, "SAME") + biases
        tf.identity(tf.reduce_mean(net, (1, 2)), "output")
        session.run(v1.global_variables_initializer())
        frozen = v1.graph_util.convert_variables_to_constants(
            session, graph.as_graph_def(), ["output"]
        )
    if prefix:
        with tf.Graph().as_default() as graph:
            tf.import_graph_def(frozen, name=prefix)
        frozen = graph.as_graph_def()
    return frozen.SerializeToString()


@pytest.fixture(scope="session")
def frozen(tmp_path_factory) -> Path:
    """A folder with a graph of two variables, frozen by the installed TensorFlow."""
    folder = tmp_path_factory.mktemp("frozen")
    (folder / "reference.pb").write_bytes(_frozen("", resource=False))
    (folder / "resource.pb").write_bytes(_frozen("", resource=True))
    (folder / "imported.pb").write_bytes(_frozen("import", resource=False))
    return folder
