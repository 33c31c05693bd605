"""Expected values are the arrays that were assigned."""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import keras
import numpy as np
import pytest

from zoo import adopting
from zoo.checkpoints.tensors import aligned_empty

SHAPE = (32, 16)


@pytest.fixture(autouse=True)
def everything_is_large(monkeypatch):
    monkeypatch.setattr(adopting, "_LARGE", 0)


@pytest.fixture
def variable():
    return keras.Variable(np.zeros(SHAPE, np.float32))


def read(size: int = 32 * 16 * 4) -> np.ndarray:
    """Numbers as the reader of V2 checkpoints gives them."""
    octets = aligned_empty(size)
    numbers = octets.view(np.float32)
    numbers[:] = np.random.RandomState(0).standard_normal(numbers.shape)
    return numbers


def memory(variable) -> np.ndarray:
    return np.asarray(memoryview(variable.value.read_value()))


def test_an_array_with_memory_of_its_own_is_adopted(variable):
    values = read().reshape(SHAPE)
    adopting.Adopting(variable).assign(values)
    np.testing.assert_array_equal(variable.numpy(), values)
    assert np.shares_memory(memory(variable), values)


def test_the_adopted_memory_outlives_the_array(variable):
    values = read().reshape(SHAPE)
    expected = values.copy()
    adopting.Adopting(variable).assign(values)
    del values
    for _ in range(8):
        read()[:] = 7
    np.testing.assert_array_equal(variable.numpy(), expected)


def test_training_an_adopted_variable_leaves_what_was_read_before(variable):
    values = read().reshape(SHAPE)
    expected = values.copy()
    adopting.Adopting(variable).assign(values)
    before = variable.value.read_value()
    variable.value.assign_sub(np.ones(SHAPE, np.float32))
    np.testing.assert_array_equal(before, expected)
    np.testing.assert_array_equal(variable.numpy(), expected - 1)


def part_of_a_larger_array():
    return read(2 * 32 * 16 * 4)[: 32 * 16].reshape(SHAPE)


def at_an_odd_address():
    octets = aligned_empty(32 * 16 * 4 + 4)
    numbers = octets[4:].view(np.float32).reshape(SHAPE)
    numbers[:] = 2
    return numbers


def in_bytes():
    return np.frombuffer(read().tobytes(), np.float32).reshape(SHAPE)


def in_fortran_order():
    return read().reshape(SHAPE[::-1]).T


@pytest.mark.parametrize(
    "make", [part_of_a_larger_array, at_an_odd_address, in_bytes, in_fortran_order]
)
def test_other_arrays_are_copied(variable, make):
    values = make()
    adopting.Adopting(variable).assign(values)
    np.testing.assert_array_equal(variable.numpy(), values)
    assert not np.shares_memory(memory(variable), values)


def test_a_small_array_is_copied(variable, monkeypatch):
    monkeypatch.setattr(adopting, "_LARGE", 1 << 24)
    values = read().reshape(SHAPE)
    adopting.Adopting(variable).assign(values)
    np.testing.assert_array_equal(variable.numpy(), values)
    assert not np.shares_memory(memory(variable), values)


def test_another_dtype_is_converted():
    variable = keras.Variable(np.zeros(SHAPE), dtype="bfloat16")
    adopting.Adopting(variable).assign(np.full(SHAPE, 1.5, np.float32))
    assert variable.numpy().dtype.name == "bfloat16"
    assert (variable.numpy().astype(np.float32) == 1.5).all()


def test_a_wrong_shape_changes_nothing(variable):
    with pytest.raises(ValueError, match="shape"):
        adopting.Adopting(variable).assign(read())
    assert not variable.numpy().any()
