"""What a point comes to in one bucket: a cell, by its kind. Values are as the device holds them."""

import math
import sys
from collections.abc import Callable, Sequence
from typing import NamedTuple

from gateway.core.counters import Counted, counted, joined
from gateway.core.model import Point


class Gauge(NamedTuple):
    readings: int
    low: float
    high: float
    total: float  # the mean is total / readings
    last: float
    lag: int = 0  # of a minute: ms from `last` to its last record, which may lack the point


class State(NamedTuple):
    """Of an enum or a bitfield."""

    readings: int
    last: float
    lag: int = 0  # as a gauge's


Cell = Gauge | Counted | State | None
"""One point in one bucket; None without a value, and for text."""


def is_plotted(point: Point) -> bool:
    """Whether roll-ups have something of `point`."""
    return not point.type.startswith("text")


def size_of(point: Point) -> int:
    """How many values a counter has until it rolls over; 0: it does not."""
    return 1 << int(point.type[1:]) if point.type[0] == "u" else 0


def cell_maker(point: Point) -> Callable[[list[float]], Cell]:
    """What makes a cell of the values of a bucket, by time and without missing ones."""
    if point.kind == "gauge":
        return _gauge
    if point.kind == "counter":
        size = size_of(point)
        return lambda values: counted(_finite(values), size)
    return lambda values: State(len(values), values[-1]) if values else None


def _gauge(values: list[float]) -> Gauge | None:
    if not values:
        return None
    try:
        total = math.fsum(values)
    except (OverflowError, ValueError):  # beyond a float, or inf - inf
        total = math.nan
    if not math.isfinite(total):
        return _odd_gauge(_finite(values))
    return Gauge(len(values), min(values), max(values), total, values[-1])


def _odd_gauge(values: list[float]) -> Gauge | None:
    """Of values some of which were infinite or not a number, which counts as missing; or whose sum is."""
    if not values:
        return None
    middle = math.fsum(value / len(values) for value in values)
    total = max(-sys.float_info.max, min(sys.float_info.max, middle * len(values)))
    return Gauge(len(values), min(values), max(values), total, values[-1])


def _finite(values: list[float]) -> list[float]:
    return values if all(map(math.isfinite, values)) else [value for value in values if math.isfinite(value)]


def whole(point: Point, column: Sequence[Cell], gaps: Sequence[bool]) -> Cell:
    """One cell of many that follow each other; `gaps`: of each whether there were no readings before it for a while."""
    gauges = [cell for cell in column if isinstance(cell, Gauge)]
    if gauges:
        low, high = min(cell.low for cell in gauges), max(cell.high for cell in gauges)
        total = _sum([cell.total for cell in gauges])
        return Gauge(sum(cell.readings for cell in gauges), low, high, total, gauges[-1].last)
    made: Cell = None
    for cell, gap in zip(column, gaps, strict=True):
        made = follow(point, made, cell, gap)
    return made._replace(lag=0) if isinstance(made, State) else made


def _sum(totals: Sequence[float]) -> float:
    try:
        return math.fsum(totals)
    except OverflowError:
        return math.copysign(sys.float_info.max, max(totals, key=abs))


def follow(point: Point, before: Cell, after: Cell, gap: bool) -> Cell:
    """One cell of two, where the second begins when the first has ended."""
    if before is None or after is None:
        return before or after
    if isinstance(before, Gauge) and isinstance(after, Gauge):
        low, high = min(before.low, after.low), max(before.high, after.high)
        total = _sum((before.total, after.total))
        return Gauge(before.readings + after.readings, low, high, total, after.last, after.lag)
    if isinstance(before, Counted) and isinstance(after, Counted):
        return joined(before, after, size_of(point), gap=gap)
    assert not isinstance(after, Counted), "all cells of a point are of one kind"
    return State(before.readings + after.readings, after.last, after.lag)


def lagging(cell: Cell, ms: int) -> Cell:
    """The same where the last record is `ms` later."""
    return cell._replace(lag=cell.lag + ms) if ms and isinstance(cell, Gauge | State) else cell


def crossed(point: Point, cell: Cell, more: Cell) -> Cell:
    """Of two cells whose times cross; both lag behind the same record."""
    if cell is None or more is None:
        return cell or more
    if isinstance(cell, Counted):
        return cell._replace(readings=cell.readings + more.readings)
    is_newer = isinstance(more, Gauge | State) and more.lag < cell.lag
    return follow(point, cell, more, False) if is_newer else follow(point, more, cell, False)
