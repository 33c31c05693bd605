"""What is NASNet's and PNASNet's own: the auxiliary head, drop path, configurations.

Expected values were recorded with TensorFlow 1.15.5 on the original code by
tools/record_contrib.py: goldens/outputs/training_nasnet.json here, and arguments_nasnet.json, with
other configurations, in test_arguments.py.
"""

import json

import keras
import networks
import numpy as np
import pytest
import recipe
import tensorflow as tf

import zoo
from zoo.adapters.nasnet import CIFAR, LARGE, NASNetCifar, NASNetMobile
from zoo.adapters.nasnet_cells import Cells, auxiliary_logits
from zoo.adapters.pnasnet import PNASNetMobile
from zoo.errors import ArgumentError, InputShapeError
from zoo.identification import identify
from zoo.shim import tf1_variables

v1 = tf.compat.v1

TRAINING = {
    case["arch"]: case
    for case in json.loads((networks.GOLDENS / "outputs" / "training_nasnet.json").read_text())
}
# As deep as two halvings and an auxiliary head need, and narrow, for what is no matter of size.
NARROW = {"num_cells": 3, "num_conv_filters": 8}
ONE_CELL = {"num_cells": 1, "num_conv_filters": 2, "num_reduction_layers": 0}


@pytest.mark.slow
@pytest.mark.parametrize("arch", TRAINING)
def test_training_computes_what_the_original_does(
    arch, adapter, trace, run, images, samples, relative_difference
):
    case = TRAINING[arch]
    cls, _ = adapter(arch)
    network = cls(create_aux_logits=True, **case["arguments"])  # nothing is dropped
    trace(network, 2, *case["size"], 3, training=True)
    networks.give_weights(network)
    _, end_points = run(network, images(2, *case["size"], 3), training=True)
    assert list(end_points) == list(case["end_points"])
    for name, recorded in case["end_points"].items():
        value = np.asarray(end_points[name])
        assert list(value.shape) == recorded["shape"]
        # 3e-5 was seen of the auxiliary logits, whose statistics are those of a few places.
        assert relative_difference(samples(value), recorded["samples"], recorded["scale"]) < 1e-4


# Of the other two each cell has the same number as in these.
@pytest.mark.slow
@pytest.mark.parametrize("arch", ["nasnet_cifar", "nasnet_mobile", "pnasnet_mobile"])
def test_drop_path_drops_what_the_original_does(arch, adapter):
    """The same paths, and as often: more with depth, and with the graph's global step."""
    case = TRAINING[arch]
    dropping = case["dropping"]
    cls, _ = adapter(arch)
    with tf.Graph().as_default() as graph, v1.Session() as session:
        step = v1.train.create_global_step()
        network = cls(num_classes=10, config=dropping["config"])
        network.forward(tf.zeros([2, *case["size"], 3]), training=True)
        paths = [op for op in graph.get_operations() if op.type == "Floor"]
        # floor(kept + a random number): whether an image keeps the path.
        kept = {op.name.rpartition("/")[0]: op.inputs[0].op.inputs[0] for op in paths}
        at_steps = []
        for number in dropping["steps"]:
            step.load(number, session)
            at_steps.append(session.run(kept))
    recorded = {
        f"{cell}/{path}": row["kept"]
        for cell, row in dropping["kept"].items()
        for path in row["paths"]
    }
    assert kept.keys() == recorded.keys()
    for path, expected in recorded.items():
        assert [at[path] for at in at_steps] == pytest.approx(expected, abs=1e-6), path


def test_without_a_step_drop_path_is_at_its_full_rate():
    with tf.Graph().as_default():
        cells = Cells(LARGE, total_cells=2, is_training=True, current_step=None)
        assert cells.drop_path_rate() == pytest.approx(0.15)  # 0.7 is kept in the last cell
        assert not v1.global_variables()


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
def test_the_step_may_be_the_optimizers():
    network = NASNetCifar(
        num_classes=3, config=ONE_CELL, current_step=lambda: model.optimizer.iterations
    )
    image = keras.Input((8, 8, 3))
    model = keras.Model(image, network(image))
    model.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    assert not [name for name in tf1_variables(network) if "step" in name]
    images = recipe.images((16, 8, 8, 3))

    def two_calls_differ():
        first, second = (np.asarray(network(images, training=True)) for _ in range(2))
        return np.abs(first - second).max() > 1e-3 * np.abs(first).max()

    assert not two_calls_differ()  # nothing is dropped at step 0
    before = {name: v.numpy() for name, v in tf1_variables(network).items()}
    loss = model.fit(images, np.arange(16) % 3, verbose=0).history["loss"]
    assert np.isfinite(loss[0]) and model.optimizer.iterations == 1
    for name in ("l1_stem_3x3/weights", "l1_stem_bn/moving_mean", "final_layer/FC/weights"):
        assert np.any(tf1_variables(network)[name].numpy() != before[name]), name
    model.optimizer.iterations.assign(10**6)
    assert two_calls_differ()
    assert "current_step" not in network.get_config()


def test_a_configuration_survives_serialization():
    network = NASNetMobile(config=NARROW, current_step=5)
    again = NASNetMobile.from_config(network.get_config())
    assert again.arguments == {"config": NARROW, "current_step": 5}


def test_an_unknown_hyper_parameter_names_the_nearest(trace):
    with pytest.raises(ArgumentError, match="num_conv_filters"):
        trace(NASNetCifar(config={"num_conv_filter": 4}), 1, 32, 32, 3)
    with pytest.raises(ArgumentError, match="NCHW"):
        trace(NASNetCifar(config={"data_format": "NDHWC"}), 1, 32, 32, 3)


def test_where_the_auxiliary_head_stands():
    """The scopes aux_11, aux_7 and aux_5 of goldens/variables; none where it is left out."""
    assert CIFAR.auxiliary_cell == LARGE.auxiliary_cell == 11
    assert CIFAR.changed({"use_aux_head": 0}).auxiliary_cell is None
    assert CIFAR.changed({"num_reduction_layers": 1}).auxiliary_cell is None


@pytest.mark.slow
def test_channels_first_inside_changes_no_variable(trace):
    usual, turned = (
        NASNetCifar(config={**NARROW, "data_format": layout}, create_aux_logits=True)
        for layout in ("NHWC", "NCHW")
    )
    (_, maps), (_, transposed) = (trace(network, 1, 16, 20, 3) for network in (usual, turned))
    assert shapes_of(turned) == shapes_of(usual)
    assert "AuxLogits" in maps
    for name, value in maps.items():
        shape = tuple(transposed[name].shape)
        moved = tuple(shape[i] for i in (0, 2, 3, 1)) if len(shape) == 4 else shape
        assert moved == tuple(value.shape), name


@pytest.mark.slow
def test_a_free_image_size_changes_no_variable(trace):
    known, free = (PNASNetMobile(config=NARROW) for _ in range(2))
    trace(known, 1, 64, 64, 3)
    trace(free, None, None, None, 3)
    assert shapes_of(free) == shapes_of(known)


def shapes_of(network) -> dict:
    return {name: tuple(v.shape) for name, v in tf1_variables(network).items()}


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
    [(NASNetMobile, "Stem", 1), (NASNetMobile, "Predictions", 9), (PNASNetMobile, "Cell_1", 3)],
)
def test_stopping_early(cls, name, count, trace):
    net, end_points = trace(cls(config=NARROW, final_endpoint=name), 1, 64, 64, 3)
    assert list(end_points)[-1] == name and len(end_points) == count
    assert net.shape == end_points[name].shape


@pytest.mark.parametrize("cls", [NASNetMobile, PNASNetMobile])
def test_no_such_end_point(cls, trace):
    with pytest.raises(ArgumentError, match="Cell_2"):
        trace(cls(config=NARROW, final_endpoint="Cell_3"), 1, 64, 64, 3)
    with pytest.raises(ArgumentError, match="global_pool"):
        trace(cls(num_classes=0, final_endpoint="Logits"), 1, 64, 64, 3)


@pytest.mark.slow
def test_a_checkpoint_without_an_outermost_scope_is_known_and_loads(trace, tmp_path, monkeypatch):
    from zoo import registry

    monkeypatch.setattr(registry, "_default", registry.Registry())
    registry.register(
        "narrow",
        family="narrow",
        adapter=NASNetMobile,
        arguments={"config": {**NARROW, "num_conv_filters": 4}},
        input_size=80,
        num_classes=7,
        preprocessing="inception",
    )
    # With the auxiliary head in it, as in the published ones.
    whole = NASNetMobile(num_classes=7, create_aux_logits=True, **registry.info("narrow").arguments)
    trace(whole, 1, 80, 80, 3)
    arrays = {name: recipe.weights(name, shape) for name, shape in shapes_of(whole).items()}
    path = tmp_path / "model.npz"
    zoo.write_checkpoint(path, arrays, format="npz")
    with zoo.open_checkpoint(path) as checkpoint:
        (fit,) = identify(checkpoint)
    assert fit.complete and (fit.num_classes, fit.outer_scope) == (7, "")
    outer = {f"tower/{name}": array for name, array in arrays.items()}
    zoo.write_checkpoint(tmp_path / "outer.npz", outer, format="npz")
    with zoo.open_checkpoint(tmp_path / "outer.npz") as checkpoint:
        (fit,) = identify(checkpoint)
    assert fit.complete and fit.outer_scope == "tower"

    model = zoo.load("narrow", tf1_ckpt=path)
    assert len(model.load_report.loaded) == len(model.tf1_variables) < len(arrays)
    for name in ("conv0/weights", "final_layer/FC/biases"):
        np.testing.assert_array_equal(model.tf1_variables[name], arrays[name])
    features = zoo.load("narrow", tf1_ckpt=path, final_endpoint="Stem")
    assert features.output.shape[1:] == (10, 10, 8)
