"""A transaction ends, however it is left."""

import asyncio
import os
import sqlite3
import threading
from pathlib import Path, PosixPath
from typing import ClassVar

import pytest

from gateway.core.database import LOG_INTO_FILE, Database
from gateway.core.errors import RefusedFileError, StorageError

ENDLESS = f"WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT {10**11}) SELECT count(*) FROM n"
INSERT = "INSERT OR REPLACE INTO meta (key, value) VALUES (?, '')"


async def opened(folder: Path) -> Database:
    return await Database.open(folder / "b.db", "gateway.buffer", page_size=1024)


async def keys(database: Database) -> list[str]:
    return [key for (key,) in await database.fetch("SELECT key FROM meta ORDER BY key")]


@pytest.mark.P1
@pytest.mark.parametrize("turns", range(1, 12))
async def test_a_transaction_that_is_cancelled_anywhere_leaves_the_next_one_its_way(tmp_path: Path, turns: int) -> None:
    async def write() -> None:
        async with database.transaction() as db:
            await db.execute(INSERT, ("cancelled",))

    database = await opened(tmp_path)
    task = asyncio.ensure_future(write())
    for _ in range(turns):
        await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    async with database.transaction() as db:
        await db.execute(INSERT, ("next",))
    assert "next" in await keys(database)
    await database.close()


@pytest.mark.P1
@pytest.mark.parametrize("between", range(6))
@pytest.mark.parametrize("turns", range(1, 12))
async def test_one_that_is_cancelled_twice_does_not_undo_a_piece_of_the_next(
    tmp_path: Path, turns: int, between: int
) -> None:
    async def write() -> None:
        async with database.transaction() as db:
            await db.execute(INSERT, ("cancelled",))

    async def fail() -> None:
        async with database.transaction() as db:
            for number in range(20):
                await db.execute(INSERT, (f"next {number}",))
            raise ZeroDivisionError

    database = await opened(tmp_path)
    first, second = asyncio.ensure_future(write()), asyncio.ensure_future(fail())
    for pause in (turns, between):
        for _ in range(pause):
            await asyncio.sleep(0)
        first.cancel()
    assert isinstance((await asyncio.gather(first, second, return_exceptions=True))[1], ZeroDivisionError)
    assert not [key for key in await keys(database) if key.startswith("next")]
    await database.close()


async def test_what_failed_is_undone_and_told_in_our_words(tmp_path: Path) -> None:
    database = await opened(tmp_path)
    with pytest.raises(StorageError, match="no such table"):
        async with database.transaction() as db:
            await db.execute(INSERT, ("undone",))
            await db.execute("INSERT INTO elsewhere VALUES (1)")
    with pytest.raises(ZeroDivisionError):
        async with database.transaction() as db:
            await db.execute(INSERT, ("undone",))
            raise ZeroDivisionError
    assert "undone" not in await keys(database)
    await database.close()


async def test_transactions_wait_for_each_other(tmp_path: Path) -> None:
    async def write(key: str) -> None:
        async with database.transaction() as db:
            await asyncio.sleep(0)
            await db.execute(INSERT, (key,))

    database = await opened(tmp_path)
    await asyncio.gather(*(write(key) for key in "abc"))
    assert await keys(database) == ["a", "b", "c"]
    with pytest.raises((StorageError, sqlite3.Error)):
        await database.fetch("INSERT INTO meta VALUES ('d', '')")
    await database.close()


async def test_a_file_belongs_to_one_at_a_time_and_is_free_when_that_one_ends(tmp_path: Path) -> None:
    first = await opened(tmp_path)
    with pytest.raises(RefusedFileError, match=f"in use by another Holdfast, process {os.getpid()}"):
        await opened(tmp_path)
    await first.close()
    await (await opened(tmp_path)).close()


async def test_a_folder_that_is_not_there_is_not_made_and_the_file_opened_when_it_is(tmp_path: Path) -> None:
    database = Database(tmp_path / "usb" / "b.db", "gateway.buffer", page_size=1024)
    for attempt in (database.connect(), database.fetch("SELECT 1"), database.look(lambda _: None)):
        with pytest.raises(StorageError, match="its folder is not there"):
            await attempt
    with pytest.raises(StorageError, match="its folder is not there"):
        async with database.transaction():
            pass
    (tmp_path / "usb").mkdir()
    await database.connect()
    assert await keys(database) == []
    await database.close()


async def test_a_hub_refuses_a_file_of_a_newer_release(tmp_path: Path) -> None:
    store = await Database.open(tmp_path / "h.db", "sync.hub", page_size=4096)
    async with store.transaction() as db:
        await db.execute("PRAGMA user_version = 99")
    await store.close()
    with pytest.raises(RefusedFileError, match="newer release"):
        await Database.open(tmp_path / "h.db", "sync.hub", page_size=4096)


async def test_a_look_that_nobody_waits_for_any_more_ends(tmp_path: Path) -> None:
    begun, ended = asyncio.Event(), threading.Event()
    loop = asyncio.get_running_loop()

    def count(connection: sqlite3.Connection) -> None:
        loop.call_soon_threadsafe(begun.set)
        try:
            connection.execute(ENDLESS).fetchone()
        finally:
            ended.set()

    database = await opened(tmp_path)
    looking = asyncio.ensure_future(database.look(count))
    await begun.wait()
    looking.cancel()
    assert await asyncio.to_thread(ended.wait, 10)
    await database.close()


async def test_a_statement_that_takes_long_does_not_outlive_its_cancellation(tmp_path: Path) -> None:
    database, begun = await opened(tmp_path), asyncio.Event()
    loop = asyncio.get_running_loop()
    assert database._writer is not None
    await database._writer.create_function("begun", 0, lambda: loop.call_soon_threadsafe(begun.set) and 1)
    statement = f"SELECT begun() UNION ALL SELECT * FROM ({ENDLESS})"
    vacuuming = asyncio.ensure_future(database.alone(statement))
    await begun.wait()
    vacuuming.cancel()
    async with database.transaction() as db:
        await db.execute(INSERT, ("committed",))
    assert "committed" in await keys(database)
    await database.close()


class Watched(PosixPath):
    """Notes the threads on which its disk is looked at."""

    threads: ClassVar[list[threading.Thread]] = []

    def exists(self, **how: bool) -> bool:
        self.threads.append(threading.current_thread())
        return super().exists(**how)


async def test_a_disk_that_fails_is_looked_at_beside_the_event_loop(tmp_path: Path) -> None:
    database = await opened(tmp_path)
    database.path = Watched(database.path)
    with pytest.raises(StorageError):
        await database.fetch("SELECT 1 FROM elsewhere")
    with pytest.raises(StorageError):
        await database.alone("VACUUM elsewhere")
    with pytest.raises(StorageError):
        async with database.transaction() as db:
            await db.execute("DELETE FROM elsewhere")
    assert len(Watched.threads) >= 3
    assert threading.main_thread() not in Watched.threads
    await database.close()


async def test_however_many_look_at_the_file_for_long_commits_and_checkpoints_go_on(tmp_path: Path) -> None:
    seen = threading.Event()
    database = await opened(tmp_path)
    looking = [asyncio.ensure_future(database.look(lambda _: seen.wait(20))) for _ in range(50)]
    async with database.transaction() as db:
        await db.execute(INSERT, ("committed",))
    await database.alone(LOG_INTO_FILE)
    assert "committed" in await keys(database)
    assert not any(look.done() for look in looking)
    seen.set()
    await asyncio.gather(*looking)
    await database.close()


async def test_a_table_that_is_not_there_is_not_blamed_on_the_disk(tmp_path: Path) -> None:
    database = await opened(tmp_path)
    with pytest.raises(StorageError, match="no such column: wings") as told:
        await database.fetch("SELECT wings FROM meta")
    assert "not those of this release" in told.value.hint
    await database.close()
