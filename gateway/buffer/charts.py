"""History for people: one point over any time.

A device's layouts follow each other, as its configuration changes: those that have the key are one history.
"""

import sqlite3
from collections.abc import Iterable, Sequence

from gateway.buffer.buckets import LayoutReader, fresh
from gateway.buffer.counters import Counted
from gateway.buffer.rollup import DAY_MS, HOUR_MS, MINUTE_MS, Bucket, Cell, Gauge
from gateway.core.codec import Columns
from gateway.core.model import Layout, Point, Raw
from gateway.core.status import History, HistoryRow, Resolution

# The coarsest that still fills a picture; the numbers of rows are for a reading a second.
RAW_UP_TO_MS = 3 * HOUR_MS  # 10,800 rows
MINUTES_UP_TO_MS = 10 * DAY_MS  # 14,400 rows

NEWEST_BLOCK = "SELECT ts_max FROM block WHERE layout = ? ORDER BY ts_max DESC LIMIT 1"
Found = tuple[Layout, int]
"""A layout, and which of its points is asked for."""


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
    cells: dict[int, list[tuple[Bucket, Point]]] = {}
    for reader in readers:
        for bucket in reader.minutes(since, until) if resolution == "1m" else reader.hours(since, until):
            cells.setdefault(bucket.ts, []).append((bucket, reader.points[0]))
    return History(resolution, tuple(_row(ts, cells[ts]) for ts in sorted(cells)))


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


def _row(ts: int, of_layouts: Sequence[tuple[Bucket, Point]]) -> HistoryRow:
    """Several where a new layout began within the bucket: means are weighed, lasts are of the newest."""
    pieces = sorted(of_layouts, key=lambda piece: piece[0].first)
    parts = [(bucket.cells[0], *_values(point, bucket.cells[0])) for bucket, point in pieces]
    parts = [part for part in parts if part[0] is not None]
    if len(parts) < 2:
        return HistoryRow(ts, *parts[0][1:]) if parts else HistoryRow(ts, None)
    value = parts[-1][1]
    readings = sum(cell.readings for cell, *_ in parts if cell)
    if all(isinstance(cell, Gauge) for cell, *_ in parts):
        value = sum(mean * cell.readings for cell, mean, *_ in parts if cell and mean is not None) / readings
        lows = [low for *_, low, _ in parts if low is not None]
        return HistoryRow(ts, value, min(lows), max(high for *_, high in parts if high is not None))
    return HistoryRow(ts, value, parts[0][2], parts[-1][3])


def _values(point: Point, cell: Cell) -> tuple[float | None, float | None, float | None]:
    """Value, low and high in the point's unit."""
    if isinstance(cell, Gauge):
        mean = cell.total / cell.readings
        return _number(point, mean), _number(point, cell.low), _number(point, cell.high)
    if isinstance(cell, Counted):
        last = _number(point, cell.last)
        return last, _number(point, cell.first), last
    return (_number(point, cell.last), None, None) if cell else (None, None, None)


def _number(point: Point, raw: Raw | None) -> float | None:
    value = point.value(raw)
    return value if isinstance(value, int | float) else None
