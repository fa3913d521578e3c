"""What the hub keeps, and for how long: records, then minutes; hours and accounts for ever. Always in small steps."""

from gateway.core.clock import Clock
from gateway.core.rollup import DAY_MS
from sync.hub.config import RetentionConfig
from sync.hub.rollup.closing import close, forget
from sync.hub.rollup.hourwork import Step, each
from sync.hub.store.sql import Sql

EVERY_S = 60.0
TURN_S = 30.0  # one turn works no longer than this, so that the lease is never lost amid it
HOURS_AT_ONCE = 200  # that are looked up together
ROWS_AT_ONCE = 2000  # that are deleted in one transaction
QUIET_MS = 7 * DAY_MS  # records of an hour stay for as long after the last of them came, however old they are

# Hours that are rolled up: (until, quiet since, most).
RIPE = """SELECT series.node, rollup_1m.series, hour FROM rollup_1m JOIN series ON series.id = rollup_1m.series
    WHERE at IS NOT NULL AND hour <= $1 AND at <= $2 AND NOT EXISTS
        (SELECT 1 FROM dirty WHERE dirty.series = rollup_1m.series AND dirty.hour = rollup_1m.hour)
    ORDER BY hour, rollup_1m.series LIMIT $3"""
OVERRIPE = """SELECT series.node, rollup_1m.series, hour FROM rollup_1m JOIN series ON series.id = rollup_1m.series
    WHERE at IS NULL AND hour <= $1 AND NOT EXISTS
        (SELECT 1 FROM dirty WHERE dirty.series = rollup_1m.series AND dirty.hour = rollup_1m.hour)
    ORDER BY hour, rollup_1m.series LIMIT $2"""
OLD_AUDIT = "DELETE FROM audit WHERE id IN (SELECT id FROM audit WHERE at < $1 ORDER BY at LIMIT $2)"
OLD_ACTS = "DELETE FROM act WHERE id IN (SELECT id FROM act WHERE at < $1 ORDER BY at LIMIT $2)"
OLD_COMMANDS = """DELETE FROM command WHERE id IN
    (SELECT id FROM command WHERE changed < $1 AND not_after < $1 ORDER BY changed LIMIT $2)"""
WITH_OLD_EVENTS = "SELECT id FROM node WHERE EXISTS (SELECT 1 FROM event WHERE node = node.id AND ts < $1)"
OLD_EVENTS = """DELETE FROM event WHERE node = $3 AND (epoch, seq, ts) IN
    (SELECT epoch, seq, ts FROM event WHERE node = $3 AND ts < $1 ORDER BY ts LIMIT $2)"""


class Retention:
    """A chore's work. All methods raise StorageError."""

    def __init__(self, sql: Sql, clock: Clock, config: RetentionConfig) -> None:
        self._sql = sql
        self._clock = clock
        self._config = config

    async def turn(self, now: int) -> None:
        """Let go what is too old, oldest first, for a while."""
        until = self._clock.monotonic_s() + TURN_S
        audit_ms, events_ms = now - self._config.audit_days * DAY_MS, now - self._config.events_days * DAY_MS
        for query, before in ((OLD_AUDIT, audit_ms), (OLD_ACTS, events_ms), (OLD_COMMANDS, events_ms)):
            await self._delete(until, query, before)
        for (node,) in await self._sql.fetch(WITH_OLD_EVENTS, events_ms):
            await self._delete(until, OLD_EVENTS, events_ms, node)
        await self._hours(until, close, RIPE, now - (self._config.raw_days * DAY_MS), now - QUIET_MS)
        await self._hours(until, forget, OVERRIPE, now - (self._config.minute_days * DAY_MS))

    async def _delete(self, until: float, query: str, before: int, *where: object) -> None:
        deleted = ROWS_AT_ONCE
        while deleted == ROWS_AT_ONCE and self._clock.monotonic_s() < until:
            async with self._sql.transaction() as db:
                deleted = await db.execute(query, before, ROWS_AT_ONCE, *where)

    async def _hours(self, until: float, step: Step, query: str, *limits: int) -> None:
        while found := await self._sql.fetch(query, *limits, HOURS_AT_ONCE):
            if not await each(self._sql, self._clock, found, step, until):
                return
