"""Chance that is the same every time: a smooth curve for each name."""

from math import floor
from zlib import crc32


def noise(name: str, at: float) -> float:
    """Between -1 and 1; one knot at every whole `at`, a straight line between two of them."""
    knot = floor(at)
    here, there = _chance(name, knot), _chance(name, knot + 1)
    return here + (there - here) * (at - knot)


def _chance(name: str, knot: int) -> float:
    mixed = crc32(f"{name}/{knot}".encode()) * 2654435761 & 0xFFFFFFFF  # Knuth's multiplier: near knots fall apart
    return mixed / 0x7FFFFFFF - 1
