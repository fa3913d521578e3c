"""History for people, from records, minutes and hours, wherever these are kept; pure.

A device's layouts follow each other, as its configuration changes: those that have the key are one history.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import groupby
from math import fsum
from typing import cast

from gateway.core.cells import Gauge
from gateway.core.counters import Counted
from gateway.core.model import Layout, Point, Raw
from gateway.core.picking import Columns
from gateway.core.rollup import DAY_MS, HOUR_MS, Bucket
from gateway.core.status import HistoryRow, Resolution

# The coarsest that still fills a picture; the numbers of rows are for a reading a second.
RAW_UP_TO_MS = 3 * HOUR_MS  # 10,800 rows
MINUTES_UP_TO_MS = 10 * DAY_MS  # 14,400 rows

Found = tuple[Layout, int]
"""A layout, and which of its points is asked for."""
_Piece = tuple[Bucket, HistoryRow]


def resolution_for(since: int, until: int) -> Resolution:
    """The coarsest resolution that fills a picture of that time."""
    if until - since <= RAW_UP_TO_MS:
        return "raw"
    return "1m" if until - since <= MINUTES_UP_TO_MS else "1h"


def layouts_with(layouts: Iterable[Layout], device: str, key: str) -> list[Found]:
    """Where the point stands. Raises KeyError where the device has, and had, none."""
    found = [
        (layout, index)
        for layout in layouts
        if layout.device == device
        for index, point in enumerate(layout.points)
        if point.key == key
    ]
    if not found:
        raise KeyError(f"{device} has no point {key}")
    return found


def of_one_unit(found: Sequence[Found], newest: Callable[[Found], int]) -> list[Found]:
    """Those that have the unit of the newest, by the ts of its newest record: watts and kilowatts are no one curve."""
    if len({layout.points[index].unit for layout, index in found}) == 1:
        return list(found)
    layout, index = max(found, key=newest)
    return [(other, at) for other, at in found if other.points[at].unit == layout.points[index].unit]


def of_records(parts: Iterable[tuple[Point, Columns]]) -> tuple[HistoryRow, ...]:
    """A row a record, by time; each part has the one point."""
    rows = {
        ts: HistoryRow(ts, _number(point, raw))
        for point, records in parts
        for ts, raw in zip(records.times, records.values[0] if records.values else [], strict=True)
    }
    return tuple(rows[ts] for ts in sorted(rows))


def of_buckets(parts: Iterable[tuple[Point, Sequence[Bucket]]]) -> tuple[HistoryRow, ...]:
    """A row a minute or an hour, by time; each bucket has the one point's cell."""
    pieces: list[_Piece] = []
    for point, buckets in parts:
        pieces += zip(buckets, _rows(point, buckets), strict=True)
    pieces.sort(key=lambda piece: (piece[0].ts, piece[0].first))
    grouped = (list(group) for _, group in groupby(pieces, key=lambda piece: piece[0].ts))
    return tuple(group[0][1] if len(group) == 1 else _together(group) for group in grouped)


def _rows(point: Point, buckets: Iterable[Bucket]) -> Iterator[HistoryRow]:
    plain = point.conversion is None

    def number(raw: float) -> float:
        return raw if plain else cast(float, point.value(raw))

    for bucket in buckets:
        cell = bucket.cells[0]
        if isinstance(cell, Gauge):
            yield HistoryRow(bucket.ts, number(cell.total / cell.readings), number(cell.low), number(cell.high))
        elif isinstance(cell, Counted):
            yield HistoryRow(bucket.ts, number(cell.last), number(cell.first), number(cell.last))
        else:
            yield HistoryRow(bucket.ts, number(cell.last) if cell else None)


def _together(pieces: Sequence[_Piece]) -> HistoryRow:
    """Where a new layout began within the bucket: means are weighed, of all else the newest counts."""
    known = [(cell, row) for bucket, row in pieces if (cell := bucket.cells[0]) is not None]
    if not known:
        return pieces[0][1]
    first, last = known[0][1], known[-1][1]
    gauges = [cell for cell, _ in known if isinstance(cell, Gauge)]
    if len(gauges) < len(known):
        return HistoryRow(last.ts, last.value, first.low, last.high)
    value = fsum((row.value or 0) * cell.readings for cell, row in known) / sum(cell.readings for cell in gauges)
    low, high = min(row.low or 0 for _, row in known), max(row.high or 0 for _, row in known)  # a gauge has all three
    return HistoryRow(last.ts, value, low, high)


def _number(point: Point, raw: Raw | None) -> float | None:
    value = point.value(raw)
    return value if isinstance(value, int | float) else None
