"""`.keras` files of plain Keras layers, with their weight maps."""

import keras
import networks
import pytest

from zoo.errors import ArgumentError
from zoo.export import to_keras
from zoo.native import WeightMap


@pytest.mark.parametrize("fold", [False, True])
def test_it_is_the_same_function(small, noise, tmp_path, fold):
    file, weight_map = to_keras(small, tmp_path / "new" / "small.keras", fold_batch_norm=fold)
    assert sorted(tmp_path.glob("new/*")) == sorted([file, weight_map])
    loaded = keras.saving.load_model(file)
    assert {type(layer).__module__.split(".")[0] for layer in loaded.layers} == {"keras"}
    images = noise(2, 128, 128, 3)
    expected = small.predict_on_batch(images)
    assert networks.relative_difference(loaded.predict_on_batch(images), expected) < 1e-5
    assert WeightMap.read(weight_map)[0].tf1[0] == "MobilenetV1/Conv2d_0/weights"


def test_another_name(small, tmp_path):
    with pytest.raises(ArgumentError, match=r"ends in \.keras"):
        to_keras(small, tmp_path / "small.h5")
    assert list(tmp_path.iterdir()) == []
