import pytest

from zoo.checkpoints import NameMap, classify
from zoo.checkpoints.names import in_scopes
from zoo.errors import ArgumentError


def test_roles_of_a_run_with_momentum(golden_names):
    # What TensorFlow 1.15.5 itself named, in tools/record_checkpoints.py.
    roles = classify(golden_names["momentum"])
    slots = [name for name, role in roles.items() if role == "optimizer_slot"]
    shadows = [name for name, role in roles.items() if role == "moving_average"]
    assert sorted(slots) == sorted(name for name in roles if name.endswith("/Momentum"))
    assert len(slots) == 6
    assert len(shadows) == 5
    assert roles["global_step"] == "global_step"
    assert roles["Net/AuxLogits/weights"] == "auxiliary"
    assert [name for name, role in roles.items() if role == "variable"] == [
        "Net/Conv/BatchNorm/beta",
        "Net/Conv/BatchNorm/moving_mean",
        "Net/Conv/BatchNorm/moving_variance",
        "Net/Conv/weights",
        "Net/Logits/biases",
        "Net/Logits/weights",
        "Net/Table/weights",
    ]


def test_roles_of_a_run_with_adam_under_a_scope(golden_names):
    roles = classify(golden_names["adam"])
    for name, role in roles.items():
        if name.endswith(("Adam", "Adam_1", "_power")):
            assert role == "optimizer_slot", name
    assert roles["train/global_step"] == "global_step"
    assert sum(role == "variable" for role in roles.values()) == 7


@pytest.mark.parametrize(
    "slot", ["RMSProp", "RMSProp_1", "Adagrad", "Adadelta_1", "Ftrl", "Ftrl_1", "Adam_1", "adam_m"]
)
def test_a_slot_needs_its_variable(slot):
    assert classify(["a/w", f"a/w/{slot}"])[f"a/w/{slot}"] == "optimizer_slot"
    assert classify(["a/v", f"a/w/{slot}"])[f"a/w/{slot}"] == "variable"


@pytest.mark.parametrize(
    ("name", "role"),
    [
        ("aux_7/proj/weights", "auxiliary"),
        ("InceptionV3/AuxLogits/Conv2d_1b_1x1/weights", "auxiliary"),
        ("auxiliary_net/weights", "variable"),
        ("net/global_step_embedding", "variable"),
        ("beta1_power", "optimizer_slot"),
        ("tower/beta2_power_1", "optimizer_slot"),
        ("Momentum", "variable"),
    ],
)
def test_single_names(name, role):
    assert classify([name]) == {name: role}


def test_scopes():
    scopes = ["InceptionV3/Logits", r".*/moving_\w+$"]
    assert in_scopes("InceptionV3/Logits/Conv2d_1c_1x1/weights", scopes)
    assert in_scopes("InceptionV3/Logits", scopes)
    assert not in_scopes("InceptionV3/LogitsB/weights", scopes)
    assert not in_scopes("My/InceptionV3/Logits/weights", scopes)
    assert in_scopes("a/b/moving_mean", scopes)
    assert not in_scopes("a/b/moving_mean/biased", scopes)


def test_steps_of_a_map_in_their_order():
    names = NameMap(
        strip_scope="tower_0/", add_scope="New", renames=[("^fc", "dense"), ("dense", "logits")]
    )
    assert names("tower_0/fc/weights") == "New/logits/weights"
    assert names("tower_01/fc/weights") == "New/tower_01/fc/weights"


def test_groups_in_renames():
    assert NameMap(renames=[(r"conv(\d+)/kernel", r"Conv_\1/weights")])("conv3/kernel") == (
        "Conv_3/weights"
    )


def test_two_names_to_one():
    with pytest.raises(ArgumentError, match=r"'a/w' and 'b/w', both to 'w'") as caught:
        NameMap(renames=[("^[ab]/", "")]).apply(["a/w", "c/w", "b/w"])
    assert "NameMap(renames=" in str(caught.value)


def test_moving_averages_stand_in():
    names = ["g", "n/w", "n/w/ExponentialMovingAverage", "n/moving_mean"]
    mapped = NameMap(moving_average=True, strip_scope="n").apply(names)
    assert mapped.sources == {
        "g": "g",
        "w": "n/w/ExponentialMovingAverage",
        "moving_mean": "n/moving_mean",
    }
    assert mapped.averaged == ["n/w"]
    assert mapped.without_average == ["g", "moving_mean"]


def test_averages_alone():
    mapped = NameMap(moving_average=True).apply(["w/ExponentialMovingAverage"])
    assert mapped.sources == {"w": "w/ExponentialMovingAverage"}


def test_excluded_names():
    mapped = NameMap(strip_scope="a", exclude=["head"]).apply(["a/head/w", "a/body/w"])
    assert mapped.sources == {"body/w": "a/body/w"}
    assert mapped.excluded == ["a/head/w"]


@pytest.mark.parametrize(
    "arguments",
    [
        {"renames": [("(", "x")]},
        {"renames": [("a", r"\1")]},
        {"renames": ["a"]},
        {"renames": [(1, "a")]},
        {"exclude": ["["]},
        {"exclude": [3]},
    ],
)
def test_invalid_patterns(arguments):
    with pytest.raises(ArgumentError, match="Received:"):
        NameMap(**arguments)


def test_one_scope_as_plain_text():
    assert NameMap(exclude="Net/Logits").exclude == ("Net/Logits",)
