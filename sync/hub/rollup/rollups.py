"""One point over any time, and how much is held of each hour, from what is rolled up and what is not yet."""

import asyncio
from collections.abc import Sequence
from typing import Literal

import msgspec

from gateway.core.chunk import ChunkFormat
from gateway.core.history import Found, layouts_with, of_buckets, of_one_unit, of_records
from gateway.core.model import Layout, Point
from gateway.core.picking import Columns
from gateway.core.rollup import DAY_MS, HOUR_MS, MINUTE_MS, Bucket, hour
from gateway.core.status import History, Resolution
from sync.hub.rollup.rolled import columns, decoded, minutes
from sync.hub.rollup.rolling import RECORDS
from sync.hub.store.layouts import series_of
from sync.hub.store.sql import Row, Sql

PIECE_MS = 10 * DAY_MS  # chunks have all points of a layout: so many are in memory at once

NEWEST = "SELECT day FROM rollup_1h WHERE series = $1 ORDER BY day DESC LIMIT 1"
NEWEST_RECORD = "SELECT ts FROM record WHERE series = $1 ORDER BY ts DESC LIMIT 1"
DIRTY = "SELECT hour FROM dirty WHERE series = $1 AND hour >= $2 AND hour < $3 ORDER BY hour"
MINUTES = "SELECT hour, bytes FROM rollup_1m WHERE series = $1 AND hour >= $2 AND hour < $3"
HOURS = "SELECT day, bytes FROM rollup_1h WHERE series = $1 AND day >= $2 AND day < $3"
BASE = """SELECT coalesce(closed.minutes, rollup_1m.bytes) FROM closed
    LEFT JOIN rollup_1m ON rollup_1m.series = closed.series AND rollup_1m.hour = closed.hour
    WHERE closed.series = $1 AND closed.hour = $2"""
DAYS_OF_NODE = """SELECT series, day, bytes FROM rollup_1h JOIN series ON series.id = series
    WHERE node = $1 AND day >= $2 AND day < $3"""
DIRTY_OF_NODE = """SELECT series, hour, holdfast_count(dirty.series, hour)
        + coalesce((SELECT count FROM closed WHERE closed.series = dirty.series AND closed.hour = dirty.hour), 0)
    FROM dirty JOIN series ON series.id = series WHERE node = $1 AND hour >= $2 AND hour < $3"""


class HoursHeld(msgspec.Struct, frozen=True):
    """How many records of one layout the hub holds, or held before they were too old, by when the hour begins."""

    layout: Layout
    records: dict[int, int]


class Rollups:
    """Reads alone. All methods raise StorageError."""

    def __init__(self, sql: Sql) -> None:
        self._sql = sql

    async def series(self, node: str, device: str, key: str, since: int, until: int, resolution: Resolution) -> History:
        """The values of since <= ts < until, in the point's unit; the minute or hour that `since` stands in is whole.

        All of it is in memory at once: the caller bounds the range. Raises KeyError where the node never had the point.
        """
        readers = await self._readers(node, device, key)
        if resolution == "raw":
            records = [(reader.point, await reader.records(since, until)) for reader in readers]
            return History(resolution, await asyncio.to_thread(of_records, records))
        buckets = await self._buckets(readers, since, until, resolution)
        return History(resolution, await asyncio.to_thread(of_buckets, buckets))

    async def buckets(
        self, node: str, device: str, key: str, since: int, until: int, resolution: Literal["1m", "1h"]
    ) -> list[tuple[Point, list[Bucket]]]:
        """The point's cells, of each layout that has it; otherwise as `series`."""
        return await self._buckets(await self._readers(node, device, key), since, until, resolution)

    async def _buckets(
        self, readers: "Sequence[_Reader]", since: int, until: int, resolution: Resolution
    ) -> list[tuple[Point, list[Bucket]]]:
        if resolution == "1m":
            return [(reader.point, await reader.minutes(since // MINUTE_MS * MINUTE_MS, until)) for reader in readers]
        return [(reader.point, await reader.hours(since // HOUR_MS * HOUR_MS, until)) for reader in readers]

    async def _readers(self, node: str, device: str, key: str) -> "list[_Reader]":
        """One a layout that has the point, in the unit of the newest."""
        layouts = await series_of(self._sql, node)
        ids = {layout.id: series for series, layout in layouts}
        found = layouts_with((layout for _, layout in layouts), device, key)
        newest = {layout.id: await self._newest(ids[layout.id]) for layout, _ in found} if len(found) > 1 else {}
        return [_Reader(self._sql, ids[one[0].id], one) for one in of_one_unit(found, lambda one: newest[one[0].id])]

    async def _newest(self, series: int) -> int:
        rows = [*await self._sql.fetch(NEWEST, series), *await self._sql.fetch(NEWEST_RECORD, series)]
        return max((ts for (ts,) in rows), default=0)

    async def completeness(self, node: str, since: int, until: int) -> list[HoursHeld]:
        """Of each layout of the node the hours that begin in since <= ts < until; one without records is not there."""
        layouts = dict(await series_of(self._sql, node))
        held: dict[int, dict[int, int]] = {series: {} for series in layouts}
        fresh = await self._sql.fetch(
            DIRTY_OF_NODE, node, since, until
        )  # first: what is rolled up meanwhile is in both
        days = await self._sql.fetch(DAYS_OF_NODE, node, since // DAY_MS * DAY_MS, until)
        for series, day, chunk in days:
            for bucket in decoded(ChunkFormat(layouts[series], HOUR_MS), day, chunk, ()):
                held[series][bucket.ts] = bucket.records
        for series, begin, count in fresh:
            held[series][begin] = count
        return [
            HoursHeld(
                layouts[series], {ts: count for ts, count in sorted(found.items()) if since <= ts < until and count}
            )
            for series, found in held.items()
        ]


class _Reader:
    """One point of one series; ranges are lo <= ts < hi."""

    def __init__(self, sql: Sql, series: int, found: Found) -> None:
        self._sql = sql
        self._series = series
        self._layout, index = found
        self._indexes = (index,)
        self.point = self._layout.points[index]

    async def records(self, lo: int, hi: int) -> Columns:
        rows = await self._rows(lo, hi)
        return await asyncio.to_thread(columns, self._layout, rows, self._indexes)

    async def minutes(self, lo: int, hi: int) -> list[Bucket]:
        """The minutes that begin in the range."""
        found: list[Bucket] = []
        begin = lo // HOUR_MS * HOUR_MS
        for start in range(begin, hi, PIECE_MS):
            of_hour = await self._hours_minutes(start, min(start + PIECE_MS, hi))
            found += [bucket for ts in sorted(of_hour) for bucket in of_hour[ts] if lo <= bucket.ts < hi]
        return found

    async def _hours_minutes(self, lo: int, hi: int) -> dict[int, list[Bucket]]:
        dirty = await self._dirty(lo, hi)
        stored = [row for row in await self._sql.fetch(MINUTES, self._series, lo, hi) if row[0] not in dirty]
        return await asyncio.to_thread(self._unpacked, MINUTE_MS, stored) | {ts: await self._made(ts) for ts in dirty}

    async def hours(self, lo: int, hi: int) -> list[Bucket]:
        """The hours that begin in the range."""
        dirty = await self._dirty(lo, hi)
        days = await self._sql.fetch(HOURS, self._series, lo // DAY_MS * DAY_MS, hi)
        unpacked = await asyncio.to_thread(self._unpacked, HOUR_MS, days)
        found = {bucket.ts: bucket for buckets in unpacked.values() for bucket in buckets}
        for ts in dirty:
            if made := await self._made(ts):
                found[ts] = hour(made, [self.point])
        return [found[ts] for ts in sorted(found) if lo <= ts < hi]

    def _unpacked(self, bucket_ms: int, chunks: Sequence[Row]) -> dict[int, list[Bucket]]:
        form = ChunkFormat(self._layout, bucket_ms)
        return {ts: decoded(form, ts, chunk, self._indexes) for ts, chunk in chunks}

    async def _dirty(self, lo: int, hi: int) -> list[int]:
        return [ts for (ts,) in await self._sql.fetch(DIRTY, self._series, lo, hi)]

    async def _made(self, ts: int) -> list[Bucket]:
        """The minutes of an hour that records have come for since it was rolled up."""
        rows = await self._rows(ts, ts + HOUR_MS)
        gone = await self._sql.fetch(BASE, self._series, ts)
        base = gone[0][0] if gone else None
        return await asyncio.to_thread(minutes, self._layout, ts, base, rows, self._indexes)

    async def _rows(self, lo: int, hi: int) -> list[tuple[int, bytes]]:
        return [(ts, bytes(row)) for ts, row in await self._sql.fetch(RECORDS, self._series, lo, hi)]
