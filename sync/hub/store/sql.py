"""SQL that both of the hub's stores understand, for all that is small: commands, people, alerts, prices.

Statements are written once, with the parameters $1, $2, ...; both know ON CONFLICT, RETURNING, CASE and LIMIT.
Times are integers (milliseconds since 1970 UTC), truth is 0 or 1, JSON is bytes.
`holdfast_newest(series, until)` is the time of a series' newest record up to then, `holdfast_count(series, hour)` how
many it has of an hour: functions, for Citus refuses the subqueries.
"""

import functools
import re
from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import TYPE_CHECKING, Any, Protocol

from gateway.core.database import Database

if TYPE_CHECKING:
    import aiosqlite

FUNCTIONS = (
    (r"holdfast_newest\((.*?), (.*?)\)", r"(SELECT max(ts) FROM record WHERE record.series = \1 AND ts <= \2)"),
    (
        r"holdfast_count\((.*?), (.*?)\)",
        r"(SELECT count(*) FROM record WHERE record.series = \1 AND ts >= \2 AND ts < \2 + 3600000)",
    ),
)

Row = Sequence[Any]


class Work(Protocol):
    """What one transaction does. Raises StorageError."""

    async def execute(self, query: str, *parameters: object) -> int:
        """How many rows it changed."""
        ...

    async def fetch(self, query: str, *parameters: object) -> Sequence[Row]:
        """The rows, also of what is RETURNING some."""
        ...


class Sql(Protocol):
    """One of the hub's databases. Raises StorageError."""

    async def fetch(self, query: str, *parameters: object) -> Sequence[Row]:
        """All rows of a query that changes nothing."""
        ...

    def transaction(self) -> AbstractAsyncContextManager[Work]:
        """On the disk when the block is left; nothing of it where it is left by an error."""
        ...


class SqliteSql:
    """See `Sql`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def fetch(self, query: str, *parameters: object) -> Sequence[Row]:
        return await self._database.fetch(numbered(query), parameters)

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Work]:
        async with self._database.transaction() as db:
            yield _SqliteWork(db)


class _SqliteWork:
    def __init__(self, db: "aiosqlite.Connection") -> None:
        self._db = db

    async def execute(self, query: str, *parameters: object) -> int:
        return max(0, (await self._db.execute(numbered(query), parameters)).rowcount)

    async def fetch(self, query: str, *parameters: object) -> Sequence[Row]:
        return list(await self._db.execute_fetchall(numbered(query), parameters))


@functools.cache
def numbered(query: str) -> str:
    """With SQLite's ?1 for $1, and what PostgreSQL has as a function."""
    for function, subquery in FUNCTIONS:
        query = re.sub(function, subquery, query)
    return re.sub(r"\$(\d)", r"?\1", query)
