"""Going on where TensorFlow 1.15.5 stopped.

Checkpoints, and the losses that TensorFlow 1.15.5 went on with, are those of
tools/record_training.py.
"""

import importlib.util
import json
import logging
import shutil

import keras
import numpy as np
import pytest

import zoo
from zoo.errors import ArgumentError, CheckpointMismatchError
from zoo.shim import tf1_variables
from zoo.training.optimizers import Adagrad, Adam, GradientDescent, Momentum, RMSProp

STEPS = 10
RATE = 0.05


@pytest.fixture(scope="module")
def folder(goldens):
    return goldens / "training"


@pytest.fixture(scope="module")
def network(folder):
    spec = importlib.util.spec_from_file_location("training_network", folder / "network.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.network


@pytest.fixture(scope="module")
def losses(folder):
    return json.loads((folder / "losses.json").read_text())


def rate(kind, first=RATE):
    if kind == "constant":
        return first
    return keras.optimizers.schedules.ExponentialDecay(first, 4, 0.5, staircase=True)


def batch(step, side):
    """The rule of tools/record_training.py."""
    rng = np.random.RandomState(step)
    return rng.uniform(-1, 1, (8, side, side, 3)).astype(np.float32), rng.randint(0, 5, 8)


def train(model, steps=STEPS):
    """The loss of each step, regularization losses included."""
    losses = []
    for _ in range(steps):
        model.reset_metrics()  # train_on_batch returns the mean since then
        images, labels = batch(int(model.optimizer.iterations), model.input_shape[1])
        losses.append(float(model.train_on_batch(images, labels)))
    return losses


# As tools/record_training.py made them.
SLIMS = {"momentum": 0.9, "epsilon": 1.0}
OPTIMIZERS = {
    "gradient_descent": (GradientDescent, {}),
    "momentum": (Momentum, {}),
    "nesterov": (Momentum, {"use_nesterov": True}),
    "rmsprop": (RMSProp, {"moving_average_decay": 0.8, **SLIMS}),
    "rmsprop_centered": (RMSProp, {"centered": True, **SLIMS}),
    "adam": (Adam, {"epsilon": 1e-3}),
    "adagrad": (Adagrad, {}),
}


@pytest.mark.parametrize("kind", ["constant", "decaying"])
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_the_next_ten_losses_are_tensorflow_1_15s(name, kind, folder, network, losses):
    optimizer, settings = OPTIMIZERS[name]
    resume = optimizer(rate(kind), **settings)
    model = zoo.wrap(network, (16, 16, 3), tf1_ckpt=folder / name, resume=resume)
    assert int(model.optimizer.iterations) == (10 if name == "adam" else 6)
    # Two TensorFlows sum in different orders: 2e-7 were seen. Without slots it is over 3e-3.
    np.testing.assert_allclose(train(model), losses[name][kind], rtol=1e-5)


def test_variables_slots_and_moving_averages_are_tensorflow_1_15s(folder, network):
    resume = RMSProp(rate("decaying"), moving_average_decay=0.8, **SLIMS)
    model = zoo.wrap(network, (16, 16, 3), tf1_ckpt=folder / "rmsprop", resume=resume)
    train(model)
    variables = tf1_variables(model)
    ours = {**variables, **resume.state_of(variables), "global_step": resume.iterations}
    theirs = np.load(folder / "rmsprop" / "after.npz")
    assert set(ours) == set(theirs)
    assert "net/conv1/BatchNorm/moving_mean/ExponentialMovingAverage" in ours
    for name, variable in ours.items():
        scale = np.abs(theirs[name]).max()
        # 8e-7 of the scale was seen. An average that lags by a step is off by 1e-3 and more.
        np.testing.assert_allclose(variable, theirs[name], atol=1e-5 * scale, err_msg=name)


@pytest.mark.slow
def test_a_registered_network_goes_on(folder, losses):
    model = zoo.load(
        "inception_v2",
        tf1_ckpt=folder / "inception",
        num_classes=5,
        input_shape=(64, 64, 3),
        global_pool=False,
        depth_multiplier=0.01,
        min_depth=4,
        dropout_keep_prob=1.0,
        resume=RMSProp(rate("decaying", RATE / 5000), **SLIMS),
    )
    # The output is probabilities. 69 normalizations in a row: 2e-5 was seen.
    np.testing.assert_allclose(train(model), losses["inception"]["decaying"], rtol=1e-4)


def test_the_kind_is_recognised_and_slims_settings_are_said(folder, network, caplog):
    kinds = {"rmsprop_centered": RMSProp, "adagrad": Adagrad, "gradient_descent": GradientDescent}
    for name, kind in kinds.items():
        model = zoo.wrap(network, (16, 16, 3), tf1_ckpt=folder / name, resume=True)
        assert type(model.optimizer) is kind
        if kind is RMSProp:
            assert (model.optimizer.momentum, model.optimizer.epsilon) == (0.9, 1.0)
    with caplog.at_level(logging.WARNING, "zoo"):
        zoo.wrap(network, (16, 16, 3), tf1_ckpt=folder / "momentum", resume=True)
    assert "step 6 with Momentum(learning_rate=0.01, momentum=0.9" in caplog.text


def test_a_new_head_starts_with_initial_slots(folder, network):
    model = zoo.wrap(
        network,
        (16, 16, 3),
        tf1_ckpt=folder / "momentum",
        name_map=zoo.NameMap(exclude=["net/logits"]),
        resume=Momentum(),
    )
    state = model.optimizer.state_of(tf1_variables(model))
    assert not np.asarray(state["net/logits/weights/Momentum"]).any()
    assert np.asarray(state["net/conv2/weights/Momentum"]).any()


def test_slots_under_a_scope_of_the_training_loop(folder, network, tmp_path):
    with zoo.open_checkpoint(folder / "adam") as checkpoint:
        arrays = {name: checkpoint.read(name) for name in checkpoint}
    scoped = {
        f"optimize/{name}" if "Adam" in name or "_power" in name else name: value
        for name, value in arrays.items()
    }
    zoo.write_checkpoint(tmp_path / "model.ckpt", scoped)
    models = [
        zoo.wrap(network, (16, 16, 3), tf1_ckpt=path, resume=Adam())
        for path in (folder / "adam", tmp_path / "model.ckpt")
    ]
    assert train(models[0], 2) == train(models[1], 2)


def test_saved_in_keras_it_goes_on_the_same(folder, network, tmp_path):
    resume = Adam(rate("decaying"), epsilon=1e-3, moving_average_decay=0.9)
    model = zoo.wrap(network, (16, 16, 3), tf1_ckpt=folder / "adam", resume=False)
    with zoo.open_checkpoint(folder / "adam") as checkpoint:
        arrays = {name: checkpoint.read(name) for name in checkpoint}
    for name in tf1_variables(model):
        arrays[f"{name}/ExponentialMovingAverage"] = arrays[name] + 1
    zoo.write_checkpoint(tmp_path / "averaged", arrays)
    model = zoo.wrap(network, (16, 16, 3), tf1_ckpt=tmp_path / "averaged", resume=resume)
    train(model, 2)
    model.save(tmp_path / "model.keras")
    again = keras.saving.load_model(
        tmp_path / "model.keras", custom_objects={"network": network, "function": network}
    )
    assert int(again.optimizer.iterations) == 12
    assert train(again, 3) == train(model, 3)
    name = "net/conv1/weights/ExponentialMovingAverage"
    np.testing.assert_array_equal(
        again.optimizer.state_of(tf1_variables(again))[name],
        model.optimizer.state_of(tf1_variables(model))[name],
    )


def test_accumulated_gradients_step_once(folder, network):
    models = [
        zoo.wrap(network, (16, 16, 3), tf1_ckpt=folder / "adam", resume=Adam(RATE, **options))
        for options in ({}, {"gradient_accumulation_steps": 2})
    ]
    images, labels = batch(10, 16)
    for model, times in zip(models, (1, 2), strict=True):
        for _ in range(times):
            model.train_on_batch(images, labels)
        assert model.optimizer.global_step == 11
    for name, variable in tf1_variables(models[0]).items():
        if "moving" not in name:  # those move at every forward pass
            other = tf1_variables(models[1])[name]
            np.testing.assert_allclose(other, variable, rtol=1e-5, atol=1e-6, err_msg=name)


@pytest.mark.parametrize(
    ("name", "resume", "expected"),
    [
        ("momentum", Adam(), "state of another optimizer.*\n.*Adam\n.*Momentum"),
        ("momentum", keras.optimizers.SGD(), "one of zoo's optimizers"),
        ("rmsprop", True, "not the decay.*\n.*moving_average_decay=0.9999"),
        ("adam", Adam(beta1=0.5), "not those of Adam's betas"),
    ],
)
def test_what_does_not_fit(name, resume, expected, folder, network):
    with pytest.raises(ArgumentError, match=expected):
        zoo.wrap(network, (16, 16, 3), tf1_ckpt=folder / name, resume=resume)


def altered(source, path, drop="", extra=None):
    with zoo.open_checkpoint(source) as checkpoint:
        arrays = {name: checkpoint.read(name) for name in checkpoint if name != drop}
    zoo.write_checkpoint(path, {**arrays, **(extra or {})})
    return path


def test_missing_slots(folder, network, tmp_path):
    slot = "net/logits/weights/Momentum"
    path = altered(folder / "momentum", tmp_path / "model.ckpt", drop=slot)
    with pytest.raises(CheckpointMismatchError, match="1 are missing") as error:
        zoo.wrap(network, (16, 16, 3), tf1_ckpt=path, resume=Momentum())
    assert error.value.missing == [slot]
    model = zoo.wrap(
        network, (16, 16, 3), tf1_ckpt=path, resume=Momentum(), allow_missing=["net/logits"]
    )
    assert not np.asarray(model.optimizer.state_of(tf1_variables(model))[slot]).any()


def test_a_slot_of_another_shape(folder, network, tmp_path):
    slot = "net/logits/biases/Momentum"
    extra = {slot: np.zeros(7, np.float32)}
    path = altered(folder / "momentum", tmp_path / "model.ckpt", extra=extra)
    with pytest.raises(CheckpointMismatchError, match="1 have another shape"):
        zoo.wrap(network, (16, 16, 3), tf1_ckpt=path, resume=Momentum())


def test_other_optimizers(folder, network, tmp_path):
    extra = {"net/logits/biases/Ftrl": np.zeros(5, np.float32)}
    path = altered(folder / "gradient_descent", tmp_path / "model.ckpt", extra=extra)
    with pytest.raises(ArgumentError, match="does not go on with.*\n.*Ftrl"):
        zoo.wrap(network, (16, 16, 3), tf1_ckpt=path, resume=True)
    several = {**extra, "net/logits/biases/Momentum": np.zeros(5, np.float32)}
    path = altered(folder / "adagrad", tmp_path / "several", extra=several)
    with pytest.raises(ArgumentError, match="slots of several.*\n.*Adagrad, Momentum"):
        zoo.wrap(network, (16, 16, 3), tf1_ckpt=path, resume=True)
    zoo.wrap(network, (16, 16, 3), tf1_ckpt=path, resume=Adagrad())


def test_no_state_of_training(folder, network, tmp_path):
    path = altered(folder / "gradient_descent", tmp_path / "model.ckpt", drop="global_step")
    with pytest.raises(ArgumentError, match="nothing to resume"):
        zoo.wrap(network, (16, 16, 3), tf1_ckpt=path, resume=True)
    with pytest.raises(ArgumentError, match="without a checkpoint"):
        zoo.wrap(network, (16, 16, 3), resume=True)
    with pytest.raises(ArgumentError, match="without a checkpoint"):
        zoo.load("lenet", weights=None, resume=True)


def test_without_a_global_step(folder, network, tmp_path, caplog):
    path = altered(folder / "momentum", tmp_path / "model.ckpt", drop="global_step")
    model = zoo.wrap(network, (16, 16, 3), tf1_ckpt=path, resume=Momentum(RATE))
    assert int(model.optimizer.iterations) == 0
    assert "no global_step" in caplog.text


def test_moving_averages_in_the_variables_places_do_not_go_on(folder, network):
    with pytest.raises(ArgumentError, match="not with their moving averages"):
        zoo.wrap(
            network,
            (16, 16, 3),
            tf1_ckpt=folder / "rmsprop",
            name_map=zoo.NameMap(moving_average=True),
            resume=RMSProp(moving_average_decay=0.8),
        )


def test_a_damaged_directory(folder, network, tmp_path):
    shutil.copytree(folder / "momentum", tmp_path / "training")
    data = next((tmp_path / "training").glob("*.data*"))
    data.write_bytes(data.read_bytes()[:-100])
    with pytest.raises(zoo.ZooError, match="damaged"):
        zoo.wrap(network, (16, 16, 3), tf1_ckpt=tmp_path / "training", resume=True)
