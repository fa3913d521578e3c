"""`holdfast hub check`: whether what the hub's store holds can be read and fits together; the hub may run."""

import sqlite3
from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path

from gateway.bar import bar
from gateway.core.clock import SystemClock
from gateway.core.errors import RefusedFileError
from gateway.hubbackup import known_schema, looking_at
from sync.hub.rollup import checking
from sync.hub.store.opening import POSTGRES, open_store
from sync.hub.store.sql import Row, Sql, Work, numbered


async def check(store: str, folder: Path, days: int) -> list[str]:
    """What is wrong with the `store` of hub.yaml, each a sentence. Raises HoldfastError."""
    found: list[str] = []
    async with _reading(store, folder, found) as sql:
        with bar("checking") as step:
            found += [problem async for problem in checking.problems(sql, SystemClock().wall_ms(), days, step)]
    return found


@asynccontextmanager
async def _reading(store: str, folder: Path, found: list[str]) -> AsyncIterator[Sql]:
    """Of a file, `found` gets what SQLite itself finds."""
    if store.startswith(POSTGRES):
        opened = await open_store(store, folder, as_it_is=True)
        try:
            yield opened.sql
        finally:
            await opened.close()
        return
    with looking_at(folder / store) as db:
        if db.execute("PRAGMA user_version").fetchone()[0] < known_schema():
            hint = "a hub of this release brings it up to date when it starts"
            raise RefusedFileError(f"{folder / store}: its schema is not that of this release", hint=hint)
        with bar("reading the file") as step:
            step(0, 0)
            found += [str(line) for (line,) in db.execute("PRAGMA integrity_check(20)") if line != "ok"]
        yield _Reading(db)


class _Reading:
    """`Sql` that only reads, beside the hub that has the file."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db

    async def fetch(self, query: str, *parameters: object) -> Sequence[Row]:
        return self._db.execute(numbered(query), parameters).fetchall()

    def transaction(self) -> AbstractAsyncContextManager[Work]:
        raise RuntimeError("a check changes nothing")
