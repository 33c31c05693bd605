"""CRC-32C, the checksum TensorFlow's checkpoint files carry, at hundreds of MB/s in NumPy.

A CRC is linear: the checksum of a long message is the exclusive or of what each of its words
gives. So the message is laid out in rows, and a whole row is carried over the next one at once.
"""

from __future__ import annotations

import functools

import numpy as np

_POLYNOMIAL = 0x82F63B78  # Castagnoli, bits reversed: RFC 3720, appendix B.4.
_ROW_WORDS = 1 << 14  # 64 KiB a row: the two tables and the row stay in the processor's cache.
_MASK_DELTA = 0xA282EAD8  # Stored checksums are rotated and offset so (LevelDB table format).


def crc32c(data) -> int:
    """The CRC-32C of bytes, a memoryview or a contiguous array."""
    octets = np.frombuffer(data, np.uint8)
    head = octets.size % 4
    register = _bytewise(octets[:head], 0xFFFFFFFF)
    if octets.size >= 4:
        register = _wordwise(octets[head:].view("<u4"), register)
    return register ^ 0xFFFFFFFF


def masked_crc32c(data) -> int:
    """The CRC-32C of `data` in the masked form in which TensorFlow stores it."""
    return mask(crc32c(data))


def mask(crc: int) -> int:
    return ((crc >> 15 | crc << 17) + _MASK_DELTA) & 0xFFFFFFFF


@functools.cache
def _byte_table() -> list[int]:
    table = []
    for value in range(256):
        for _ in range(8):
            value = value >> 1 ^ (_POLYNOMIAL if value & 1 else 0)
        table.append(value)
    return table


def _bytewise(octets: np.ndarray, register: int) -> int:
    table = _byte_table()
    for octet in octets.tolist():
        register = table[(register ^ octet) & 0xFF] ^ register >> 8
    return register


def _wordwise(words: np.ndarray, register: int) -> int:
    if words.size < 64:  # Below this, a plain loop is faster than array calls.
        return _bytewise(words.view(np.uint8), register)
    width = min(_ROW_WORDS, 1 << (words.size.bit_length() - 1))
    first = words.size % width
    row = np.zeros(width, "<u4")  # Leading zero words do not change a CRC.
    if first:
        row[width - first :] = words[:first]
        row[width - first] ^= np.uint32(register)
        rows = words[first:].reshape(-1, width)
    else:
        row[:] = words[:width]
        row[0] ^= np.uint32(register)
        rows = words[width:].reshape(-1, width)
    row = _fold(row, rows)
    while width > 1:
        width //= 2
        row = _shift(row[:width], width) ^ row[width:]
    return int(_shift(row, 1)[0])


def _fold(row: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Carries a row of registers over all rows that follow; `_shift` without new arrays."""
    width = row.size
    low, high = _shift_tables(width)
    halves = row.view("<u2")
    index = np.empty(width, np.intp)
    from_low, from_high = np.empty_like(row), np.empty_like(row)
    for following in rows:
        index[:] = halves[0::2]
        low.take(index, out=from_low, mode="clip")
        index[:] = halves[1::2]
        high.take(index, out=from_high, mode="clip")
        np.bitwise_xor(from_low, from_high, out=row)
        np.bitwise_xor(row, following, out=row)
    return row


def _shift(registers: np.ndarray, words: int) -> np.ndarray:
    """What each register becomes after `words` zero words more (a power of two)."""
    low, high = _shift_tables(words)
    return low[registers & 0xFFFF] ^ high[registers >> 16]


@functools.cache
def _shift_tables(words: int) -> tuple[np.ndarray, np.ndarray]:
    """Tables of a shift by zero words, for the low and the high half of a register."""
    bits = np.left_shift(np.uint32(1), np.arange(32, dtype=np.uint32))
    if words == 1:
        images = np.array([_bytewise(np.zeros(4, np.uint8), bit) for bit in bits.tolist()])
        images = images.astype(np.uint32)
    else:
        images = _shift(_shift(bits, words // 2), words // 2)
    return _combinations(images[:16]), _combinations(images[16:])


def _combinations(images: np.ndarray) -> np.ndarray:
    """The exclusive or of every subset of 16 words, at the index with those bits set."""
    table = np.zeros(1, np.uint32)
    for image in images:
        table = np.concatenate([table, table ^ image])
    return table
