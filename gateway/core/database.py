"""A SQLite file: settings that measured best, transactions, errors in our words; opened now, later or again.

Both stores stand on it, the edge's buffer and the hub's; with its neighbours `migrating`, `filelock`
and `diskwords` it is the piece of the core that does I/O.
"""

import asyncio
import contextlib
import logging
import sqlite3
import threading
from collections.abc import AsyncIterator, Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import TypeVar

import aiosqlite

from gateway.core.diskwords import is_read_only, primary_code, storage_error
from gateway.core.errors import DamagedFileError, StorageError
from gateway.core.filelock import FileLock
from gateway.core.migrating import migrate
from gateway.core.pagecache import PageCache

# Each was measured: docs/decisions/0004-buffer-file.md. FULL: a commit is on the disk when it returns.
# secure_delete is on in Debian's build and writes every deleted page once more.
PRAGMAS = (
    "PRAGMA page_size = {page_size:d}",
    "PRAGMA auto_vacuum = 0",
    "PRAGMA journal_mode = WAL",
    "PRAGMA synchronous = FULL",
    "PRAGMA secure_delete = 0",
    "PRAGMA wal_autocheckpoint = {checkpoint_pages:d}",
    "PRAGMA busy_timeout = 5000",
    "PRAGMA foreign_keys = ON",
)
# What was committed before is moved to where only this process has written: pagecache.py.
LOG_INTO_FILE = "PRAGMA wal_checkpoint(TRUNCATE)"
CHECKPOINT_PAGES = 4000  # of the log, before they are moved into the file
SUSPECT = (sqlite3.SQLITE_IOERR, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PROTOCOL)
LOOKERS = 3  # looks at once; each may take seconds and many megabytes
STEPS = 1000  # of SQLite's machine, between two looks at whether anybody still waits

log = logging.getLogger(__name__)
T = TypeVar("T")


class Database:
    """A writer and a reader on one file: a reader on the writer's connection would see what may yet be undone."""

    def __init__(self, path: Path, package: str, *, page_size: int, checkpoint_pages: int = CHECKPOINT_PAGES) -> None:
        """Not open yet; its schema is `package`'s `schema/*.sql`."""
        self._checkpoint_pages = checkpoint_pages
        self.path = path
        self.damage = ""  # why the file must be set aside, once that was met
        self.unread = 0  # how often the disk gave an error for what should be read
        self.suspect = False  # the last transaction failed in a way that opening the file again may heal
        self._package = package
        self._page_size = page_size
        self._lock = FileLock(path)
        self._cache = PageCache(path)
        self._on_disk: int | None = None
        self._address = ""  # for readers
        self._writer: aiosqlite.Connection | None = None
        self._reader: aiosqlite.Connection | None = None
        self._why = StorageError(f"{path}: not opened yet")
        self._lookers = ThreadPoolExecutor(LOOKERS, thread_name_prefix="look")
        self._writing = asyncio.Lock()  # the writer has one transaction at a time

    @classmethod
    async def open(
        cls, path: Path, package: str, *, page_size: int, checkpoint_pages: int = CHECKPOINT_PAGES
    ) -> "Database":
        """Make it and open it. Raises StorageError where that cannot be."""
        database = cls(path, package, page_size=page_size, checkpoint_pages=checkpoint_pages)
        try:
            await database.connect()
        except StorageError:
            await database.close()
            raise
        return database

    @property
    def connected(self) -> bool:
        """Whether it can be written, as far as is known."""
        return self._writer is not None

    @property
    def readable(self) -> bool:
        return self._reader is not None

    async def connect(self) -> None:
        """Open the file anew, or make it, and bring it to the newest schema; whatever was open is closed.

        Raises StorageError: then it can still be read, where the file system is only read-only.
        """
        await self.close()
        async with self._writing:
            try:
                await self._connect()
            except (OSError, sqlite3.Error, StorageError) as error:
                self._why = error if isinstance(error, StorageError) else await self._told(error)
                if not isinstance(self._why, DamagedFileError):
                    self._reader = await self._read_only()
                raise self._why from error

    async def _connect(self) -> None:
        disk = await asyncio.to_thread(self._disk)
        async with AsyncExitStack() as opened:
            opened.callback(self._lock.release)
            await asyncio.to_thread(self._lock.take)
            opened.callback(self._cache.close)
            await asyncio.to_thread(self._cache.open)
            writer = await opened.enter_async_context(aiosqlite.connect(self.path, isolation_level=None))
            reader = await opened.enter_async_context(aiosqlite.connect(self.path, isolation_level=None))
            for pragma in PRAGMAS:
                await writer.execute(pragma.format(page_size=self._page_size, checkpoint_pages=self._checkpoint_pages))
            await migrate(writer, self.path, self._package)
            await writer.execute_fetchall(LOG_INTO_FILE)
            await writer.execute("BEGIN IMMEDIATE")  # a file that can only be read says so now
            await writer.execute("ROLLBACK")
            await reader.execute("PRAGMA busy_timeout = 5000")
            await reader.execute("PRAGMA query_only = ON")
            await asyncio.to_thread(self._cache.open)  # a new file is there only now
            self._cache.was_written()
            opened.pop_all()  # all is well: `close` ends them
            self._writer, self._reader, self._on_disk = writer, reader, disk
            self._address = self._uri("mode=ro")

    def _uri(self, how: str) -> str:
        return f"{self.path.absolute().as_uri()}?{how}"

    def _disk(self) -> int:
        """The device of the file's folder. A disk that is not mounted must not be taken for a new, empty one."""
        folder = self.path.parent  # where it is not there it is not made
        disk = folder.stat().st_dev
        if self._on_disk not in (None, disk) and not self.path.exists() and disk == folder.parent.stat().st_dev:
            raise StorageError(f"{self.path}: its disk is not mounted", hint="put it back and mount it")
        return disk

    async def _read_only(self) -> aiosqlite.Connection | None:
        """A reader of a file that cannot be written; on a read-only disk it cannot change under us either."""
        with contextlib.suppress(OSError, sqlite3.Error):
            if await asyncio.to_thread(lambda: self.path.exists() and is_read_only(self.path.parent)):
                has_log = self.path.with_name(self.path.name + "-wal").exists()
                self._address = self._uri("mode=ro" if has_log else "immutable=1")
                reader = await aiosqlite.connect(self._address, uri=True, isolation_level=None)
                try:
                    await reader.execute_fetchall("SELECT 1 FROM sqlite_master")
                except sqlite3.Error:
                    await reader.close()
                    raise
                return reader
        return None

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[aiosqlite.Connection]:
        """One transaction of the writer, when others have ended; on the disk when the block is left.

        Raises StorageError.
        """
        async with self._writing:
            if self._writer is None:
                raise self._not_open()
            if not self._cache.is_in_place():
                self.suspect = True
                why = f"{self.path}: it was removed or replaced while in use, or its disk is not mounted any more"
                raise StorageError(why, hint="stop the gateway before you touch its files")
            try:
                await self._writer.execute("BEGIN IMMEDIATE")
                yield self._writer
                await self._writer.execute("COMMIT")
                self.suspect = False
                await self._look_after_checkpoint()
            except BaseException as error:
                await _to_its_end(self._undo(self._writer))
                if isinstance(error, sqlite3.Error):
                    self.suspect = primary_code(error) in SUSPECT
                    await self._drop_cache()
                    raise await self._told(error) from error
                raise

    async def _look_after_checkpoint(self) -> None:
        """SQLite repeats a checkpoint that failed, with the next commit: it must not find those pages in the cache."""
        if self._cache.was_written():
            try:
                await asyncio.to_thread(self._cache.check)
            except OSError as error:
                log.warning("checkpoint failed", extra={"file": str(self.path), "why": str(error)})
                await self._drop_cache()

    async def _drop_cache(self) -> None:
        with contextlib.suppress(OSError):  # a disk that does not even do that is not believed when it is opened again
            await asyncio.to_thread(self._cache.drop)

    async def _undo(self, writer: aiosqlite.Connection) -> None:
        """End the transaction that is open, if one is.

        A statement whose await was cancelled may still be running on the writer's thread: one more
        has to pass before it is known how things stand.
        """
        with contextlib.suppress(sqlite3.Error):  # what failed first is told
            await writer.execute("SELECT 1")
            if writer.in_transaction:
                await writer.execute("ROLLBACK")

    async def alone(self, statement: str) -> None:
        """One statement of the writer that cannot stand in a transaction: VACUUM, a checkpoint. Raises StorageError.

        When it is cancelled, the statement ends too: on a slow disk VACUUM takes longer than a stop may.
        """
        async with self._writing:
            if self._writer is None:
                raise self._not_open()
            try:
                await self._writer.execute_fetchall(statement)
                await self._look_after_checkpoint()
            except sqlite3.Error as error:
                await self._drop_cache()
                raise await self._told(error) from error
            except asyncio.CancelledError:
                await self._writer.interrupt()
                raise

    async def fetch(self, query: str, parameters: tuple[object, ...] = ()) -> list[sqlite3.Row]:
        """All rows of a reading query, from what is committed. Raises StorageError."""
        if self._reader is None:
            raise self._not_open()
        try:
            return list(await self._reader.execute_fetchall(query, parameters))
        except sqlite3.Error as error:
            raise await self._told(error) from error
        except ValueError as error:  # aiosqlite's word for a connection that was closed meanwhile
            raise self._not_open() from error

    def _not_open(self) -> StorageError:
        return type(self._why)(f"{self._why}", hint=self._why.hint)

    async def _told(self, error: sqlite3.Error | OSError) -> StorageError:
        """As `_told_by`, on a thread: a disk that fails may take long to say how it does."""
        return await asyncio.to_thread(self._told_by, error)

    def _told_by(self, error: sqlite3.Error | OSError) -> StorageError:
        """Our error, and what it says about the file; looks at the disk."""
        told = storage_error(self.path, error)
        if isinstance(told, DamagedFileError):
            self.damage = self.damage or str(error)
        self.unread += getattr(error, "sqlite_errorcode", 0) == sqlite3.SQLITE_IOERR_READ
        return told

    async def look(self, question: Callable[[sqlite3.Connection], T]) -> T:
        """What `question` finds in one snapshot of the file, on a thread and with a connection of its own.

        For what takes many queries, or computes long between them; some wait for others, commits for none. It ends
        with its next query when it is cancelled. Raises StorageError.
        """
        if self._reader is None:
            raise self._not_open()
        given_up = threading.Event()
        try:
            loop = asyncio.get_running_loop()
            return await loop.run_in_executor(self._lookers, self._look, self._address, question, given_up)
        finally:
            given_up.set()

    def _look(self, address: str, question: Callable[[sqlite3.Connection], T], given_up: threading.Event) -> T:
        try:
            with contextlib.closing(sqlite3.connect(address, uri=True, isolation_level=None)) as connection:
                connection.set_progress_handler(given_up.is_set, STEPS)
                connection.execute("PRAGMA busy_timeout = 5000")
                connection.execute("BEGIN")
                return question(connection)
        except sqlite3.Error as error:
            raise self._told_by(error) from error

    async def close(self) -> None:
        """Close what is open; may be called again."""
        async with self._writing:
            reader, writer, self._reader, self._writer = self._reader, self._writer, None, None
            for connection in (reader, writer):
                if connection is not None:
                    with contextlib.suppress(sqlite3.Error):  # a broken disk: what was committed is not at stake
                        await connection.close()
            self._cache.close()
            self._lock.release()

    def bytes_on_disk(self) -> int:
        """The size of the file and its log; 0 where they cannot be seen."""
        return _size(self.path) + self.log_bytes()

    def log_bytes(self) -> int:
        return _size(self.path.with_name(self.path.name + "-wal"))


async def _to_its_end(work: Coroutine[None, None, None]) -> None:
    """Return when `work` is done, however often we are cancelled meanwhile: what comes next must not meet it."""
    task, cancelled = asyncio.ensure_future(work), None
    while not task.done():
        try:
            await asyncio.shield(task)
        except asyncio.CancelledError as error:
            cancelled = error
    if cancelled is not None:
        raise cancelled


def _size(file: Path) -> int:
    with contextlib.suppress(OSError):
        return file.stat().st_size
    return 0
