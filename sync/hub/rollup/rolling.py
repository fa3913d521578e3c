"""Rolling up: hours that records have come for are made anew of all their records.

Every batch marks the hours it touches, in the same transaction.
"""

import asyncio
import logging
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
ASIDE_MS = 15 * 60_000  # for so long an hour waits whose roll-up failed; others go on
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
SET_ASIDE = "UPDATE dirty SET since = $3 WHERE series = $1 AND hour = $2"
ASIDE = "SELECT count(*), min(hour) FROM dirty WHERE since > $1"
UNMARK = "DELETE FROM dirty WHERE series = $1 AND hour = $2"


log = logging.getLogger(__name__)


class FailedError(Exception):
    """The roll-up of an hour of a series failed, for the reason that is the cause."""

    def __init__(self, series: int, hour: int) -> None:
        super().__init__(series, hour)
        self.series = series
        self.hour = hour


class Rolling:
    """A chore's work. All methods raise StorageError."""

    def __init__(self, sql: Sql, clock: Clock) -> None:
        self._sql = sql
        self._clock = clock

    async def turn(self, now: int) -> None:
        """Roll up what is over, oldest first, for a while. An hour that fails is set aside, for others behind it."""
        until = self._clock.monotonic_s() + TURN_S
        while ready := await self._sql.fetch(READY, now - HOUR_MS - LATE_MS, now - QUIET_MS, AT_ONCE):
            try:
                if not await each(self._sql, self._clock, ready, partial(_try, now), until):
                    return
            except FailedError as failed:
                await self._set_aside(failed, now + ASIDE_MS)

    async def _set_aside(self, failed: FailedError, until: int) -> None:
        async with self._sql.transaction() as db:
            await db.execute(SET_ASIDE, failed.series, failed.hour, until)
        facts = {"series": failed.series, "hour": failed.hour, "why": repr(failed.__cause__)}
        log.error("an hour could not be rolled up; it is set aside for a while", extra=facts, exc_info=failed.__cause__)


async def set_aside(sql: Sql, now: int) -> tuple[int, int]:
    """How many hours are set aside, and when the oldest of them begins. Raises StorageError."""
    ((count, oldest),) = await sql.fetch(ASIDE, now)
    return count, oldest or 0


async def _try(now: int, db: Work, series: int, hour: int, encoded: bytes) -> None:
    """Raises FailedError: one hour, whatever is wrong with it, must not keep all others waiting."""
    try:
        await _roll_up(now, db, series, hour, encoded)
    except Exception as error:
        raise FailedError(series, hour) from error


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
