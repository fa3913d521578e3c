"""A SQLite file: settings that measured best, migrations, transactions, errors in our words.

Both stores stand on it, the edge's buffer and the hub's; it is the one piece of the core that does I/O.
"""

import asyncio
import contextlib
import sqlite3
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from importlib import resources
from pathlib import Path
from typing import TypeVar

import aiosqlite

from gateway.core.errors import StorageError

# Each was measured: docs/decisions/0004-buffer-file.md. FULL: a commit is on the disk when it returns.
# secure_delete is on in Debian's build and writes every deleted page once more.
PRAGMAS = (
    "PRAGMA page_size = {page_size:d}",
    "PRAGMA auto_vacuum = 0",
    "PRAGMA journal_mode = WAL",
    "PRAGMA synchronous = FULL",
    "PRAGMA secure_delete = 0",
    "PRAGMA wal_autocheckpoint = 4000",
    "PRAGMA busy_timeout = 5000",
    "PRAGMA foreign_keys = ON",
)

T = TypeVar("T")


class Database:
    """A writer and a reader on one file: a reader on the writer's connection would see what may yet be undone."""

    def __init__(self, path: Path, writer: aiosqlite.Connection, reader: aiosqlite.Connection) -> None:
        self.path = path
        self._writer = writer
        self._reader = reader
        self._writing = asyncio.Lock()  # the writer has one transaction at a time

    @classmethod
    async def open(cls, path: Path, package: str, *, page_size: int) -> "Database":
        """Open or make the file and bring it to the newest of `package`'s `schema/*.sql`.

        Raises StorageError where that cannot be.
        """
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            async with AsyncExitStack() as opened:
                writer = await opened.enter_async_context(aiosqlite.connect(path, isolation_level=None))
                reader = await opened.enter_async_context(aiosqlite.connect(path, isolation_level=None))
                for pragma in PRAGMAS:
                    await writer.execute(pragma.format(page_size=page_size))
                database = cls(path, writer, reader)
                await database._migrate(package)
                await reader.execute("PRAGMA busy_timeout = 5000")
                await reader.execute("PRAGMA query_only = ON")
                opened.pop_all()  # all is well: `close` ends them
                return database
        except (OSError, sqlite3.Error) as error:
            raise StorageError(
                f"{path}: {error}", hint="check that the disk is there, writable and not full"
            ) from error

    async def _migrate(self, package: str) -> None:
        rows = list(await self._writer.execute_fetchall("PRAGMA user_version"))
        version = int(rows[0][0])
        migrations = sorted(
            (entry for entry in resources.files(package).joinpath("schema").iterdir() if entry.name.endswith(".sql")),
            key=lambda entry: entry.name,
        )
        if version > len(migrations):
            raise StorageError(
                f"{self.path}: written by a newer release (schema {version}, this one knows {len(migrations)})",
                hint="install that release, or start with another file",
            )
        for number, migration in enumerate(migrations[version:], start=version + 1):
            async with self.transaction() as db:
                for statement in _statements(migration.read_text()):
                    await db.execute(statement)
                await db.execute(f"PRAGMA user_version = {number:d}")

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[aiosqlite.Connection]:
        """One transaction of the writer, when others have ended; on the disk when the block is left.

        Raises StorageError.
        """
        async with self._writing:
            try:
                await self._writer.execute("BEGIN IMMEDIATE")
                yield self._writer
                await self._writer.execute("COMMIT")
            except BaseException as error:
                await asyncio.shield(asyncio.ensure_future(self._undo()))
                if isinstance(error, sqlite3.Error):
                    raise StorageError(
                        f"{self.path}: {error}", hint="check that the disk is writable and not full"
                    ) from error
                raise

    async def _undo(self) -> None:
        """End the transaction that is open, if one is.

        A statement whose await was cancelled may still be running on the writer's thread: one more
        has to pass before it is known how things stand.
        """
        with contextlib.suppress(sqlite3.Error):  # what failed first is told
            await self._writer.execute("SELECT 1")
            if self._writer.in_transaction:
                await self._writer.execute("ROLLBACK")

    async def alone(self, statement: str) -> None:
        """One statement of the writer that cannot stand in a transaction: VACUUM, a checkpoint. Raises StorageError."""
        async with self._writing:
            try:
                await self._writer.execute_fetchall(statement)
            except sqlite3.Error as error:
                raise StorageError(f"{self.path}: {error}", hint="check that the disk is not full") from error

    async def fetch(self, query: str, parameters: tuple[object, ...] = ()) -> list[sqlite3.Row]:
        """All rows of a reading query, from what is committed. Raises StorageError."""
        try:
            return list(await self._reader.execute_fetchall(query, parameters))
        except sqlite3.Error as error:
            raise StorageError(f"{self.path}: {error}") from error

    async def look(self, question: Callable[[sqlite3.Connection], T]) -> T:
        """What `question` finds in one snapshot of the file, on a thread and with a connection of its own.

        For what takes many queries, or computes long between them. Raises StorageError.
        """
        return await asyncio.to_thread(self._look, question)

    def _look(self, question: Callable[[sqlite3.Connection], T]) -> T:
        address = f"{self.path.absolute().as_uri()}?mode=ro"
        try:
            with contextlib.closing(sqlite3.connect(address, uri=True, isolation_level=None)) as connection:
                connection.execute("PRAGMA busy_timeout = 5000")
                connection.execute("BEGIN")
                return question(connection)
        except sqlite3.Error as error:
            raise StorageError(f"{self.path}: {error}") from error

    async def close(self) -> None:
        await self._reader.close()
        await self._writer.close()

    def bytes_on_disk(self) -> int:
        """The size of the file and its log."""
        return self.path.stat().st_size + self.log_bytes()

    def log_bytes(self) -> int:
        log = self.path.with_name(self.path.name + "-wal")
        return log.stat().st_size if log.exists() else 0


def _statements(script: str) -> list[str]:
    """The statements of a migration; `executescript` would commit behind our back."""
    lines = (line for line in script.splitlines() if not line.startswith("--"))
    return [statement.strip() for statement in "\n".join(lines).split(";") if statement.strip()]
