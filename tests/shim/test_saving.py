"""Decorated layers in every file that TensorFlow and Keras write, read again elsewhere.

What is expected is the saved object's own output, and the values that were put in by hand.
"""

import itertools
import os
import subprocess
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf
import tf_slim as slim

from zoo import checkpoints
from zoo.shim import (
    get_or_create_layer,
    layers,
    make_template,
    rnn_cell,
    tf1_variables,
    track_tf1_style_variables,
)

v1 = tf.compat.v1

ROWS = np.random.RandomState(0).normal(size=(6, 3)).astype(np.float32)
TARGETS = np.ones((6, 2), np.float32)


@keras.saving.register_keras_serializable("test_saving")
class Slim(keras.layers.Layer):
    """Weight decay, batch norm and dropout by tf-slim."""

    def __init__(self, units=4, **kwargs):
        super().__init__(**kwargs)
        self.units = units

    @track_tf1_style_variables
    def call(self, inputs, training=False):
        with v1.variable_scope("net"):
            net = slim.fully_connected(
                inputs,
                self.units,
                weights_regularizer=slim.l2_regularizer(0.1),
                normalizer_fn=slim.batch_norm,
                normalizer_params={"is_training": training, "decay": 0.5},
            )
            return slim.dropout(net, 0.999, is_training=training)

    def get_config(self):
        return {**super().get_config(), "units": self.units}


@keras.saving.register_keras_serializable("test_saving")
class Subclassed(keras.Model):
    """Holds a decorated layer beside one of Keras."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.net = Slim()
        self.head = keras.layers.Dense(2)

    def call(self, inputs, training=False):
        return self.head(self.net(inputs, training=training))


@keras.saving.register_keras_serializable("test_saving")
class Decorated(keras.Model):
    """Is decorated itself, and has layers of all other kinds."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.dense = layers.Dense(4, kernel_regularizer="l2")
        self.cell = rnn_cell.BasicRNNCell(3)
        self.scale = make_template("scale", lambda x: x * v1.get_variable("factor", [3]))

    @track_tf1_style_variables
    def call(self, inputs, training=False):
        with v1.variable_scope("net"):
            net = self.dense(inputs)
            net = layers.batch_normalization(net, training=training, momentum=0.5)
            net, _ = v1.nn.static_rnn(self.cell, [net, net], dtype=tf.float32)
            net = self.scale(net[-1])
            return get_or_create_layer("a/head", lambda: keras.layers.Dense(2))(net)


def functional():
    inputs = keras.Input((3,))
    return keras.Model(inputs, keras.layers.Dense(2)(Slim()(inputs)))


def built(make):
    model = make()
    model(ROWS)
    return model


def train(model, epochs=2):
    keras.utils.set_random_seed(0)
    if not model.compiled:
        model.compile(keras.optimizers.Adam(0.05), "mse")
    model.fit(ROWS, TARGETS, epochs=epochs, verbose=0)
    return model


def assert_same(model, other):
    np.testing.assert_array_equal(model(ROWS), other(ROWS))
    ours, theirs = tf1_variables(model), tf1_variables(other)
    assert list(ours) == list(theirs) and ours
    for name, variable in ours.items():
        np.testing.assert_array_equal(variable, theirs[name])


every_model = pytest.mark.parametrize("make", [functional, Subclassed, Decorated])


# ----- Keras's own files -----


@every_model
def test_a_keras_file_has_weights_and_the_optimizers_state(make, tmp_path):
    model = train(make())
    model.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras")
    assert_same(again, model)
    assert [float(loss) for loss in again.losses] == [float(loss) for loss in model.losses]
    for trained, loaded in zip(train(model).weights, train(again).weights, strict=True):
        np.testing.assert_allclose(loaded, trained, rtol=1e-5, atol=1e-6)


@every_model
def test_a_weights_file(make, tmp_path):
    model = train(make())
    model.save_weights(tmp_path / "model.weights.h5")
    again = built(make)
    again.load_weights(tmp_path / "model.weights.h5")
    assert_same(again, model)


def test_a_layer_of_another_size_is_refused(tmp_path):
    model = keras.Sequential([keras.Input((3,)), Slim(4)])
    model.save_weights(tmp_path / "model.weights.h5")
    other = keras.Sequential([keras.Input((3,)), Slim(5)])
    with pytest.raises(ValueError, match="shape"):
        other.load_weights(tmp_path / "model.weights.h5")


# ----- tf.train.Checkpoint -----


@every_model
def test_a_checkpoint_of_objects(make, tmp_path):
    model = train(make())
    path = tf.train.Checkpoint(model=model).save(tmp_path / "checkpoint")
    again = built(make)
    status = tf.train.Checkpoint(model=again).restore(path)
    status.assert_existing_objects_matched()
    assert_same(again, model)
    stored = {name for name, _ in tf.train.list_variables(path) if ".OPTIMIZER_SLOT" not in name}
    assert sum("/optimizer/" not in name for name in stored) == len(model.weights) + 2


def test_a_checkpoint_restored_before_the_variables_are_there(tmp_path):
    model = built(lambda: Slim())
    path = tf.train.Checkpoint(layer=model).save(tmp_path / "checkpoint")
    again = Slim()
    status = tf.train.Checkpoint(layer=again).restore(path)
    again(ROWS)
    status.assert_consumed()
    assert_same(again, model)


def test_a_checkpoint_names_variables_as_tensorflows_own_decorator_did(tmp_path):
    path = tf.train.Checkpoint(layer=built(lambda: Slim())).save(tmp_path / "checkpoint")
    suffix = "/.ATTRIBUTES/VARIABLE_VALUE"
    assert f"layer/_tf1_style_var_store/_vars/net.Sfully_connected.Sweights{suffix}" in dict(
        tf.train.list_variables(path)
    )


def test_nested_layers_are_found_whatever_else_the_object_has(tmp_path):
    model = train(Decorated())  # compiled before its first call
    model.save_weights(tmp_path / "model.weights.h5")
    path = tf.train.Checkpoint(model=model).save(tmp_path / "checkpoint")
    by_weights, by_checkpoint = built(Decorated), built(Decorated)
    by_weights.remark = "one more attribute"
    by_weights.load_weights(tmp_path / "model.weights.h5")
    status = tf.train.Checkpoint(model=by_checkpoint).restore(path)
    status.assert_existing_objects_matched()
    assert_same(by_weights, model)
    assert_same(by_checkpoint, model)


# ----- SavedModel -----

WITHOUT_ZOO = """
import sys
import numpy as np
import tensorflow as tf

folder = sys.argv[1]
rows = tf.constant(np.load(folder + "/rows.npy"))
for kind in sys.argv[2:]:
    loaded = tf.saved_model.load(folder + "/" + kind)
    batches = [rows, rows[:1]]
    signature = loaded.signatures["serving_default"]
    outputs = [list(signature(batch).values())[0] for batch in batches]
    np.testing.assert_allclose(outputs[0][:1], outputs[1], rtol=1e-5, atol=1e-6)
    np.save(folder + "/" + kind + ".npy", outputs[0])
assert not {"zoo", "tf_slim"} & set(sys.modules)
"""


class Scale(tf.Module):
    @track_tf1_style_variables
    def __call__(self, inputs):
        return inputs * v1.get_variable("factor", [3])


@pytest.mark.slow
def test_saved_models_run_where_zoo_is_never_imported(tmp_path):
    np.save(tmp_path / "rows.npy", ROWS)
    expected = {}
    for make in (functional, Subclassed, Decorated):
        model = train(make())
        tf.saved_model.save(model, tmp_path / f"{make.__name__}-saved")
        model.export(tmp_path / f"{make.__name__}-exported", verbose=False)
        for way in ("saved", "exported"):
            expected[f"{make.__name__}-{way}"] = model(ROWS)
    module = Scale()
    signature = tf.function(module.__call__, input_signature=[tf.TensorSpec([None, 3])])
    expected["module"] = module(tf.constant(ROWS))
    tf.saved_model.save(module, tmp_path / "module", signatures=signature)

    command = [sys.executable, "-c", WITHOUT_ZOO, str(tmp_path), *expected]
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"}
    run = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300)
    assert run.returncode == 0, run.stderr
    for kind, output in expected.items():
        np.testing.assert_allclose(
            np.load(tmp_path / f"{kind}.npy"), output, rtol=1e-5, atol=1e-6, err_msg=kind
        )


# ----- from stage to stage of a migration, as in the model mapping guide -----

IMAGES = np.random.RandomState(1).rand(2, 10, 10, 3).astype(np.float32)


class Stage(keras.layers.Layer):
    def __init__(self):
        super().__init__()
        for number, (library, filters) in enumerate(zip(self.libraries, (3, 4, 5), strict=True)):
            if library is not None:
                conv = library.Conv2D(filters, filters, kernel_regularizer="l2")
                setattr(self, f"conv_{number + 1}", conv)


class FunctionalStyle(Stage):
    libraries = (None, None, None)

    @track_tf1_style_variables
    def call(self, inputs, training=None):
        with v1.variable_scope("model"):
            out = layers.conv2d(inputs, 3, 3, kernel_regularizer="l2")
            out = layers.conv2d(out, 4, 4, kernel_regularizer="l2")
            return layers.conv2d(out, 5, 5, kernel_regularizer="l2")


class ObjectStyle(Stage):
    libraries = (layers, layers, None)

    @track_tf1_style_variables
    def call(self, inputs, training=None):
        with v1.variable_scope("model"):
            out = self.conv_2(self.conv_1(inputs))
            return layers.conv2d(out, 5, 5, kernel_regularizer="l2")


def record_scope(scope_name):
    """Records a variable scope, so that those to come are numbered on."""
    with v1.variable_scope(scope_name):
        pass


class PartlyNative(Stage):
    libraries = (keras.layers, keras.layers, None)

    @track_tf1_style_variables
    def call(self, inputs, training=None):
        with v1.variable_scope("model"):
            out = self.conv_1(inputs)
            record_scope("conv2d")
            out = self.conv_2(out)
            record_scope("conv2d_1")
            return layers.conv2d(out, 5, 5, kernel_regularizer="l2")


class LastAsObject(PartlyNative):
    """The guide's "repeat the steps above", before the last layer is native too."""

    libraries = (keras.layers, keras.layers, layers)

    @track_tf1_style_variables
    def call(self, inputs, training=None):
        with v1.variable_scope("model"):
            out = self.conv_1(inputs)
            record_scope("conv2d")
            out = self.conv_2(out)
            record_scope("conv2d_1")
            return self.conv_3(out)


class FullyNative(Stage):
    libraries = (keras.layers, keras.layers, keras.layers)

    def call(self, inputs, training=None):
        return self.conv_3(self.conv_2(self.conv_1(inputs)))


STAGES = [FunctionalStyle, ObjectStyle, PartlyNative, LastAsObject, FullyNative]
SCOPES = ["model/conv2d", "model/conv2d_1", "model/conv2d_2"]
NAMES = [f"{scope}/{name}" for scope in SCOPES for name in ("kernel", "bias")]


def called(stage):
    layer = stage()
    layer(IMAGES)
    return layer


def test_variables_of_each_stage_have_their_tf1_names():
    for stage, scopes in zip(STAGES, (SCOPES, SCOPES, SCOPES[2:], SCOPES[2:], []), strict=True):
        layer = called(stage)
        assert sorted(tf1_variables(layer)) == sorted(
            name for name in NAMES if name.rsplit("/", 1)[0] in scopes
        )
        assert len(layer.weights) == 6 and len(layer.losses) == 3


def test_an_attributes_kernel_is_the_tracked_variable():
    layer = called(ObjectStyle)
    tracked = tf1_variables(layer)
    assert layer.conv_1.kernel is tracked["model/conv2d/kernel"]._value
    assert layer.conv_2.bias is tracked["model/conv2d_1/bias"]._value


@pytest.mark.parametrize(
    ("before", "after"), itertools.pairwise(STAGES), ids=lambda stage: stage.__name__
)
@pytest.mark.parametrize("forwards", [True, False], ids=["forwards", "backwards"])
def test_a_checkpoint_of_one_stage_restores_at_the_next(before, after, forwards, tmp_path):
    source, target = (called(stage) for stage in ((before, after) if forwards else (after, before)))
    path = tf.train.Checkpoint(layer=source).save(tmp_path / "checkpoint")
    status = tf.train.Checkpoint(layer=target).restore(path)
    status.assert_existing_objects_matched()
    np.testing.assert_allclose(target(IMAGES), source(IMAGES), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(tf.add_n(target.losses), tf.add_n(source.losses), rtol=1e-6)


@pytest.fixture(scope="module")
def tf1_checkpoint(tmp_path_factory):
    """What TensorFlow's own name-based Saver writes: (path, values by name)."""
    random = np.random.RandomState(2)
    shapes = {
        scope: (size, size, depth, size)
        for scope, size, depth in zip(SCOPES, (3, 4, 5), (3, 3, 4), strict=True)
    }
    values = {}
    for scope, shape in shapes.items():
        values[f"{scope}/kernel"] = random.normal(size=shape).astype(np.float32)
        values[f"{scope}/bias"] = random.normal(size=shape[-1:]).astype(np.float32)
    path = str(tmp_path_factory.mktemp("tf1") / "model.ckpt")
    with tf.Graph().as_default(), v1.Session() as session:
        for name, value in values.items():
            v1.get_variable(name, initializer=value)
        session.run(v1.global_variables_initializer())
        v1.train.Saver().save(session, path)
    return path, values


@pytest.mark.parametrize("stage", STAGES)
def test_the_checkpoint_of_tf1_still_loads(stage, tf1_checkpoint):
    path, values = tf1_checkpoint
    layer = called(stage)
    variables = dict(tf1_variables(layer))
    for number, scope in enumerate(SCOPES, start=1):  # those that are Keras's have no TF1 name
        if f"{scope}/kernel" not in variables:
            conv = getattr(layer, f"conv_{number}")
            variables |= {f"{scope}/kernel": conv.kernel, f"{scope}/bias": conv.bias}
    checkpoints.load(path, variables)
    out = IMAGES
    for scope in SCOPES:
        kernel, bias = values[f"{scope}/kernel"], values[f"{scope}/bias"]
        out = tf.nn.conv2d(out, kernel, 1, "VALID") + bias
    np.testing.assert_allclose(layer(IMAGES), out, rtol=1e-4, atol=1e-4)
