"""Columns of unsigned words, all words of a column at once: as fields of one large integer.

A column is its words one after the other, big end first, all of one width. What a loop over the words
would do, a handful of operations on the large integer does a few times faster; no carry leaves its field.
"""

import struct
from functools import lru_cache


@lru_cache(maxsize=16)  # for a large pack each is a megabyte
def _marks(count: int, width: int) -> tuple[int, int, int]:
    """The lowest bit of each field, the highest, and all but the highest."""
    ones = int.from_bytes((b"\0" * (width - 1) + b"\1") * count)
    tops = ones << (8 * width - 1)
    return ones, tops, ((ones << 8 * width) - ones) ^ tops


def deltas(column: bytes, width: int) -> bytes:
    """Zigzag of each word's difference to the one before, modulo the width; the first to 0."""
    ones, tops, rest = _marks(len(column) // width, width)
    bits = 8 * width
    words = int.from_bytes(column)
    before = words >> bits
    changes = ((words | tops) - (before & rest)) ^ ((words ^ before) & tops ^ tops)
    negative = (changes >> (bits - 1)) & ones
    return ((changes & rest) << 1 ^ (negative << bits) - negative).to_bytes(len(column))


def sums(zigzag: bytes, width: int) -> bytes:
    """The inverse of `deltas`."""
    count = len(zigzag) // width
    ones, tops, rest = _marks(count, width)
    bits = 8 * width
    packed = int.from_bytes(zigzag)
    negative = packed & ones
    words = (packed >> 1) & rest ^ (negative << bits) - negative
    if not words & (1 << bits * (count - 1)) - 1:  # it never changes, as most do
        return words.to_bytes(len(zigzag))[:width] * count
    reach = 1
    while reach < count:  # each word is the sum of the last `reach` changes
        moved = words >> bits * reach
        words = ((words & rest) + (moved & rest)) ^ ((words ^ moved) & tops)
        reach *= 2
    return words.to_bytes(len(zigzag))


@lru_cache(maxsize=64)
def _row_marks(widths: bytes) -> tuple[int, int]:
    """Of fields of these widths side by side: the highest bit of each, and all but the highest."""
    tops = int.from_bytes(b"".join(b"\x80" + bytes(width - 1) for width in widths))
    return tops, (1 << 8 * sum(widths)) - 1 ^ tops


def summed_rows(zigzag: bytes, widths: bytes) -> list[bytes]:
    """The inverse of `deltas` for all columns at once, row by row: `zigzag` has the columns of a row side by side."""
    tops, rest = _row_marks(widths)
    size, row, rows = sum(widths), 0, []
    for (packed,) in struct.iter_unpack(f"{size}s", _unzigzag(zigzag, widths)):
        change = int.from_bytes(packed)
        row = ((row & rest) + (change & rest)) ^ ((row ^ change) & tops)
        rows.append(row.to_bytes(size))
    return rows


@lru_cache(maxsize=16)
def _lowest(widths: bytes, count: int) -> tuple[int, list[tuple[int, int]]]:
    """Of `count` rows: all but the highest bit of each field; of each width its bits, and the lowest bit of each."""
    _, rest = _row_marks(widths)
    lowest = [
        (8 * each, int.from_bytes(b"".join(bytes(width - 1) + bytes([width == each]) for width in widths) * count))
        for each in sorted(set(widths))
    ]
    return int.from_bytes(rest.to_bytes(sum(widths)) * count), lowest


def _unzigzag(zigzag: bytes, widths: bytes) -> bytes:
    rest, lowest = _lowest(widths, len(zigzag) // sum(widths))
    packed = int.from_bytes(zigzag)
    words = (packed >> 1) & rest
    for bits, ones in lowest:
        if negative := packed & ones:
            words ^= (negative << bits) - negative
    return words.to_bytes(len(zigzag))


def planes(column: bytes, width: int) -> bytes:
    """The bytes of equal weight side by side."""
    return b"".join([column[weight::width] for weight in range(width)]) if width > 1 else column


def unplaned(column: bytes, width: int) -> bytes:
    """The inverse of `planes`."""
    if width == 1:
        return column
    count = len(column) // width
    words = bytearray(len(column))
    for weight in range(width):
        words[weight::width] = column[weight * count : (weight + 1) * count]
    return bytes(words)
