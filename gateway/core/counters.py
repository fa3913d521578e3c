"""How much a counter counted, from values that may start anew, roll over, tremble, or be 0 for a moment."""

from collections.abc import Sequence
from typing import NamedTuple

JITTER = 0.1  # a dip of less than this share of the value is none: totals that are summed up tremble
EDGE = 0.1  # from the last tenth of the range to the first: it rolled over


class Counted(NamedTuple):
    """What a counter did in a stretch of time. Zeros are passed over: some devices wake so.

    What a counter that was never anything but 0 counts first is lost by that; what a meter has counted in all its
    life is not taken for the increase of a moment.
    """

    readings: int
    first: float  # the first that is not 0; 0 where all are
    last: float  # what the next value is compared with
    increase: float  # from first to last
    recovered: float = 0.0  # the part of it that came after a time without readings


def step(carry: float, value: float, size: float) -> float | None:
    """The increase from `carry` to `value`, which is not 0; None for a dip that counts for nothing.

    `size`: how many values it has until it rolls over; 0 where it does not.
    """
    if value >= carry:
        return value - carry
    if carry - value < abs(carry) * JITTER:
        return None
    if size and carry >= (1 - EDGE) * size and value < EDGE * size:
        return value + size - carry
    return max(value, 0)  # it started anew


def counted(values: Sequence[float], size: float) -> Counted | None:
    """What stands in `values`, by time and without missing ones; None for none."""
    if not values:
        return None
    if values[0] > 0 and list(values) == sorted(values):
        return Counted(len(values), values[0], values[-1], float(values[-1] - values[0]))
    worth = [value for value in values if value]
    if not worth:
        return Counted(len(values), 0, 0, 0.0)
    carry, increase = worth[0], worth[0] - worth[0]  # whole numbers stay exact until the end
    for value in worth[1:]:
        more = step(carry, value, size)
        if more is not None:
            increase, carry = increase + more, value
    return Counted(len(values), worth[0], carry, float(increase))


def joined(before: Counted, after: Counted, size: float, *, gap: bool) -> Counted:
    """Both stretches as one; `gap`: there were no readings for a while between them."""
    readings = before.readings + after.readings
    if not after.first:  # nothing but zeros
        return before._replace(readings=readings)
    if not before.first:
        return after._replace(readings=readings)
    more, carry, within = step(before.last, after.first, size), after.last, after.increase
    if more is None:  # `after` begins a little too low: what it counts to get back up is nothing new
        more, within = 0.0, max(0.0, within - (before.last - after.first))
        dip = step(before.last, carry, size) is None
        carry = before.last if dip else carry
    recovered = before.recovered + min(after.recovered, within) + (more if gap else 0.0)
    return Counted(readings, before.first, carry, before.increase + more + within, recovered)
