"""Rolling up: hours that records have come for are made anew of all their records.

Every batch marks the hours it touches, in the same transaction.
"""

import asyncio
from functools import partial

from gateway.core.clock import Clock
from gateway.core.rollup import DAY_MS, HOUR_MS
from sync.hub.rollup.hourwork import each
from sync.hub.rollup.rolled import chunks
from sync.hub.store.layouts import known_layout
from sync.hub.store.sql import Sql, Work

EVERY_S = 10.0
TURN_S = 30.0  # one turn works no longer than this, so that the lease is never lost amid it
AT_ONCE = 200  # hours that are looked up together
LATE_MS = 60_000  # for so long after an hour is over its last records may be on their way
QUIET_MS = 60_000  # after the first of the records: what is sent again comes in many batches

READY = """SELECT series.node, dirty.series, dirty.hour, series.encoded FROM dirty
    JOIN series ON series.id = dirty.series WHERE dirty.hour <= $1 AND dirty.since <= $2
    ORDER BY dirty.hour, dirty.series LIMIT $3"""
RECORDS = "SELECT ts, row FROM record WHERE series = $1 AND ts >= $2 AND ts < $3 ORDER BY ts"
HOURS = "SELECT bytes FROM rollup_1h WHERE series = $1 AND day = $2"
# Of the records that have gone; what was added to it since is added anew.
KEEP_BASE = """UPDATE closed SET minutes = coalesce(minutes,
        (SELECT bytes FROM rollup_1m WHERE rollup_1m.series = closed.series AND rollup_1m.hour = closed.hour))
    WHERE series = $1 AND hour = $2 RETURNING minutes"""
PUT_MINUTES = """INSERT INTO rollup_1m (series, hour, at, bytes) VALUES ($1, $2, $3, $4)
    ON CONFLICT (series, hour) DO UPDATE SET at = excluded.at, bytes = excluded.bytes"""
PUT_HOURS = """INSERT INTO rollup_1h (series, day, bytes) VALUES ($1, $2, $3)
    ON CONFLICT (series, day) DO UPDATE SET bytes = excluded.bytes"""
UNMARK = "DELETE FROM dirty WHERE series = $1 AND hour = $2"


class Rolling:
    """A chore's work. All methods raise StorageError."""

    def __init__(self, sql: Sql, clock: Clock) -> None:
        self._sql = sql
        self._clock = clock

    async def turn(self, now: int) -> None:
        """Roll up what is over, oldest first, for a while."""
        until = self._clock.monotonic_s() + TURN_S
        while ready := await self._sql.fetch(READY, now - HOUR_MS - LATE_MS, now - QUIET_MS, AT_ONCE):
            if not await each(self._sql, self._clock, ready, partial(_roll_up, now), until):
                return


async def _roll_up(now: int, db: Work, series: int, hour: int, encoded: bytes) -> None:
    """An hour of a series, whose layout is `encoded`; its node is locked."""
    rows = [(ts, bytes(row)) for ts, row in await db.fetch(RECORDS, series, hour, hour + HOUR_MS)]
    if rows:
        gone = await db.fetch(KEEP_BASE, series, hour)
        day = hour // DAY_MS * DAY_MS
        hours = await db.fetch(HOURS, series, day)
        base, of_day = (found[0][0] if found else None for found in (gone, hours))
        made = await asyncio.to_thread(chunks, known_layout(encoded), hour, base, rows, day, of_day)
        await db.execute(PUT_MINUTES, series, hour, now, made[0])
        await db.execute(PUT_HOURS, series, day, made[1])
    await db.execute(UNMARK, series, hour)
