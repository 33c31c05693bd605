import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from zoo.checkpoints import wire


def test_example_of_the_documentation():
    # https://protobuf.dev/programming-guides/encoding/: field 1 is 150; field 2 is "testing".
    message = bytes.fromhex("089601120774657374696e67")
    (first, second) = wire.fields(message)
    assert first == (1, wire.VARINT, 150)
    assert wire.text(message, *second[1:]) == "testing"
    assert wire.encode_field(1, 150) + wire.encode_field(2, b"testing") == message


@given(st.lists(st.integers(-(2**63), 2**63 - 1), max_size=40))
def test_packed_numbers_read_back(numbers):
    packed = b"".join(wire.encode_varint(number % 2**64) for number in numbers)
    assert wire.packed_varints(packed, (0, len(packed))).tolist() == numbers


def test_packed_numbers_that_are_cut_off():
    with pytest.raises(wire.WireError):
        wire.packed_varints(b"\x01\x80", (0, 2))
    with pytest.raises(wire.WireError):
        wire.packed_varints(b"\xff" * 11 + b"\x01", (0, 12))


@given(st.binary(max_size=60))
def test_any_bytes_parse_or_raise_wire_error(message):
    try:
        for _, kind, value in wire.fields(message):
            if kind != wire.VARINT:
                assert 0 <= value[0] <= value[1] <= len(message)
    except wire.WireError:
        pass


def test_signed():
    assert wire.signed(2**64 - 1) == -1
    assert wire.signed(2**63 - 1) == 2**63 - 1
    assert wire.packed_varints(b"", (0, 0)).dtype == np.int64
