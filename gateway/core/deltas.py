"""Columns of unsigned words, all words of a column at once: as fields of one large integer.

A column is its words one after the other, big end first, all of one width. What a loop over the words
would do, a handful of operations on the large integer does a few times faster; no carry leaves its field.
"""

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
