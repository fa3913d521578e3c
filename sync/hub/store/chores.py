"""What one of the hub's processes has to do from time to time: a lease in the database says which."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from secrets import token_hex

from gateway.core.clock import Clock
from gateway.core.errors import HoldfastError
from sync.hub.store.sql import Sql

# Taken where it is nobody's, run out, or ours; or where it runs longer than any can, for a clock was ahead.
TAKE = """INSERT INTO lease (name, holder, until) VALUES ($1, $2, $3) ON CONFLICT (name) DO UPDATE
    SET holder = excluded.holder, until = excluded.until
    WHERE lease.holder = excluded.holder OR lease.until < $4 OR lease.until > $5"""
GIVE_BACK = "DELETE FROM lease WHERE holder = $1"
GIVE_BACK_ONE = "DELETE FROM lease WHERE holder = $1 AND name = $2"
PATIENCE_S = 60.0  # of others, beyond the chore's own interval: so late another process goes on

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Chore:
    """`work` is done every `every_s` seconds by one process alone; it may take longer, and is told the wall time.

    Doing it twice, as where a process stood still beyond its lease, must do no harm.
    """

    name: str
    every_s: float
    work: Callable[[int], Awaitable[None]]


class Chores:
    """Those of this process."""

    def __init__(self, sql: Sql, clock: Clock, chores: Sequence[Chore]) -> None:
        self._sql = sql
        self._clock = clock
        self.all = chores
        self._holder = token_hex(8)
        self.done: dict[str, int] = {}  # by name: when this process did it last, wall ms
        self.failed: dict[str, str] = {}  # by name: why it failed, where it did the last time

    async def run(self) -> None:
        """Until cancelled; then another process may go on at once."""
        try:
            async with asyncio.TaskGroup() as group:
                for chore in self.all:
                    group.create_task(self._repeat(chore))
        finally:
            await self._give_back(GIVE_BACK)

    async def _repeat(self, chore: Chore) -> None:
        while True:
            try:
                await self.turn(chore)
                if self.failed.pop(chore.name, None):
                    log.info("a chore works again", extra={"chore": chore.name})
            except HoldfastError as error:
                if chore.name not in self.failed:
                    log.warning("a chore fails", extra={"chore": chore.name, "why": error.in_full})
                await self._has_failed(chore, error.in_full)
            except Exception as error:  # the bulkhead: a bug in one chore must end neither the hub nor its neighbours
                if chore.name not in self.failed:
                    log.exception("a chore fails", extra={"chore": chore.name})
                await self._has_failed(chore, repr(error))
            await asyncio.sleep(chore.every_s)

    async def _has_failed(self, chore: Chore, why: str) -> None:
        """Another process, if there is one, may do better."""
        self.failed[chore.name] = why
        await self._give_back(GIVE_BACK_ONE, chore.name)

    async def turn(self, chore: Chore) -> bool:
        """Do it if it is ours to do; whether it was. Raises what `work` raises."""
        now = self._clock.wall_ms()
        until = now + round(1000 * (chore.every_s + PATIENCE_S))
        too_late = until + round(1000 * PATIENCE_S)  # clocks differ somewhat
        async with self._sql.transaction() as db:
            is_ours = await db.execute(TAKE, chore.name, self._holder, until, now, too_late) == 1
        if is_ours:
            await chore.work(now)
            self.done[chore.name] = self._clock.wall_ms()
        return is_ours

    async def _give_back(self, query: str, *which: str) -> None:
        try:
            async with self._sql.transaction() as db:
                await db.execute(query, self._holder, *which)
        except HoldfastError as error:  # it runs out
            log.warning("chores not handed on", extra={"why": str(error)})
