"""The hub's PostgreSQL database: connections, transactions, the schema, and what went wrong in words."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from importlib import resources
from importlib.resources.abc import Traversable
from typing import Any
from urllib.parse import urlsplit

import asyncpg

from gateway.core.errors import ConfigError, RefusedFileError, StorageError

CONNECTIONS = 8  # so many batches are stored at once; the others wait
WAIT_S = 10.0  # for one of them, and for the server to answer when one is made
STATEMENT_S = 60.0
IDLE_S = 30.0  # amid a transaction: who stands still, or lost power, must not keep the nodes that it locked from all
DEAD_S = 30  # between two signs of life of a connection; after a few without an answer the server gives it up
LOOKS, LOOK_S = 10, 0.1  # for hubs of an older release: one that just starts has its lock soon
MIGRATION_S = 24 * 3600.0  # it may move all records; other hubs that start meanwhile wait
MIGRATING = "SELECT pg_advisory_xact_lock(7236013)"  # a number of ours: one hub at a time
VERSIONS = "CREATE TABLE IF NOT EXISTS schema_version (number integer PRIMARY KEY)"
VERSION = "SELECT coalesce(max(number), 0) FROM schema_version"
HAS_SCHEMA = "SELECT to_regclass('schema_version') IS NOT NULL"
NOT_NEWEST_HINT = "a hub of this release brings it up to date when it starts"
MIGRATED = "INSERT INTO schema_version VALUES ($1)"
# Hubs that wait for the lock above begin to work with what is made here.
OTHERS = """SELECT count(*) FROM pg_stat_activity CROSS JOIN pg_stat_clear_snapshot()
    WHERE datname = current_database() AND application_name = 'holdfast hub' AND pid <> pg_backend_pid()
    AND wait_event IS DISTINCT FROM 'advisory'"""
# Whatever the server's own settings: what we acknowledge is on its disk, and who waited for a node's lock sees what was
# done meanwhile. How long a statement may take is said here.
SETTINGS = {
    "application_name": "holdfast hub",
    "synchronous_commit": "on", "default_transaction_isolation": "read committed",
    "statement_timeout": "0", "lock_timeout": "0",
    "tcp_keepalives_idle": str(DEAD_S), "tcp_keepalives_interval": str(DEAD_S), "tcp_keepalives_count": "3",
}  # fmt: skip

Row = Sequence[Any]


class PostgresDatabase:
    """Make it with `open`, end it with `close`. All methods raise StorageError."""

    def __init__(self, pool: Any, name: str) -> None:
        self._pool = pool
        self._name = name

    @classmethod
    async def open(cls, address: str, *, idle_s: float = IDLE_S, as_it_is: bool = False) -> "PostgresDatabase":
        """`address`: postgresql://user:password@host:port/database; `as_it_is`: its schema is not touched.

        Raises ConfigError, StorageError.
        """
        name = _name(address)
        try:
            pool = asyncpg.create_pool(
                address,
                min_size=0,
                max_size=CONNECTIONS,
                timeout=WAIT_S,
                command_timeout=STATEMENT_S,
                reset=_leave,
                server_settings=SETTINGS | {"idle_in_transaction_session_timeout": f"{1000 * idle_s:.0f}"},
            )
            await pool
        except (*_FAILURES, ValueError) as error:
            raise _told(name, error) from error
        database = cls(pool, name)
        try:
            await (database._is_newest() if as_it_is else database._migrate())
        except BaseException:
            await database.close()
            raise
        return database

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[Any]:
        """One of the pool, for the database's work alone: raises StorageError for all that fails within."""
        try:
            async with self._pool.acquire(timeout=WAIT_S) as connection:
                yield connection
        except _FAILURES as error:
            raise _told(self._name, error) from error

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Any]:
        async with self.connection() as connection, connection.transaction():
            yield connection

    async def fetch(self, query: str, *parameters: object) -> list[Row]:
        async with self.connection() as connection:
            return list(await connection.fetch(query, *parameters))

    async def _migrate(self) -> None:
        """Bring the schema to the newest that this release knows. Raises RefusedFileError for a newer one."""
        migrations = _migrations()
        async with self.transaction() as db:
            await db.execute(MIGRATING, timeout=MIGRATION_S)
            await db.execute(VERSIONS)
            version = await db.fetchval(VERSION)
            if version > len(migrations):
                raise RefusedFileError(
                    f"{self._name}: written by a newer release (schema {version}, this one knows {len(migrations)})",
                    hint="install that release, or use another database",
                )
            if 0 < version < len(migrations):
                await self._alone(db)
            for number, migration in enumerate(migrations[version:], start=version + 1):
                await db.execute(migration.read_text(), timeout=MIGRATION_S)
                await db.execute(MIGRATED, number)

    async def _is_newest(self) -> None:
        """Raises RefusedFileError where it is not."""
        has_schema = (await self.fetch(HAS_SCHEMA))[0][0]
        if not has_schema or (await self.fetch(VERSION))[0][0] != len(_migrations()):
            raise RefusedFileError(f"{self._name}: its schema is not that of this release", hint=NOT_NEWEST_HINT)

    async def _alone(self, db: Any) -> None:
        """A hub of the older release would go on and store records without what this one keeps beside them."""
        for _ in range(LOOKS):
            if not await db.fetchval(OTHERS):
                return
            await asyncio.sleep(LOOK_S)
        hint = "stop every hub that uses this database, then start them again"
        raise RefusedFileError(f"{self._name}: its schema is older, and another hub is connected", hint=hint)

    async def close(self) -> None:
        """Let what runs come to its end, for a while."""
        try:
            async with asyncio.timeout(WAIT_S):
                await self._pool.close()
        except TimeoutError:
            self._pool.terminate()


def _migrations() -> list[Traversable]:
    files = resources.files("sync.hub").joinpath("schema_pg").iterdir()
    return sorted((file for file in files if file.name.endswith(".sql")), key=lambda file: file.name)


async def _leave(connection: Any) -> None:
    """A connection goes back as it is: we set nothing on it that outlives a transaction, and asking costs a way to the
    server and back each time."""


def _name(address: str) -> str:
    """Without the password: it goes into logs."""
    try:
        parts = urlsplit(address)
    except ValueError as error:
        hint = "expected postgresql://user:password@host/database; [ ] / ? # @ : % in a password as %5B and the like"
        raise ConfigError("store: no address of a database", hint=hint) from error
    return f"PostgreSQL {parts.hostname or 'here'}{parts.path}"


def text_of(text: str) -> str:
    """PostgreSQL's text has every character but NUL."""
    return text.replace("\0", "\ufffd")


# The last: what asyncpg makes of a server that ended a connection just when it was asked something.
_FAILURES = (asyncpg.PostgresError, asyncpg.InterfaceError, OSError, TimeoutError, asyncpg.InternalClientError)


def _told(name: str, error: BaseException) -> StorageError:
    if isinstance(error, asyncpg.InvalidAuthorizationSpecificationError | asyncpg.InvalidCatalogNameError):
        hint = "check user, password and database in hub.yaml, store"
    elif isinstance(error, asyncpg.PostgresError):
        hint = "look into the server's log"
    else:
        hint = "check that the server runs and can be reached, and hub.yaml, store"
    return StorageError(f"{name}: {error or type(error).__name__}", hint=hint)
