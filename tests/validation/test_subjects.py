"""What is validated is what the caller named; dropout is off where steps are taken."""

import pytest

from zoo import registry
from zoo.validation.subjects import without_dropout


@pytest.mark.parametrize("name", ["lenet", "inception_v3", "mobilenet_v3_small_1.0_224", "i3d"])
def test_dropout_is_switched_off(name):
    assert without_dropout(registry.info(name).load_adapter(), {}) == {"dropout_keep_prob": 1.0}


def test_what_a_configuration_drops_is_switched_off_and_the_rest_kept():
    adapter = registry.info("nasnet_mobile").load_adapter()
    changed = without_dropout(adapter, {"config": {"num_cells": 3, "drop_path_keep_prob": 0.7}})
    assert changed["config"] == {
        "num_cells": 3,
        "drop_path_keep_prob": 1.0,
        "dense_dropout_keep_prob": 1.0,
    }


def test_a_network_without_dropout_is_left_as_it_is():
    assert without_dropout(registry.info("resnet_v1_50").load_adapter(), {}) == {}
