"""How many records an hour should have: as many as the layout's usual distance fits into it; pure."""

from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from statistics import median

from gateway.core.rollup import HOUR_MS

FULL = 3  # records that it takes to speak of a usual distance


def usual_ms(times: Sequence[int], by_hour: Mapping[int, int]) -> float | None:
    """The usual distance of records: the median of that of some, by time; else as in the fullest hour; None: nobody
    knows."""
    if len(times) >= FULL:
        return median(after - before for before, after in pairwise(times)) or None
    most = max(by_hour.values(), default=0)
    return HOUR_MS / most if most >= FULL else None


def expected(hour: int, begin: int, end: int, usual: float) -> int:
    """Of the hour from `hour` on, in what of it lies in begin <= ts < end."""
    return max(0, int((min(hour + HOUR_MS, end) - max(hour, begin)) / usual))


def ends(begins: Iterable[tuple[int, int]], now: int) -> dict[int, int]:
    """When each series ended, of (series, begin) of one poll group: each when the next one begins, the last now."""
    ordered = sorted(begins, key=lambda one: one[1])
    nexts = [begin for _, begin in ordered[1:]] + [now]
    return {series: end for (series, _), end in zip(ordered, nexts, strict=True)}
