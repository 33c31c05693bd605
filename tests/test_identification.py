"""Which architecture a checkpoint fits; the checkpoints are written by TensorFlow's own Saver."""

import numpy as np
import pytest
from conftest import save_as_tf1_does

import zoo
from zoo.adapters.lenet import LeNet
from zoo.identification import architectures, identify


def fits_of(path):
    with zoo.open_checkpoint(path) as checkpoint:
        return identify(checkpoint)


def test_the_multiplier_is_told_by_the_shapes(small_checkpoint):
    best, *others = fits_of(small_checkpoint)
    assert best.complete and best.models[0].startswith("mobilenet_v1_0.25")
    # The four resolutions are one architecture; other tests may have registered more of it.
    assert sum(name.startswith("mobilenet_v1_0.25_") for name in best.models) == 4
    assert "137 of 137 variables, 1001 classes" in str(best)
    assert len(others) == 3 and not any(fit.complete for fit in others)


def test_a_head_of_ones_own_is_counted(tmp_path):
    path = save_as_tf1_does(LeNet(num_classes=12), (28, 28, 1), tmp_path / "m.ckpt")
    best = fits_of(path)[0]
    assert str(best) == "lenet: 8 of 8 variables, 12 classes"


def test_an_outer_scope_is_seen(small_checkpoint, tmp_path):
    with zoo.open_checkpoint(small_checkpoint) as checkpoint:
        arrays = {f"model/tower/{name}": checkpoint.read(name) for name in checkpoint.names()}
    zoo.write_checkpoint(tmp_path / "outer.npz", arrays, format="npz")
    best = fits_of(tmp_path / "outer.npz")[0]
    assert best.complete and best.outer_scope == "model/tower"


def test_a_stranger_fits_nothing(tmp_path):
    zoo.write_checkpoint(tmp_path / "x.npz", {"dense/kernel": np.ones((2, 2))}, format="npz")
    assert fits_of(tmp_path / "x.npz") == []


@pytest.mark.parametrize("missing", ["MobilenetV1/Conv2d_0/weights"])
def test_an_incomplete_one_is_counted(small_checkpoint, tmp_path, missing):
    with zoo.open_checkpoint(small_checkpoint) as checkpoint:
        arrays = {name: checkpoint.read(name) for name in checkpoint.names() if name != missing}
    zoo.write_checkpoint(tmp_path / "part.npz", arrays, format="npz")
    best = fits_of(tmp_path / "part.npz")[0]
    assert (best.matched, best.total, best.complete) == (136, 137, False)


def test_every_architecture_is_looked_at_once():
    groups = architectures()
    assert sum(len(specs) for specs in groups) == len(zoo.list_models())
    assert len([specs for specs in groups if specs[0].family == "mobilenet_v1"]) == 4
