"""What is NASNet's and PNASNet's own: the auxiliary head, drop path, configurations.

Expected values were recorded with TensorFlow 1.15.5 on the original code (goldens/variables,
"training"); the drop path rate is the formula of the original's `_apply_drop_path`, version "v3".
"""

import gzip
import json

import keras
import numpy as np
import pytest
import recipe
import tensorflow as tf
from conftest import save_as_tf1_does

import zoo
from zoo.adapters.nasnet import (
    CIFAR,
    LARGE,
    NORMAL_CELL,
    NASNetCifar,
    NASNetLarge,
    NASNetMobile,
)
from zoo.adapters.nasnet_cells import Cells, Map, auxiliary_logits
from zoo.adapters.pnasnet import PNASNetLarge, PNASNetMobile
from zoo.errors import ArgumentError, InputShapeError
from zoo.identification import identify
from zoo.shim import tf1_variables

v1 = tf.compat.v1

CLASSES = {
    "nasnet_cifar": NASNetCifar,
    "nasnet_mobile": NASNetMobile,
    "nasnet_large": NASNetLarge,
    "pnasnet_mobile": PNASNetMobile,
    "pnasnet_large": PNASNetLarge,
}
# As deep as three halvings need, and narrow, for what is no matter of size.
NARROW = {"num_cells": 3, "num_conv_filters": 8}


def build(network, shape, training=False):
    """(names and shapes of the variables, end points) of the network's TF1 graph."""
    with tf.Graph().as_default():
        _, end_points = network.forward(v1.placeholder(tf.float32, shape), training)
        variables = [[v.op.name, v.shape.as_list()] for v in v1.global_variables()]
    return variables, end_points


@pytest.mark.slow
@pytest.mark.parametrize("arch", CLASSES)
def test_the_auxiliary_head_is_the_originals(arch, goldens):
    path = goldens / f"variables/{arch}.json.gz"
    recorded = json.loads(gzip.decompress(path.read_bytes()))
    training = recorded["training"]
    with tf.Graph().as_default(), v1.Session() as session:
        images = v1.placeholder(tf.float32, recorded["input_shape"])
        _, end_points = CLASSES[arch](create_aux_logits=True).forward(images, True)
        variables, losses = v1.global_variables(), v1.losses.get_regularization_losses()
        trainable = {v.op.name for v in v1.trainable_variables()}
        values = {
            v.initializer.inputs[1]: recipe.weights(v.op.name, tuple(v.shape.as_list()))
            for v in variables
        }
        session.run([v.initializer for v in variables], values)  # at once: each run costs a pass
        loss = session.run(tf.add_n(losses))
        updates = len(v1.get_collection(v1.GraphKeys.UPDATE_OPS))
    known = {name for name, *_ in recorded["variables"]}
    added = [[v.op.name, v.shape.as_list(), v.op.name in trainable] for v in variables]
    assert [row for row in added if row[0] not in known] == training["variables"]
    assert [row for row in added if row[0] in known] == recorded["variables"]
    assert [[n, value.shape.as_list()] for n, value in end_points.items()] == training["end_points"]
    assert (len(losses), updates) == (training["num_reg_losses"], recorded["num_update_ops"])
    assert abs(loss / training["reg_loss"] - 1) < 1e-5


@pytest.mark.slow
@pytest.mark.parametrize("cls", [NASNetLarge, PNASNetLarge])
def test_a_training_step(cls):
    network = cls(num_classes=5, config=NARROW, create_aux_logits=True)
    images = keras.Input((155, 155, 3))
    model = keras.Model(images, network(images))
    model.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    before = {name: v.numpy() for name, v in tf1_variables(network).items()}
    history = model.fit(recipe.images((2, 155, 155, 3)), np.array([1, 4]), verbose=0)
    assert np.isfinite(history.history["loss"][0])
    after = {name: v.numpy() for name, v in tf1_variables(network).items()}
    assert after.keys() == before.keys() and "global_step" not in after
    for name in (
        "conv0/weights",
        "final_layer/FC/weights",
        "conv0_bn/moving_mean",
        "cell_2/comb_iter_0/right/bn_sep_3x3_2/moving_variance",
        "aux_1/aux_logits/FC/weights",
    ):
        if name in before:
            assert np.abs(after[name] - before[name]).max() > 0, name


@pytest.mark.parametrize(("step", "ratio"), [(0, 0), (62500, 0.25), (250000, 1), (900000, 1)])
def test_drop_path_grows_with_depth_and_steps(step, ratio):
    with tf.Graph().as_default(), v1.Session() as session:
        cells = Cells(LARGE, total_cells=22, is_training=True, current_step=step)
        net = Map(tf.zeros([1, 4, 4, 168]), 0)
        for made in range(1, 3):
            rate = session.run(cells.drop_path_rate())
            assert rate == pytest.approx(made / 22 * 0.3 * ratio)  # 0.7 is kept at last
            cells.cell(NORMAL_CELL, net, net, 1.0, 1, f"cell_{made}")


def test_drop_path_follows_the_graphs_global_step_or_is_full():
    with tf.Graph().as_default(), v1.Session() as session:
        cells = Cells(LARGE, total_cells=2, is_training=True, current_step=None)
        assert cells.drop_path_rate() == pytest.approx(0.15)
        assert not v1.global_variables()
        v1.train.create_global_step().load(125000, session)
        assert session.run(cells.drop_path_rate()) == pytest.approx(0.075)


def test_dropped_paths_are_made_up_for_by_the_others():
    with tf.Graph().as_default(), v1.Session() as session:
        v1.set_random_seed(1)
        cells = Cells(CIFAR, total_cells=1, is_training=True, current_step=None)
        values = session.run(cells._drop_path(tf.ones([4000, 1, 2, 3])))
    of_images = values.reshape(4000, 6)
    assert (of_images == of_images[:, :1]).all()  # an image's whole path, or nothing of it
    np.testing.assert_allclose(np.unique(values), [0, 1 / 0.6], rtol=1e-6)
    assert abs(values.mean() - 1) < 0.05


@pytest.mark.slow
def test_the_step_may_be_read_from_a_variable():
    step = tf.Variable(0, dtype=tf.int64)
    network = NASNetCifar(config={**NARROW, "num_conv_filters": 2}, current_step=lambda: step)
    images = recipe.images((4, 16, 16, 3))
    network(images)  # makes the variables: `step` is none of them
    assert not [name for name in tf1_variables(network) if "step" in name]

    def two_calls_differ():
        first, second = (np.asarray(network(images, training=True)) for _ in range(2))
        return np.abs(first - second).max() > 1e-3 * np.abs(first).max()

    assert not two_calls_differ()  # nothing is dropped at step 0
    step.assign(10**6)
    assert two_calls_differ()
    assert "current_step" not in network.get_config()


def test_a_configuration_survives_serialization():
    network = NASNetMobile(config=NARROW, current_step=5)
    again = NASNetMobile.from_config(network.get_config())
    assert again.arguments == {"config": NARROW, "current_step": 5}


def test_an_unknown_hyper_parameter_names_the_nearest():
    network = NASNetCifar(config={"num_conv_filter": 4})
    with pytest.raises(ArgumentError, match="num_conv_filters"):
        build(network, [1, 32, 32, 3])
    with pytest.raises(ArgumentError, match="NCHW"):
        build(NASNetCifar(config={"data_format": "NDHWC"}), [1, 32, 32, 3])


@pytest.mark.slow
@pytest.mark.parametrize("cls", [NASNetLarge, PNASNetLarge])
def test_channels_first_inside_and_a_free_image_size_change_no_variable(cls):
    usual, end_points = build(cls(config=NARROW), [1, 64, 64, 3])
    first, transposed = build(cls(config={**NARROW, "data_format": "NCHW"}), [1, 64, 64, 3])
    free, _ = build(cls(config=NARROW), [None, None, None, 3])
    assert first == free == usual
    for name, value in end_points.items():
        shape = transposed[name].shape.as_list()
        moved = [shape[i] for i in (0, 2, 3, 1)] if len(shape) == 4 else shape
        assert moved == value.shape.as_list(), name


@pytest.mark.parametrize("size", [None, 4])
def test_auxiliary_logits_need_a_map_of_known_size_that_is_large_enough(size):
    cells = Cells(LARGE, total_cells=22, is_training=True, current_step=None)
    with tf.Graph().as_default():
        net = v1.placeholder(tf.float32, [1, size, size, 8])
        with pytest.raises(InputShapeError, match="create_aux_logits=False"):
            auxiliary_logits(cells, net, 10, "aux_11")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("cls", "name", "count"),
    [
        (NASNetMobile, "Stem", 1),
        (NASNetMobile, "Reduction_Cell_0", 3),
        (NASNetMobile, "Predictions", 9),
        (PNASNetMobile, "Cell_1", 3),
        (PNASNetMobile, "global_pool", 5),
    ],
)
def test_stopping_early(cls, name, count, build_in_graph):
    net, end_points = build_in_graph(cls(config=NARROW, final_endpoint=name), 64, 64, 3)
    assert net is end_points[name] and list(end_points)[-1] == name
    assert len(end_points) == count


@pytest.mark.parametrize("cls", [NASNetMobile, PNASNetMobile])
def test_no_such_end_point(cls, build_in_graph):
    with pytest.raises(ArgumentError, match="Cell_2"):
        build_in_graph(cls(config=NARROW, final_endpoint="Cell_3"), 64, 64, 3)
    with pytest.raises(ArgumentError, match="global_pool"):
        build_in_graph(cls(num_classes=0, final_endpoint="Logits"), 64, 64, 3)


@pytest.mark.slow
def test_bounded_activations():
    bounded = {**NARROW, "use_bounded_activation": True}
    images = 100 * recipe.images((1, 64, 64, 3))
    for config, is_bounded in ((bounded, True), (NARROW, False)):
        network = NASNetMobile(config=config, final_endpoint="Cell_0")
        network(images)
        for name, variable in tf1_variables(network).items():
            variable.assign(recipe.weights(name, tuple(variable.shape)))
        value = np.asarray(network(images))[..., 8:]  # past state 1, which is taken as it is
        assert (value.min() >= 0 and value.max() <= 6) == is_bounded


@pytest.fixture
def narrow_checkpoint(tmp_path, monkeypatch):
    """A checkpoint of a registered network, the auxiliary head in it as in published ones."""
    from zoo import registry

    monkeypatch.setattr(registry, "_default", registry.Registry())
    registry.register(
        "narrow",
        family="narrow",
        adapter=NASNetMobile,
        arguments={"config": {**NARROW, "num_conv_filters": 4}},
        input_size=160,
        num_classes=7,
        preprocessing="inception",
    )
    spec = registry.info("narrow")
    network = NASNetMobile(num_classes=7, create_aux_logits=True, **spec.arguments)
    return save_as_tf1_does(network, (160, 160, 3), tmp_path / "model.ckpt")


@pytest.mark.slow
def test_a_checkpoint_without_an_outermost_scope_is_known_and_loads(narrow_checkpoint, tmp_path):
    with zoo.open_checkpoint(narrow_checkpoint) as checkpoint:
        (fit,) = identify(checkpoint)
        arrays = {f"tower/{name}": checkpoint.read(name) for name in checkpoint.names()}
    assert fit.complete and (fit.num_classes, fit.outer_scope) == (7, "")
    zoo.write_checkpoint(tmp_path / "outer.npz", arrays, format="npz")
    with zoo.open_checkpoint(tmp_path / "outer.npz") as checkpoint:
        (fit,) = identify(checkpoint)
    assert fit.complete and fit.outer_scope == "tower"

    model = zoo.load("narrow", tf1_ckpt=narrow_checkpoint)
    assert len(model.load_report.loaded) == len(model.tf1_variables)
    for name in ("conv0/weights", "final_layer/FC/biases"):
        variable = model.tf1_variables[name]
        np.testing.assert_array_equal(variable, recipe.weights(name, tuple(variable.shape)))
    features = zoo.load("narrow", tf1_ckpt=narrow_checkpoint, final_endpoint="Stem")
    assert features.output.shape[1:] == (20, 20, 8)
