"""Without a TPU: the errors, and what is asked of batches. No test here has seen a TPU."""

import pytest
import tensorflow as tf

import zoo.training
from zoo.errors import ArgumentError, UnsupportedEnvironmentError
from zoo.training.batches import give_out


@pytest.mark.parametrize("address", [None, "", "local"])
def test_a_machine_without_a_tpu_is_told_what_to_do(address, monkeypatch):
    monkeypatch.delenv("TPU_NAME", raising=False)
    with pytest.raises(UnsupportedEnvironmentError) as raised:
        zoo.training.tpu_strategy(address)
    assert "TensorFlow says" in str(raised.value)
    assert "tensorflow-tpu" in str(raised.value)


class OneDeviceAsTpu(tf.distribute.OneDeviceStrategy):
    num_replicas_in_sync = 4


def test_a_tpu_takes_only_batches_that_its_replicas_share_evenly(monkeypatch):
    monkeypatch.setattr(tf.distribute, "TPUStrategy", OneDeviceAsTpu)
    uneven = tf.data.Dataset.from_tensor_slices(tf.zeros([10, 3])).batch(4)
    with pytest.raises(ArgumentError, match="drop_remainder=True"):
        give_out(OneDeviceAsTpu("CPU:0"), uneven)
    with pytest.raises(ArgumentError, match="a multiple of 4"):
        give_out(OneDeviceAsTpu("CPU:0"), tf.zeros([12, 3]), batch_size=6)
