"""Native models in files: `.keras` and `.weights.h5`, loaded without zoo, on other backends."""

import networks
import numpy as np
import pytest
import recipe

import zoo
from zoo.native import to_native


@pytest.fixture(scope="module", params=["mobilenet_v1_025", "cifarnet"])
def native(request):
    """One with batch norm, and one with operations of keras.ops (local response norm)."""
    spec = networks.registered()[request.param]
    model = zoo.load(spec.name, weights=None)
    networks.give_weights(model.network)
    return to_native(model)


@pytest.mark.slow
def test_saved_here_and_loaded_elsewhere(native, backends, tmp_path):
    shape = (2, *native.input_shape[1:])
    expected = native.predict_on_batch(recipe.images(shape))
    native.save(tmp_path / "native.keras")
    native.save_weights(tmp_path / "native.weights.h5")
    (tmp_path / "native.json").write_text(native.to_json())
    for backend in backends:
        for files in (
            {"keras": tmp_path / "native.keras"},
            {"config": tmp_path / "native.json", "weights": tmp_path / "native.weights.h5"},
        ):
            result = backend.run(tmp_path, shape, **files)
            # Probabilities, each other's to the rounding of two backends.
            assert networks.relative_difference(result, expected) < 1e-5
            assert np.argmax(result, -1).tolist() == np.argmax(expected, -1).tolist()
