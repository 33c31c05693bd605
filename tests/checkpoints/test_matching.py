import time

import numpy as np
import pytest

from zoo.checkpoints import NameMap, match, open_checkpoint, write_checkpoint
from zoo.errors import CheckpointMismatchError


@pytest.fixture
def checkpoint(goldens):
    with open_checkpoint(goldens / "momentum") as opened:
        yield opened


@pytest.fixture
def checkpoint_of(tmp_path):
    """An open checkpoint of zeros with the names and shapes given."""
    opened = []

    def make(shapes):
        path = tmp_path / f"{len(opened)}.npz"
        write_checkpoint(path, {name: np.zeros(shape) for name, shape in shapes.items()}, "npz")
        opened.append(open_checkpoint(path))
        return opened[-1]

    yield make
    for checkpoint in opened:
        checkpoint.close()


def test_what_is_rightly_there_besides(checkpoint, network):
    found = match(checkpoint, network)
    found.check()
    assert found.fits
    assert found.assignments == {name: name for name in network}
    assert {role: len(names) for role, names in found.recognised.items()} == {
        "optimizer_slot": 6,
        "moving_average": 5,
        "global_step": 1,
        "auxiliary": 1,
    }


def test_a_network_with_the_auxiliary_head_gets_it(checkpoint, network, variable):
    network["Net/AuxLogits/weights"] = variable((4, 5))
    found = match(checkpoint, network)
    assert found.assignments["Net/AuxLogits/weights"] == "Net/AuxLogits/weights"
    assert "auxiliary" not in found.recognised


def test_three_lists(checkpoint, network, variable):
    network["Net/Logits/bias"] = network.pop("Net/Logits/biases")
    network["Net/Conv/weights"] = variable((3, 3, 2, 8))
    found = match(checkpoint, network)
    assert found.missing == ["Net/Logits/bias"]
    assert found.unexpected == ["Net/Logits/biases"]
    assert found.wrong_shape == [("Net/Conv/weights", (3, 3, 2, 8), (3, 3, 2, 4))]
    assert found.nearest == {"Net/Logits/bias": ["Net/Logits/biases"]}
    with pytest.raises(CheckpointMismatchError) as caught:
        found.check()
    assert caught.value.missing == found.missing
    assert caught.value.unexpected == found.unexpected
    assert caught.value.wrong_shape == found.wrong_shape
    for line in (
        "of 7 variables 1 are missing and 1 have another shape; 1 in the checkpoint are unexpected",
        "variable Net/Conv/weights has shape (3, 3, 2, 8) in the network and (3, 3, 2, 4) in the "
        "checkpoint",
        "variable Net/Logits/bias is missing from the checkpoint (nearest in the checkpoint: "
        "Net/Logits/biases)",
        "variable Net/Logits/biases of the checkpoint is not in the network",
        "Next:     Name what to leave out with allow_missing= and allow_unexpected=",
    ):
        assert line in str(caught.value)


def test_allowed_differences(checkpoint, network, variable):
    network["Net/New/weights"] = variable((1,))
    del network["Net/Table/weights"]
    found = match(
        checkpoint, network, allow_missing=["Net/New"], allow_unexpected=[r".*/Table/wei\w+"]
    )
    found.check()
    assert found.skipped_missing == ["Net/New/weights"]
    assert found.skipped_unexpected == ["Net/Table/weights"]


def test_an_allowed_scope_does_not_excuse_a_wrong_shape(checkpoint, network, variable):
    network["Net/Logits/weights"] = variable((4, 6))
    found = match(checkpoint, network, allow_missing=["Net/Logits"], allow_unexpected=["Net"])
    assert found.wrong_shape == [("Net/Logits/weights", (4, 6), (4, 5))]


def test_excluded_scope_is_neither_loaded_nor_missed(checkpoint, network, variable):
    network["Net/Logits/weights"] = variable((4, 6))
    network["Net/Logits/extra"] = variable((1,))
    found = match(checkpoint, network, NameMap(exclude=["Net/Logits"]))
    found.check()
    assert sorted(found.excluded) == [f"Net/Logits/{n}" for n in ("biases", "extra", "weights")]
    assert len(found.assignments) == 5


def test_moving_averages(checkpoint, network):
    found = match(checkpoint, network, NameMap(moving_average=True))
    found.check()
    source = found.assignments["Net/Conv/weights"]
    assert source == "Net/Conv/weights/ExponentialMovingAverage"
    assert found.assignments["Net/Conv/BatchNorm/moving_mean"] == "Net/Conv/BatchNorm/moving_mean"
    assert found.without_average == [
        "Net/Conv/BatchNorm/moving_mean",
        "Net/Conv/BatchNorm/moving_variance",
        "Net/Table/weights",
    ]
    assert len(found.recognised["averaged_variable"]) == 5  # AuxLogits too


BODY = {"conv/weights": (3, 3, 1, 2), "conv/biases": (2,), "fc8/weights": (2, 10)}


@pytest.mark.parametrize(
    ("stored", "wanted", "arguments"),
    [
        ("tower_0/{}", "{}", "strip_scope='tower_0'"),
        ("a/b/{}", "{}", "strip_scope='a/b'"),
        ("{}", "net", "add_scope='net'"),
        ("old/{}", "new", "strip_scope='old', add_scope='new'"),
    ],
)
def test_names_that_differ_by_an_outer_scope(checkpoint_of, variable, stored, wanted, arguments):
    wanted = wanted if "{}" in wanted else f"{wanted}/{{}}"
    opened = checkpoint_of({stored.format(name): shape for name, shape in BODY.items()})
    network = {wanted.format(name): variable(shape) for name, shape in BODY.items()}
    with pytest.raises(CheckpointMismatchError, match="outer scope") as caught:
        match(opened, network).check()
    assert f"pass NameMap({arguments})" in str(caught.value)
    match(opened, network, eval(f"NameMap({arguments})")).check()


def test_only_the_heads_classes_differ(checkpoint_of, variable):
    opened = checkpoint_of({**BODY, "fc8/biases": (10,)})
    network = {name: variable(shape) for name, shape in BODY.items()}
    network |= {"fc8/weights": variable((2, 7)), "fc8/biases": variable((7,))}
    with pytest.raises(CheckpointMismatchError, match="pass num_classes=10 for"):
        match(opened, network).check()
    network["conv/biases"] = variable((3,))
    with pytest.raises(CheckpointMismatchError) as caught:
        match(opened, network).check()
    assert "num_classes" not in str(caught.value)


def test_another_architecture(checkpoint, variable):
    with pytest.raises(CheckpointMismatchError, match="another architecture"):
        match(checkpoint, {"resnet/conv1/weights": variable((7, 7, 3, 64))}).check()


def test_long_lists_are_shortened_in_the_text_only(checkpoint_of, variable):
    opened = checkpoint_of({f"layer_{n}/kernel": (2,) for n in range(600)})
    network = {f"block_{n}/weights": variable((2,)) for n in range(600)}
    start = time.monotonic()
    with pytest.raises(CheckpointMismatchError) as caught:
        match(opened, network).check()
    assert time.monotonic() - start < 3
    assert len(caught.value.missing) == len(caught.value.unexpected) == 600
    assert str(caught.value).count("\n") < 25
    assert "and 592 more like this" in str(caught.value)
