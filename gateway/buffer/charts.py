"""History for people: one point over any time.

A device's layouts follow each other, as its configuration changes: those that have the key are one history.
"""

import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby
from math import fsum
from typing import cast

from gateway.buffer.buckets import LayoutReader, fresh
from gateway.core.cells import Gauge
from gateway.core.counters import Counted
from gateway.core.model import Layout, Point, Raw
from gateway.core.picking import Columns
from gateway.core.rollup import DAY_MS, HOUR_MS, MINUTE_MS, Bucket
from gateway.core.status import History, HistoryRow, Resolution

# The coarsest that still fills a picture; the numbers of rows are for a reading a second.
RAW_UP_TO_MS = 3 * HOUR_MS  # 10,800 rows
MINUTES_UP_TO_MS = 10 * DAY_MS  # 14,400 rows

NEWEST_BLOCK = "SELECT ts_max FROM block WHERE layout = ? ORDER BY ts_max DESC LIMIT 1"
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


def history(
    connection: sqlite3.Connection, found: Sequence[Found], since: int, until: int, resolution: Resolution
) -> History:
    """The values of since <= ts < until; the minute or hour that `since` stands in is whole."""
    if resolution == "raw":
        readers = readers_of(connection, found, since, until)
        rows = {row.ts: row for reader in readers for row in _raw_rows(reader, since, until)}
        return History(resolution, tuple(rows[ts] for ts in sorted(rows)))
    step = MINUTE_MS if resolution == "1m" else HOUR_MS
    since = since // step * step
    readers = readers_of(connection, found, since // HOUR_MS * HOUR_MS, -(-until // HOUR_MS) * HOUR_MS)
    pieces: list[_Piece] = []
    for reader in readers:
        buckets = reader.minutes(since, until) if resolution == "1m" else reader.hours(since, until)
        pieces += zip(buckets, _rows(reader.points[0], buckets), strict=True)
    pieces.sort(key=lambda piece: (piece[0].ts, piece[0].first))
    grouped = (list(group) for _, group in groupby(pieces, key=lambda piece: piece[0].ts))
    return History(resolution, tuple(group[0][1] if len(group) == 1 else _together(group) for group in grouped))


def readers_of(connection: sqlite3.Connection, found: Sequence[Found], lo: int, hi: int) -> list[LayoutReader]:
    """One a layout, of those that have the unit of the newest: watts and kilowatts are no one curve."""
    alike = _alike(connection, found)
    wanted = [(layout, (index,)) for layout, index in alike]
    new = fresh(connection, wanted, lo, hi)
    return [LayoutReader(connection, one, columns) for one, columns in zip(wanted, new, strict=True)]


def _alike(connection: sqlite3.Connection, found: Sequence[Found]) -> list[Found]:
    units = {layout.points[index].unit for layout, index in found}
    if len(units) == 1:
        return list(found)

    def newest(one: Found) -> int:
        rows = connection.execute(NEWEST_BLOCK, (one[0].id,)).fetchall()
        return int(rows[0][0]) if rows else 0

    layout, index = max(found, key=newest)
    return [(other, at) for other, at in found if other.points[at].unit == layout.points[index].unit]


def _raw_rows(reader: LayoutReader, since: int, until: int) -> list[HistoryRow]:
    (point,) = reader.points
    records = reader.records(since, until)
    return [HistoryRow(ts, _number(point, raw)) for ts, raw in zip(records.times, _only(records), strict=True)]


def _only(records: Columns) -> list[Raw | None]:
    return records.values[0] if records.values else []


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
