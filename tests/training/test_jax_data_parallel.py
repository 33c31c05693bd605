"""examples/jax_data_parallel.py, in a process of JAX's that has neither TensorFlow nor zoo.

Expected: what one device gives on the joined batch, batch norm live, but for the rounding of sums
in another order: 1e-5 of a tensor's largest number.
"""

from pathlib import Path

import numpy as np
import pytest
from tiny import coloured, tiny_model
from training.processes import result, start

import zoo

EXAMPLE = Path(__file__).parents[2] / "examples" / "jax_data_parallel.py"
CLOSE = 1e-5


@pytest.mark.slow
def test_two_devices_give_what_one_gives(tmp_path):
    pytest.importorskip("jax")
    zoo.to_native(tiny_model()).save(tmp_path / "native.keras")
    images, labels = coloured()
    np.savez(tmp_path / "data.npz", images=images, labels=labels)
    facts = result(
        start(
            "jax_script.py",
            *(EXAMPLE, tmp_path / "native.keras", tmp_path / "data.npz", tmp_path),
            KERAS_BACKEND="jax",
            XLA_FLAGS="--xla_force_host_platform_device_count=2",
        )
    )
    assert (facts["backend"], facts["devices"]) == ("jax", 2)
    assert (facts["1"]["devices"], facts["2"]["devices"]) == (1, 2)
    before = zoo.load_model(tmp_path / "native.keras").get_weights()
    with np.load(tmp_path / "1.npz") as ones, np.load(tmp_path / "2.npz") as twos:
        for name, start_value in zip(ones.files, before, strict=True):
            scale = np.abs(ones[name]).max()
            assert np.abs(ones[name] - twos[name]).max() < CLOSE * scale
            assert np.abs(ones[name] - start_value).max() > 100 * CLOSE * scale
    for name, values in facts["1"]["history"].items():
        np.testing.assert_allclose(facts["2"]["history"][name], values, rtol=CLOSE, atol=CLOSE)
