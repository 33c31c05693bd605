"""The exported graph, run by JAX's own XLA, against TensorFlow's values."""

import json

import jax
import networks
import numpy as np
import pytest
import recipe
import tensorflow as tf
import tf_slim as slim

import zoo
from zoo.errors import ArgumentError, CheckpointFormatError, CheckpointNotFoundError
from zoo.export import to_stablehlo
from zoo.programs import StableHLO

v1 = tf.compat.v1

# Another version's code of the same float32 operations, in another order: TF 1.15.5 and 2.21
# themselves differ by up to 4e-6.
CLOSE = 1e-4


def values_of(program):
    """The recipe's value of each variable, which the recorded outputs are of."""
    return {tensor.name: recipe.weights(tensor.name, tensor.shape) for tensor in program.variables}


@pytest.mark.parametrize(
    ("name", "golden"), [("lenet", "lenet"), ("mobilenet_v1_0.25_224", "mobilenet_v1_025")]
)
def test_inference_gives_what_tensorflow_1_recorded(name, golden):
    model = zoo.load(name, weights=None, classifier_activation=None)
    images = recipe.images(networks.recorded_variables(golden)["input_shape"])
    program = to_stablehlo(model, batch=2)
    assert [tensor.name for tensor in program.outputs] == ["logits"]
    logits = jax.jit(program.in_jax())(images, values_of(program))["logits"]
    expected = np.load(networks.GOLDENS / f"outputs/{golden}.npz")["logits"]
    assert networks.relative_difference(logits, expected) < CLOSE


def small_network(images, is_training=False):
    """Batch norm, which moves averages, weight decay, and a variable that nothing trains."""
    with slim.arg_scope([slim.conv2d], normalizer_fn=slim.batch_norm):
        with slim.arg_scope([slim.batch_norm], is_training=is_training, decay=0.9):
            net = slim.conv2d(images, 8, 3, weights_regularizer=slim.l2_regularizer(0.01))
    scale = v1.get_variable("scale", [], initializer=v1.ones_initializer(), trainable=False)
    return slim.fully_connected(tf.reduce_mean(net, [1, 2]) * scale, 5, activation_fn=None)


def a_step_in_a_session(images, labels, rate):
    """Loss and new variables, of TF1's own optimizer and loss in a graph of TF1 variables."""
    with tf.Graph().as_default(), v1.Session() as session:
        logits = small_network(tf.constant(images), is_training=True)
        slim.losses.sparse_softmax_cross_entropy(logits, labels)
        loss = slim.losses.get_total_loss()
        updates = v1.get_collection(v1.GraphKeys.UPDATE_OPS)
        step = v1.train.GradientDescentOptimizer(rate).minimize(loss)
        variables = v1.global_variables()
        given = {
            v.initializer.inputs[1]: recipe.weights(v.op.name, tuple(v.shape.as_list()))
            for v in variables
        }
        session.run([v.initializer for v in variables], given)
        before = session.run(loss)
        session.run([step, *updates])
        return before, {v.op.name: session.run(v) for v in variables}


@pytest.fixture(scope="module")
def training():
    """A training step of the small network, and its batch."""
    model = zoo.wrap(small_network, (6, 6, 3))
    random = np.random.RandomState(0)
    images = random.uniform(-1, 1, (4, 6, 6, 3)).astype(np.float32)
    labels = np.array([1, 0, 4, 2], np.int32)
    return model, to_stablehlo(model, batch=4, training=True, learning_rate=0.1), images, labels


def test_a_training_step_is_tensorflows(training):
    _, program, images, labels = training
    loss, variables = jax.jit(program.in_jax())(images, labels, values_of(program))
    expected_loss, expected = a_step_in_a_session(images, labels, 0.1)
    assert networks.relative_difference(loss, expected_loss) < CLOSE
    assert set(variables) == set(expected)
    for name, value in expected.items():
        assert networks.relative_difference(variables[name], value) < CLOSE, name
    moved = {tensor.name for tensor in program.outputs if tensor.is_variable}
    assert moved == set(expected) - {"scale"}
    assert all(
        np.any(expected[name] != recipe.weights(name, expected[name].shape)) for name in moved
    )


def test_it_holds_no_values_and_nothing_but_stablehlo(training):
    _, program, *_ = training
    assert "mhlo.copy" not in program.text and "stablehlo.convolution" in program.text
    assert len(program.module) < 50_000


def test_a_file_and_its_manifest(training, tmp_path):
    _, program, *_ = training
    file, manifest = program.write(tmp_path / "new" / "small.stablehlo")
    described = json.loads(manifest.read_text())
    assert [tensor["name"] for tensor in described["inputs"][:2]] == ["images", "labels"]
    assert described["inputs"][1] == {
        "name": "labels",
        "shape": [4],
        "dtype": "int32",
        "is_variable": False,
    }
    assert StableHLO.read(file) == program


def test_bfloat16_keeps_variables_in_float32():
    model = zoo.load("lenet", weights=None)
    program = to_stablehlo(model, batch=3, dtype="bfloat16")
    assert program.inputs[0].dtype == "bfloat16"
    assert {tensor.dtype for tensor in program.variables} == {"float32"}
    values = values_of(program)
    images = recipe.images((3, 28, 28, 1))
    outputs = jax.jit(program.in_jax())(images.astype(jax.numpy.bfloat16), values)
    full = to_stablehlo(model, batch=3)
    expected = jax.jit(full.in_jax())(images, values)["probabilities"]
    # bfloat16 has 8 bits; a softmax of a few layers loses two of them.
    assert 0 < np.abs(outputs["probabilities"] - expected).max() < 2**-6


def test_what_cannot_be_exported(training, tmp_path, monkeypatch):
    model, program, images, _ = training
    with pytest.raises(ArgumentError, match="batch is 1 or more"):
        to_stablehlo(model, batch=0)
    with pytest.raises(ArgumentError, match="no such dtype"):
        to_stablehlo(model, dtype="int8")
    with pytest.raises(ArgumentError, match="variables that are not given"):
        program.in_jax()(images, np.zeros(4, np.int32), {})
    # As TF1 code has it that does not take it in float32.
    monkeypatch.setattr(
        "zoo.adapters.cifarnet._normalized", lambda net, _: tf.nn.lrn(net, 4, beta=0.75)
    )
    with pytest.raises(ArgumentError, match="no valid StableHLO of cifarnet in bfloat16"):
        to_stablehlo(zoo.load("cifarnet", weights=None), dtype="bfloat16")
    free = zoo.load("mobilenet_v1_0.25_128", weights=None, input_shape=(None, None, 3))
    with pytest.raises(ArgumentError, match="the model's input size is free"):
        to_stablehlo(free)
    with pytest.raises(CheckpointNotFoundError, match=r"no file .*nothing"):
        StableHLO.read(tmp_path / "nothing")
    for text in ("[1]", "no JSON"):
        (tmp_path / "a").write_bytes(b"")
        (tmp_path / "a.json").write_text(text)
        with pytest.raises(CheckpointFormatError, match="no manifest"):
            StableHLO.read(tmp_path / "a")
