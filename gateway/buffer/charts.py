"""One point over any time, from the buffer."""

import sqlite3
from collections.abc import Sequence

from gateway.buffer.buckets import LayoutReader, fresh
from gateway.core.history import Found, of_buckets, of_one_unit, of_records
from gateway.core.rollup import HOUR_MS, MINUTE_MS
from gateway.core.status import History, Resolution

NEWEST_BLOCK = "SELECT ts_max FROM block WHERE layout = ? ORDER BY ts_max DESC LIMIT 1"


def history(
    connection: sqlite3.Connection, found: Sequence[Found], since: int, until: int, resolution: Resolution
) -> History:
    """The values of since <= ts < until; the minute or hour that `since` stands in is whole."""
    if resolution == "raw":
        readers = readers_of(connection, found, since, until)
        return History(resolution, of_records((reader.points[0], reader.records(since, until)) for reader in readers))
    step = MINUTE_MS if resolution == "1m" else HOUR_MS
    since = since // step * step
    readers = readers_of(connection, found, since // HOUR_MS * HOUR_MS, -(-until // HOUR_MS) * HOUR_MS)
    buckets = (
        (reader.points[0], reader.minutes(since, until) if resolution == "1m" else reader.hours(since, until))
        for reader in readers
    )
    return History(resolution, of_buckets(buckets))


def readers_of(connection: sqlite3.Connection, found: Sequence[Found], lo: int, hi: int) -> list[LayoutReader]:
    """One a layout, of those that have the unit of the newest."""

    def newest(one: Found) -> int:
        rows = connection.execute(NEWEST_BLOCK, (one[0].id,)).fetchall()
        return int(rows[0][0]) if rows else 0

    wanted = [(layout, (index,)) for layout, index in of_one_unit(found, newest)]
    new = fresh(connection, wanted, lo, hi)
    return [LayoutReader(connection, one, columns) for one, columns in zip(wanted, new, strict=True)]
