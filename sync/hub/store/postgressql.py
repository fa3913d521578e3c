"""`Sql` on PostgreSQL."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

from sync.hub.store.postgresdatabase import PostgresDatabase, text_of
from sync.hub.store.sql import Row, Work


class PostgresSql:
    """See `sync.hub.store.sql.Sql`."""

    def __init__(self, database: PostgresDatabase) -> None:
        self._database = database

    async def fetch(self, query: str, *parameters: object) -> Sequence[Row]:
        return await self._database.fetch(query, *map(_plain, parameters))

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Work]:
        async with self._database.transaction() as db:
            yield _PostgresWork(db)


class _PostgresWork:
    def __init__(self, db: Any) -> None:
        self._db = db

    async def execute(self, query: str, *parameters: object) -> int:
        done: str = await self._db.execute(query, *map(_plain, parameters))
        count = done.rpartition(" ")[2]  # as in INSERT 0 1
        return int(count) if count.isdecimal() else 0

    async def fetch(self, query: str, *parameters: object) -> Sequence[Row]:
        return list(await self._db.fetch(query, *map(_plain, parameters)))


def _plain(value: object) -> object:
    return text_of(value) if isinstance(value, str) else value
