import os

import numpy as np
import pytest

from zoo.checkpoints import open_checkpoint, write_checkpoint
from zoo.errors import ArgumentError


@pytest.fixture
def arrays(made):
    numbers = {name: value for name, value in made.items() if value.dtype != object}
    return {**numbers, "ñandú/weights": np.arange(6, dtype=np.float32).reshape(2, 3).T}


@pytest.mark.parametrize("format", ["v2", "npz", "safetensors"])
def test_reads_back(tmp_path, arrays, format):
    write_checkpoint(tmp_path / "model", arrays, format)
    with open_checkpoint(tmp_path / "model") as checkpoint:
        assert checkpoint.format == format
        assert set(checkpoint) == set(arrays)
        for name, value in arrays.items():
            assert checkpoint.dtype(name) == value.dtype
            np.testing.assert_array_equal(checkpoint.read(name), value)


def test_tensorflow_reads_v2(tmp_path, arrays):
    import tensorflow as tf

    write_checkpoint(tmp_path / "model.ckpt", arrays)
    reader = tf.train.load_checkpoint(str(tmp_path / "model.ckpt"))
    assert set(reader.get_variable_to_shape_map()) == set(arrays)
    for name, value in arrays.items():
        found = reader.get_tensor(name)
        assert np.asarray(found).dtype == value.dtype
        np.testing.assert_array_equal(found, value)


def test_saver_restores_many_names(tmp_path):
    """More names than go into one block of the index."""
    import tensorflow as tf

    arrays = {f"{'scope/' * 20}v{n}": np.full((2,), n, np.float32) for n in range(3000)}
    write_checkpoint(tmp_path / "model.ckpt", arrays)
    assert os.path.getsize(tmp_path / "model.ckpt.index") > 1 << 18
    reader = tf.train.load_checkpoint(str(tmp_path / "model.ckpt"))
    assert len(reader.get_variable_to_shape_map()) == 3000
    v1 = tf.compat.v1
    names = list(arrays)[::500]
    with tf.Graph().as_default(), v1.Session() as session:
        variables = [v1.get_variable(name, (2,)) for name in names]
        v1.train.Saver(variables).restore(session, str(tmp_path / "model.ckpt"))
        for name, value in zip(names, session.run(variables), strict=True):
            np.testing.assert_array_equal(value, arrays[name])


def test_variables(tmp_path):
    import keras
    import tensorflow as tf

    variables = {"t": tf.Variable([1.0, 2.0]), "k": keras.Variable(np.ones(3), dtype="bfloat16")}
    write_checkpoint(tmp_path / "a", variables)
    reader = tf.train.load_checkpoint(str(tmp_path / "a"))
    np.testing.assert_array_equal(reader.get_tensor("t"), [1, 2])
    assert reader.get_variable_to_dtype_map()["k"] == tf.bfloat16
    with open_checkpoint(tmp_path / "a") as checkpoint:
        np.testing.assert_array_equal(checkpoint.read("k").astype(np.float32), np.ones(3))


@pytest.mark.parametrize("format", ["v2", "npz", "safetensors"])
def test_failure_leaves_what_was_there(tmp_path, format):
    write_checkpoint(tmp_path / "a", {"w": np.zeros(2)}, format)
    before = {name: (tmp_path / name).read_bytes() for name in os.listdir(tmp_path)}

    class Failing:
        def __array__(self, *_args, **_kwargs):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_checkpoint(tmp_path / "a", {"v": np.ones(2), "w": Failing()}, format)
    assert {name: (tmp_path / name).read_bytes() for name in os.listdir(tmp_path)} == before


@pytest.mark.parametrize(
    ("arrays", "format", "expected"),
    [
        ({"w": np.zeros(1)}, "v1", "Accepted: v2, npz, safetensors"),
        ({}, "v2", "nothing to write"),
        ({"": np.zeros(1)}, "v2", "not empty"),
        ({3: np.zeros(1)}, "v2", "must be text"),
        ({"w": np.array(["a", None])}, "v2", "does not hold"),
        ({"w": np.array("text")}, "npz", "does not hold"),
    ],
)
def test_what_cannot_be_written(tmp_path, arrays, format, expected):
    with pytest.raises(ArgumentError, match=expected):
        write_checkpoint(tmp_path / "a", arrays, format)
    assert os.listdir(tmp_path) == []


def test_a_model(tmp_path):
    """Its TF1 variables; with an optimizer of zoo's all that a TF1 training checkpoint holds."""
    import tensorflow as tf

    import zoo
    from zoo.training.optimizers import Adam

    def line(inputs):
        with tf.compat.v1.variable_scope("line"):
            slope = tf.compat.v1.get_variable("slope", [1], initializer=tf.ones_initializer())
            height = tf.compat.v1.get_variable("height", [1], trainable=False)
        return slope * inputs + height

    model = zoo.wrap(line, (1,))
    optimizer = Adam(0.1, beta1=0.5)
    model.compile(optimizer, "mse")
    model.train_on_batch(np.ones((2, 1)), np.zeros((2, 1)))
    zoo.checkpoints.write(model, tmp_path / "training")
    zoo.checkpoints.write(model, tmp_path / "plain", training_state=False)
    reader = tf.train.load_checkpoint(str(tmp_path / "training"))
    slots = {"line/slope/Adam", "line/slope/Adam_1"}
    counts = {"global_step", "beta1_power", "beta2_power"}
    assert set(reader.get_variable_to_shape_map()) == {"line/slope", "line/height"} | slots | counts
    assert reader.get_tensor("global_step") == 1
    assert reader.get_variable_to_dtype_map()["global_step"] == tf.int64
    # TF1 has them ready for the next step: beta ** 2 after the first.
    assert reader.get_tensor("beta1_power") == np.float32(0.25)
    plain = tf.train.load_checkpoint(str(tmp_path / "plain"))
    assert set(plain.get_variable_to_shape_map()) == {"line/slope", "line/height"}
    np.testing.assert_array_equal(
        plain.get_tensor("line/slope"), model.trainable_variables[0].numpy()
    )
