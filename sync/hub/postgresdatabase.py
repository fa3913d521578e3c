"""The hub's PostgreSQL database: connections, transactions, the schema, and what went wrong in words."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from importlib import resources
from typing import Any
from urllib.parse import urlsplit

import asyncpg

from gateway.core.errors import ConfigError, RefusedFileError, StorageError

CONNECTIONS = 8  # so many batches are stored at once; the others wait
WAIT_S = 10.0  # for one of them, and for the server to answer when one is made
STATEMENT_S = 60.0
MIGRATION_S = 24 * 3600.0  # it may move all records; other hubs that start meanwhile wait
MIGRATING = "SELECT pg_advisory_xact_lock(7236013)"  # a number of ours: one hub at a time
VERSIONS = "CREATE TABLE IF NOT EXISTS schema_version (number integer PRIMARY KEY)"
VERSION = "SELECT coalesce(max(number), 0) FROM schema_version"
MIGRATED = "INSERT INTO schema_version VALUES ($1)"

Row = Sequence[Any]


class PostgresDatabase:
    """Make it with `open`, end it with `close`. All methods raise StorageError."""

    def __init__(self, pool: Any, name: str) -> None:
        self._pool = pool
        self._name = name

    @classmethod
    async def open(cls, address: str) -> "PostgresDatabase":
        """`address`: postgresql://user:password@host:port/database. Raises ConfigError, StorageError."""
        name = _name(address)
        try:
            pool = asyncpg.create_pool(
                address,
                min_size=0,
                max_size=CONNECTIONS,
                timeout=WAIT_S,
                command_timeout=STATEMENT_S,
                # What we acknowledge is on the server's disk, whatever the server's own setting.
                server_settings={"synchronous_commit": "on", "application_name": "holdfast hub"},
            )
            await pool
        except (*_FAILURES, ValueError) as error:
            raise _told(name, error) from error
        database = cls(pool, name)
        try:
            await database._migrate()
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
        files = resources.files("sync.hub").joinpath("schema_pg").iterdir()
        migrations = sorted((file for file in files if file.name.endswith(".sql")), key=lambda file: file.name)
        async with self.transaction() as db:
            await db.execute(MIGRATING, timeout=MIGRATION_S)
            await db.execute(VERSIONS)
            version = await db.fetchval(VERSION)
            if version > len(migrations):
                raise RefusedFileError(
                    f"{self._name}: written by a newer release (schema {version}, this one knows {len(migrations)})",
                    hint="install that release, or use another database",
                )
            for number, migration in enumerate(migrations[version:], start=version + 1):
                await db.execute(migration.read_text(), timeout=MIGRATION_S)
                await db.execute(MIGRATED, number)

    async def close(self) -> None:
        """Let what runs come to its end, for a while."""
        try:
            async with asyncio.timeout(WAIT_S):
                await self._pool.close()
        except TimeoutError:
            self._pool.terminate()


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


# The third is what asyncpg raises where the server has ended a connection that it was just about to use.
_FAILURES = (asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError, OSError, TimeoutError)


def _told(name: str, error: BaseException) -> StorageError:
    if isinstance(error, asyncpg.InvalidAuthorizationSpecificationError | asyncpg.InvalidCatalogNameError):
        hint = "check user, password and database in hub.yaml, store"
    elif isinstance(error, asyncpg.PostgresError):
        hint = "look into the server's log"
    else:
        hint = "check that the server runs and can be reached, and hub.yaml, store"
    return StorageError(f"{name}: {error or type(error).__name__}", hint=hint)
