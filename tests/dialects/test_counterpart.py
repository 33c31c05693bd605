"""What a table says, and how it fails where it says too little."""

import pytest

import zoo
from zoo.dialects.counterpart import Counterpart
from zoo.errors import RegistryError

SHAPES = {
    "LeNet/conv1/weights": (5, 5, 1, 32),
    "LeNet/conv1/biases": (32,),
    "LeNet/fc4/weights": (1024, 10),
}


def test_names_are_made_of_scopes_and_last_parts():
    found = Counterpart("net", "lenet", [("^LeNet/", "")], classifier="fc4")
    entries = found.tensor_map(SHAPES).entries
    assert [(entry.peer, entry.peer_shape()) for entry in entries] == [
        ("conv1.weight", (32, 1, 5, 5)),
        ("conv1.bias", (32,)),
        ("fc4.weight", (10, 1024)),
    ]
    assert [entry.counts_classes for entry in entries] == [False, False, True]
    assert entries[2].peer_shape(7) == (7, 1024)


def test_batch_norm_without_a_scale_has_ones_there():
    found = Counterpart("net", "lenet", [("/BatchNorm$", "/bn")], classifier="fc")
    weights = found.tensor_map({"c/BatchNorm/beta": (3,), "c/BatchNorm/moving_mean": (3,)})
    assert weights.scales == {"c/BatchNorm/gamma": "c.bn.weight"}
    assert weights.ignored == {"c.bn.num_batches_tracked"}
    assert weights.names == {
        *("c.bn.weight", "c.bn.bias", "c.bn.running_mean", "c.bn.num_batches_tracked"),
    }


def test_two_variables_of_one_name_are_a_mistake_in_the_table():
    found = Counterpart("net", "lenet", [("conv\\d", "conv")], classifier="fc4")
    with pytest.raises(RegistryError, match="conv1/biases"):
        found.tensor_map({"conv1/biases": (1,), "conv2/biases": (1,)})


def test_what_the_peer_does_not_have_is_named():
    found = Counterpart("net", "lenet", [], classifier="fc4", arguments={"alpha": 0.5})
    with pytest.raises(zoo.CheckpointMismatchError, match=r"net\(alpha=0.5\) .*conv1/strange"):
        found.tensor_map({"conv1/strange": (1,)})
