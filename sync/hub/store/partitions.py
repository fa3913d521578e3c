"""The weeks that PostgreSQL's records are kept by, one table each: docs/decisions/0014-partitions.md."""

from collections.abc import Iterable

from sync.hub.store.chores import Chore
from sync.hub.store.sql import Sql

WEEK_MS = 7 * 86_400_000  # counted from 1970-01-01 UTC
FIRST, LAST = 2609, 4174  # the weeks that have tables of their own, 2020 to 2049; as in schema_pg/0002.sql
AHEAD = 2  # weeks made before their time
CHORE_S = 6 * 3600.0
WEEKS = "SELECT holdfast_weeks()"
MAKE = "SELECT holdfast_make_week($1)"
DROP = "SELECT holdfast_drop_week($1)"
DROP_EMPTY = "SELECT holdfast_drop_empty_week($1)"
EMPTY_AFTER = 4  # weeks: what is younger may yet be filled


class Partitions:
    """Any number of hubs may make and drop them side by side. All methods raise StorageError."""

    def __init__(self, sql: Sql) -> None:
        self._sql = sql
        self._there: set[int] = set()  # as far as we know: another hub may have dropped one since

    async def ensure(self, times: Iterable[int]) -> None:
        """Make the weeks of these times, milliseconds since 1970 UTC, that are not there."""
        wanted = {week for week in {ts // WEEK_MS for ts in times} if FIRST <= week <= LAST}
        if wanted <= self._there:
            return
        self._there = set(await self.weeks())
        for week in sorted(wanted - self._there):
            async with self._sql.transaction() as db:  # each its own: many in one would hold too many locks
                await db.execute(MAKE, week)
            self._there.add(week)

    def forget(self) -> None:
        """Look again next time."""
        self._there.clear()

    async def weeks(self) -> list[int]:
        """Those that are there, in order; week n begins at n * WEEK_MS."""
        return [week for (week,) in await self._sql.fetch(WEEKS)]

    async def drop(self, week: int) -> None:
        """With all its records. Raises StorageError where somebody read them for longer than it may wait: try later."""
        async with self._sql.transaction() as db:
            await db.execute(DROP, week)
        self._there.discard(week)

    def chores(self) -> list[Chore]:
        """Make this week and the next ones, so that no batch waits for it; drop those that retention has emptied."""
        return [Chore("weeks ahead", CHORE_S, self._ahead), Chore("empty weeks", CHORE_S, self._drop_empty)]

    async def _ahead(self, now: int) -> None:
        self.forget()
        await self.ensure(now + ahead * WEEK_MS for ahead in range(AHEAD + 1))

    async def _drop_empty(self, now: int) -> None:
        for week in await self.weeks():
            if week < now // WEEK_MS - EMPTY_AFTER:
                async with self._sql.transaction() as db:
                    await db.fetch(DROP_EMPTY, week)
        self.forget()
