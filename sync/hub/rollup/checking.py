"""Whether what a hub's store holds can be read and fits together. It only reads, and hubs may go on meanwhile."""

import asyncio
from collections.abc import AsyncIterator, Callable

import msgspec

from gateway.core.chunk import ChunkFormat
from gateway.core.model import Layout, decode_layout
from gateway.core.rollup import DAY_MS, HOUR_MS, Bucket
from gateway.core.wording import age_text
from sync.hub.rollup.rolled import chunks, decoded
from sync.hub.rollup.rolling import RECORDS, set_aside
from sync.hub.store.sql import Sql

LATE_MS = 3 * HOUR_MS  # later than this after an hour is over its roll-up is missed

Step = Callable[[int, int], None]  # told how much is done, and of how much

SERIES = "SELECT id, node, layout, encoded FROM series ORDER BY id"
OTHER_SIZE = "SELECT count(*), min(ts) FROM record WHERE series = $1 AND length(row) <> $2"
# One statement sees one moment.
COUNTS = """SELECT node.id, node.records, coalesce((SELECT count(*) FROM record JOIN series ON series.id = record.series
        WHERE series.node = $1), 0) + coalesce((SELECT sum(closed.count) FROM closed
        JOIN series ON series.id = closed.series WHERE series.node = $1), 0) FROM node WHERE node.id = $1"""
NODES = "SELECT id FROM node ORDER BY id"
BEHIND = "SELECT count(*), min(hour) FROM dirty WHERE hour < $1 AND since < $1"
# Hours that hold records of which no roll-up knows, nor ever will.
UNKNOWN = """SELECT count(*), min(hour)
    FROM (SELECT DISTINCT ts - ts % 3600000 AS hour FROM record WHERE series = $1) AS held
    WHERE NOT EXISTS (SELECT 1 FROM rollup_1m WHERE series = $1 AND rollup_1m.hour = held.hour AND at IS NOT NULL)
    AND NOT EXISTS (SELECT 1 FROM dirty WHERE series = $1 AND dirty.hour = held.hour)"""
ROLLED = """SELECT rollup_1m.hour, rollup_1m.at, rollup_1m.bytes, closed.minutes FROM rollup_1m
    LEFT JOIN closed ON closed.series = rollup_1m.series AND closed.hour = rollup_1m.hour
    WHERE rollup_1m.series = $1 AND rollup_1m.hour >= $2 AND rollup_1m.at IS NOT NULL
    AND NOT EXISTS (SELECT 1 FROM dirty WHERE dirty.series = rollup_1m.series AND dirty.hour = rollup_1m.hour)
    ORDER BY rollup_1m.hour"""
OF_DAY = "SELECT bytes FROM rollup_1h WHERE series = $1 AND day = $2"
STILL = """SELECT 1 FROM rollup_1m WHERE series = $1 AND hour = $2 AND at = $3
    AND NOT EXISTS (SELECT 1 FROM dirty WHERE series = $1 AND dirty.hour = $2)"""


async def problems(sql: Sql, now: int, days: int, step: Step) -> AsyncIterator[str]:
    """Each a sentence, nothing where all is well. Roll-ups are made once more of the last `days` alone.

    Raises StorageError.
    """
    layouts: dict[int, tuple[str, Layout]] = {}
    for series, node, layout_id, encoded in await sql.fetch(SERIES):
        try:
            layout = decode_layout(encoded)
        except msgspec.MsgspecError:
            yield f"{node}: layout {bytes(layout_id).hex()} cannot be read, and so no record of it"
            continue
        layouts[series] = node, layout
        if layout.id != bytes(layout_id):
            yield f"{node}: layout {bytes(layout_id).hex()} of {layout.device} is not what its id says"
    nodes = [node for (node,) in await sql.fetch(NODES)]
    done, work = 0, 2 * len(layouts) + len(nodes)
    for node in nodes:
        async for problem in _counts(sql, node):
            yield problem
        step(done := done + 1, work)
    for series, (node, layout) in layouts.items():
        ((count, first),) = await sql.fetch(OTHER_SIZE, series, layout.rows.size)
        if count:
            yield f"{node}: {count:,} records of {layout.device} do not fit their layout; the first is of ts {first}"
        ((count, first),) = await sql.fetch(UNKNOWN, series)
        if count:
            yield f"{node}: {count:,} hours of {layout.device} hold records that no roll-up has; the first is {first}"
        step(done := done + 1, work)
    ((count, oldest),) = await sql.fetch(BEHIND, now - HOUR_MS - LATE_MS)
    if count:
        yield f"{count:,} hours wait to be rolled up, the oldest began {age_text(now - oldest)} ago: does a hub run?"
    count, oldest = await set_aside(sql, now)
    if count:
        yield f"{count:,} hours could not be rolled up, the first is {oldest}: the hub's log says why"
    for series, (node, layout) in layouts.items():
        async for problem in _roll_ups(sql, series, layout, now - days * DAY_MS):
            yield f"{node}: {layout.device}: {problem}"
        step(done := done + 1, work)


async def _counts(sql: Sql, node: str) -> AsyncIterator[str]:
    for _, counted, held in await sql.fetch(COUNTS, node):
        if counted != held:
            yield f"{node}: it holds {held:,} records, and counts {counted:,}"


async def _roll_ups(sql: Sql, series: int, layout: Layout, since: int) -> AsyncIterator[str]:
    for hour, at, stored, base in await sql.fetch(ROLLED, series, since):
        rows = [(ts, bytes(row)) for ts, row in await sql.fetch(RECORDS, series, hour, hour + HOUR_MS)]
        day = hour // DAY_MS * DAY_MS
        of_day = await sql.fetch(OF_DAY, series, day)
        minutes, hours = await asyncio.to_thread(chunks, layout, hour, base, rows, day, None) if rows else (b"", None)
        same = minutes == bytes(stored) and _bucket(layout, day, hours, hour) == _bucket(
            layout, day, bytes(of_day[0][0]) if of_day else None, hour
        )
        if not same and await sql.fetch(STILL, series, hour, at):  # nothing came for it meanwhile
            yield f"the roll-up of the hour {hour} is not what its records come to"


def _bucket(layout: Layout, day: int, chunk: bytes | None, hour: int) -> list[Bucket]:
    found = decoded(ChunkFormat(layout, HOUR_MS), day, chunk, range(len(layout.points)))
    return [bucket for bucket in found if bucket.ts == hour]
