"""Whole numbers of any size as bytes, 7 bits each, low ones first; signed ones by zigzag."""

from collections.abc import Iterable
from itertools import accumulate

from gateway.core.errors import CodecError

HEADS = 2  # the first numbers of a curve: where it begins, and its step
SIGNED = [-(zigzag >> 1) if zigzag & 1 else zigzag >> 1 for zigzag in range(128)]  # of a byte by itself


def put(out: bytearray, number: int) -> None:
    """Append `number`, 0 or more."""
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)


def put_curve(out: bytearray, numbers: Iterable[int]) -> None:
    """Append `numbers` as second differences: a steady step, as of seq and of time, costs a byte each."""
    last = step = 0
    for number in numbers:
        bend = number - last - step
        put(out, bend << 1 if bend >= 0 else -bend << 1 | 1)
        step, last = number - last, number


class Reader:
    """Takes numbers and bytes off the front of `data`; raises CodecError where it ends too early."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    def number(self, most: int) -> int:
        """The next number; CodecError above `most`, so that a corrupt length allocates nothing."""
        number = shift = 0
        while True:
            if self._at >= len(self._data) or shift > 70:
                raise CodecError(f"truncated at byte {self._at}")
            byte = self._data[self._at]
            self._at += 1
            number |= (byte & 0x7F) << shift
            if byte < 0x80:
                break
            shift += 7
        if number > most:
            raise CodecError(f"{number} at byte {self._at} where at most {most} can be")
        return number

    def curve(self, count: int) -> list[int]:
        """The next `count` numbers that `put_curve` put; CodecError where one has more than 10 bytes."""
        first = min(count, HEADS)
        bends = [self._bend() for _ in range(first)]
        rest = self._data[self._at : self._at + count - first]
        if rest.isascii() and len(rest) == count - first:  # a byte each, as of all that keeps a steady pace
            self._at += len(rest)
            bends += map(SIGNED.__getitem__, rest)
        else:
            bends += [self._bend() for _ in range(count - first)]
        return list(accumulate(accumulate(bends)))

    def _bend(self) -> int:
        """The next signed number, of 10 bytes at most."""
        data, at = self._data, self._at
        try:
            bend = byte = data[at]
            at += 1
            shift = 7
            while byte > 0x7F:
                byte = data[at]
                at += 1
                bend += (byte - 1) << shift  # the mark of the byte before counts for 1 in this one
                shift += 7
                if shift > 70:
                    raise CodecError(f"a number of more than 10 bytes before byte {at}")
        except IndexError:
            raise CodecError(f"truncated at byte {len(data)}") from None
        self._at = at
        return -(bend >> 1) if bend & 1 else bend >> 1

    def bytes(self, count: int) -> bytes:
        if self._at + count > len(self._data):
            raise CodecError(f"truncated at byte {len(self._data)}, {count} bytes were due at {self._at}")
        taken = self._data[self._at : self._at + count]
        self._at += count
        return taken

    @property
    def exhausted(self) -> bool:
        return self._at == len(self._data)
