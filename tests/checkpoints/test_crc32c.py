import numpy as np
import pytest

from zoo.checkpoints.crc32c import crc32c, mask, masked_crc32c


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        (b"", 0),
        (b"123456789", 0xE3069283),  # the check value in the catalogue of CRC algorithms
        (bytes(32), 0x8A9136AA),  # this and the next three: RFC 3720, appendix B.4
        (b"\xff" * 32, 0x62A8AB43),
        (bytes(range(32)), 0x46DD794E),
        (bytes(reversed(range(32))), 0x113FDB5C),
    ],
)
def test_published_values(message, expected):
    assert crc32c(message) == expected


def bit_by_bit(message: bytes) -> int:
    """The definition of a reflected CRC, one bit at a time."""
    register = 0xFFFFFFFF
    for octet in message:
        register ^= octet
        for _ in range(8):
            register = register >> 1 ^ (0x82F63B78 if register & 1 else 0)
    return register ^ 0xFFFFFFFF


@pytest.mark.parametrize("size", [1, 3, 4, 5, 255, 256, 257, 4099, 65536, 65541, 140003])
def test_every_path_equals_the_definition(size):
    message = np.random.RandomState(size).bytes(size)
    assert crc32c(message) == bit_by_bit(message)


def test_arrays_and_views_count_as_their_bytes():
    array = np.arange(1000, dtype=np.float32)
    assert crc32c(array) == crc32c(array.tobytes()) == crc32c(memoryview(array.tobytes()))


def test_masking():
    # Of crc32c("foo"): the value in TensorFlow's TFRecord files is rotated by 15 and offset.
    crc = crc32c(b"foo")
    assert masked_crc32c(b"foo") == mask(crc) == ((crc >> 15 | crc << 17) + 0xA282EAD8) % 2**32
