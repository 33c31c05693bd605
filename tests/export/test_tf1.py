"""Back to TensorFlow 1: TensorFlow 1.15.5 itself takes up what is written (tests/
legacy_tensorflow.py finds it, or the tests that need it are skipped)."""

import importlib.util
import json
from pathlib import Path

import keras
import legacy_tensorflow
import numpy as np
import pytest
import tensorflow as tf

import zoo
from zoo.errors import ArgumentError
from zoo.export import to_tf1
from zoo.shim import tf1_variables
from zoo.training.optimizers import Adam

NARROW = {"depth_multiplier": 0.01, "min_depth": 4, "num_classes": 5}


@pytest.fixture(scope="module")
def network(goldens):
    path = goldens / "training" / "network.py"
    spec = importlib.util.spec_from_file_location("training_network", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.network


def logits(model, images):
    """The logits of a model whose output may be probabilities."""
    layers = [layer for layer in model.layers if hasattr(layer, "forward")]
    return np.asarray(layers[0](images))


@pytest.fixture(scope="module")
def narrow(noise):
    """Slim's Inception V2, very narrow, fine-tuned by a step."""
    model = zoo.load(
        "inception_v2", weights=None, input_shape=(64, 64, 3), global_pool=False, **NARROW
    )
    model.compile("sgd", "sparse_categorical_crossentropy", jit_compile=False)
    model.train_on_batch(noise(2, 64, 64, 3), np.array([1, 2]))
    return model


@pytest.fixture(scope="module")
def resumed(goldens, network, noise):
    """A wrapped function that goes on training where TensorFlow 1.15.5 stopped."""
    model = zoo.wrap(
        network,
        (16, 16, 3),
        tf1_ckpt=goldens / "training" / "adam",
        resume=Adam(0.05, epsilon=1e-3),
    )
    model.train_on_batch(noise(8, 16, 16, 3), np.arange(8) % 5)
    return model


@pytest.fixture(scope="module")
def in_tensorflow_1(tmp_path_factory, goldens, noise, small, narrow, resumed):
    """(model, way) -> what TensorFlow 1.15.5 computed; all in one run of it."""
    root = tmp_path_factory.mktemp("tf1")
    ours = str(goldens / "training" / "network")
    jobs, expected = [], {}
    for name, model, output in (
        ("small", small, "logits"),
        ("narrow", narrow, "logits"),
        ("resumed", resumed, "output"),
    ):
        folder = root / name
        to_tf1(model, folder, meta_graph=True, frozen=True)
        images = noise(3, *model.input_shape[1:])
        np.save(folder / "images.npy", images)
        expected[name] = logits(model, images)
        job = {"folder": str(folder), "output": output, "shape": [None, *images.shape[1:]]}
        jobs += [{**job, "way": "meta_graph"}, {**job, "way": "frozen"}]
        if name == "narrow":
            jobs.append({**job, "way": "code", "network": "inception_v2", "arguments": NARROW})
        elif name == "resumed":
            images, labels = noise(4, 8, 16, 16, 3), np.arange(32).reshape(4, 8) % 5
            np.savez(folder / "batches.npz", images=images, labels=labels)
            jobs.append({**job, "way": "code", "network": ours})
            jobs.append({**job, "way": "train_on", "network": ours, "rate": 0.05, "epsilon": 1e-3})
    (root / "jobs.json").write_text(json.dumps(jobs))
    legacy_tensorflow.run(Path(__file__).parent / "restore_in_tf1.py", root / "jobs.json")
    return root, expected


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "way"),
    [
        ("small", "meta_graph"),
        ("small", "frozen"),
        ("narrow", "meta_graph"),
        ("narrow", "frozen"),
        ("narrow", "code"),
        ("resumed", "meta_graph"),
        ("resumed", "frozen"),
        ("resumed", "code"),
    ],
)
def test_tensorflow_1_15_gives_the_same_outputs(in_tensorflow_1, name, way):
    root, expected = in_tensorflow_1
    theirs = np.load(root / name / f"{way}.npy")
    # Two TensorFlows sum in different orders.
    np.testing.assert_allclose(theirs, expected[name], atol=1e-5 * np.abs(theirs).max())


@pytest.mark.slow
def test_tensorflow_1_15_trains_on_with_the_same_losses(in_tensorflow_1, resumed):
    root, _ = in_tensorflow_1
    *theirs, step = np.load(root / "resumed" / "losses.npy")
    assert step == 15  # ten recorded, one here, four there
    data = np.load(root / "resumed" / "batches.npz")
    ours = []
    for images, labels in zip(data["images"], data["labels"], strict=True):
        resumed.reset_metrics()
        ours.append(resumed.train_on_batch(images, labels))
    np.testing.assert_allclose(ours, theirs, rtol=1e-5)


def test_what_is_written(small, tmp_path):
    files = to_tf1(small, tmp_path / "new" / "folder", meta_graph=True, frozen=True)
    names = [file.name for file in files]
    assert names == [
        "model.ckpt.index",
        "model.ckpt.data-00000-of-00001",
        "model.ckpt.meta",
        "frozen.pb",
        "checkpoint",
    ]
    assert sorted(names) == sorted(file.name for file in (tmp_path / "new" / "folder").iterdir())
    variables = tf1_variables(small)
    for form in (tmp_path / "new" / "folder", files[3]):
        with zoo.open_checkpoint(form) as checkpoint:
            assert set(checkpoint) == set(variables)
            for name, variable in variables.items():
                np.testing.assert_array_equal(checkpoint.read(name), variable, err_msg=name)


def test_a_round_trip_of_training(resumed, network, tmp_path):
    """What TensorFlow 1 would train on with, zoo does too."""
    to_tf1(resumed, tmp_path)
    step = int(resumed.optimizer.iterations)
    assert (tmp_path / f"model.ckpt-{step}.index").exists()
    again = zoo.wrap(network, (16, 16, 3), tf1_ckpt=tmp_path, resume=Adam(0.05, epsilon=1e-3))
    assert int(again.optimizer.iterations) == step
    for ours, theirs in zip(again.optimizer.variables, resumed.optimizer.variables, strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_graphs_are_for_tensorflow_1(small, tmp_path):
    *_, meta, frozen, _ = to_tf1(small, tmp_path, meta_graph=True, frozen=True)
    v1 = tf.compat.v1
    described = v1.MetaGraphDef.FromString(meta.read_bytes())
    graph = v1.GraphDef.FromString(frozen.read_bytes())
    for graph_def in (described.graph_def, graph):
        assert graph_def.versions.producer == 134  # TensorFlow 1.15's
        attributes = {(node.op, name) for node in graph_def.node for name in node.attr}
        # Newer than TensorFlow 1.15.5 by its ops.pbtxt.
        assert ("FusedBatchNormV3", "exponential_avg_factor") not in attributes
        assert ("DepthwiseConv2dNative", "explicit_paddings") not in attributes
    operations = {node.name: node.op for node in graph.node}
    assert operations["input"] == "Placeholder"
    assert "MobilenetV1/Predictions/Reshape_1" in operations  # where Slim's frozen graphs end
    assert "VariableV2" not in operations.values()
    assert described.saver_def.restore_op_name == "save/restore_all"


def test_structures_of_outputs(tmp_path):
    def two_heads(images):
        with tf.compat.v1.variable_scope("two"):
            scale = tf.compat.v1.get_variable("scale", [], initializer=tf.ones_initializer())
        return {"doubled": images * scale * 2, "parts": [images, images + scale]}

    model = zoo.wrap(two_heads, (2,))
    meta = to_tf1(model, tmp_path, meta_graph=True)[2]
    described = tf.compat.v1.MetaGraphDef.FromString(meta.read_bytes())
    assert set(described.signature_def["serving_default"].outputs) == {
        "output_doubled",
        "output_parts_0",
        "output_parts_1",
    }


def test_models_that_are_more_than_a_tf1_function(small, tmp_path):
    pooled = keras.layers.GlobalAveragePooling2D()(small.inputs[0])
    more = keras.Model(small.inputs, keras.layers.Dense(2)(pooled), name="more")
    with pytest.raises(ArgumentError, match="one TF1 function has a TF1 graph"):
        to_tf1(more, tmp_path / "more", frozen=True)
    with pytest.raises(ArgumentError, match="no TF1 variables"):
        zoo.checkpoints.write(more, tmp_path / "model.ckpt")
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_leaves_the_directory_as_it_was(small, tmp_path, monkeypatch):
    to_tf1(small, tmp_path)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    monkeypatch.setattr("zoo.checkpoints.writing.write_table", full)
    with pytest.raises(OSError, match="No space left"):
        to_tf1(small, tmp_path, frozen=True)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before
