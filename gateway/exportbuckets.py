"""Minutes and hours out of the buffer's file, what is not rolled up yet included; a day at most in memory."""

import sqlite3
from collections.abc import Iterator, Mapping
from itertools import chain
from typing import NamedTuple

from gateway.bar import Step
from gateway.buffer.buckets import LayoutReader, fresh
from gateway.bufferfile import snapshot
from gateway.core.cells import Cell, Gauge
from gateway.core.counters import Counted
from gateway.core.model import Point, Raw
from gateway.core.picking import Columns
from gateway.core.rollup import DAY_MS, HOUR_MS, MINUTE_MS
from gateway.export import Choice, Picked

BUCKET_MS = {"1m": MINUTE_MS, "1h": HOUR_MS}
NOTHING = Columns([], [], [])
MEAN_DIGITS = 12
CELLS_AT_ONCE = 200_000
DAYS_ROLLED = "SELECT ts FROM rollup_1h WHERE layout = ? AND ts > ? AND ts < ?"
STALE_HOURS = "SELECT hour FROM stale_hour WHERE layout = ? AND hour > ? AND hour < ?"


class Summary(NamedTuple):
    """One point in one bucket, in its unit: the mean of a gauge and its range; where a counter ended and began."""

    point: Point
    value: Raw | None
    low: Raw | None
    high: Raw | None
    readings: int


class Rolled(NamedTuple):
    """One bucket of what is asked for of a layout."""

    ts: int
    picked: Picked
    summaries: list[Summary]


def rolled(
    db: sqlite3.Connection, picked: Mapping[bytes, Picked], choice: Choice, resolution: str, step: Step
) -> Iterator[Rolled]:
    """The buckets that begin in the chosen time: by time, device and poll group. One snapshot for each stretch."""
    bucket_ms = BUCKET_MS[resolution]
    with snapshot(db):
        new = {ts // HOUR_MS * HOUR_MS for ts in _unrolled(db, picked, choice)}
        days = sorted({ts // DAY_MS * DAY_MS for ts in new | _rolled(db, picked, choice)})
    points = sum(len(one.places) for one in picked.values())
    stretch = min(DAY_MS, max(HOUR_MS, CELLS_AT_ONCE // max(1, points) * bucket_ms // HOUR_MS * HOUR_MS))
    for done, day in enumerate(days):
        step(done, len(days))
        for start in range(day, day + DAY_MS, stretch):
            lo, hi = max(start, choice.since), min(start + stretch, day + DAY_MS, choice.until)
            if lo < hi:
                yield from _stretch(db, picked, range(lo, hi), bucket_ms, new)


def _stretch(
    db: sqlite3.Connection, picked: Mapping[bytes, Picked], within: range, bucket_ms: int, new: set[int]
) -> list[Rolled]:
    """The buckets that begin in so many ms; `new` are the hours that have records which are not rolled up yet."""
    lo, hi = within.start, within.stop
    hours = range(lo // HOUR_MS * HOUR_MS, hi, HOUR_MS)
    wanted = [(one.layout, one.places) for one in picked.values()]
    found: list[Rolled] = []
    with snapshot(db):
        is_rolled = new.isdisjoint(hours)  # then the tail need not be unpacked once more
        ours = [NOTHING] * len(wanted) if is_rolled else fresh(db, wanted, hours[0], hours[-1] + HOUR_MS)
        for one, columns in zip(picked.values(), ours, strict=True):
            reader = LayoutReader(db, (one.layout, one.places), columns)
            buckets = reader.minutes(lo, hi) if bucket_ms == MINUTE_MS else reader.hours(lo, hi)
            found += [Rolled(bucket.ts, one, list(_summaries(one, bucket.cells))) for bucket in buckets]
    return sorted(found, key=lambda bucket: (bucket.ts, bucket.picked.order))


def _unrolled(db: sqlite3.Connection, picked: Mapping[bytes, Picked], choice: Choice) -> Iterator[int]:
    """The times of the records that are not rolled up yet."""
    of_layouts = fresh(db, [(one.layout, ()) for one in picked.values()], choice.since, choice.until)
    return chain.from_iterable(columns.times for columns in of_layouts)


def _rolled(db: sqlite3.Connection, picked: Mapping[bytes, Picked], choice: Choice) -> set[int]:
    """When the days and hours begin that have roll-ups."""
    return {
        ts
        for layout_id in picked
        for query in (DAYS_ROLLED, STALE_HOURS)
        for (ts,) in db.execute(query, (layout_id, choice.since - DAY_MS, choice.until))
    }


def _summaries(picked: Picked, cells: list[Cell]) -> Iterator[Summary]:
    for place, point, cell in zip(picked.places, picked.points, cells, strict=True):
        if cell is None:
            continue
        value, low, high = picked.value(place, cell.last), None, None
        if isinstance(cell, Gauge):
            value = _tidy(point.value(cell.total / cell.readings))
            low, high = picked.value(place, cell.low), picked.value(place, cell.high)
        elif isinstance(cell, Counted):
            low, high = picked.value(place, cell.first), value
        yield Summary(point, value, low, high, cell.readings)


def _tidy(mean: Raw | None) -> Raw | None:
    """Without the last digits, which are only those of binary fractions: 400.14, not 400.14000000000004."""
    return float(f"{mean:.{MEAN_DIGITS}g}") if isinstance(mean, float) else mean
