"""Batches that wait for SQLite's one writer are kept together, and fail alone."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiosqlite
import pytest

from gateway.core.database import Database
from gateway.core.model import Record
from sync.hub.store.contract import Audit
from sync.hub.store.sqlite import SqliteStore
from tests.hub.stores import audit
from tests.values import METER, power


class Counting(Database):
    """Says how many transactions there were."""

    transactions = 0

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[aiosqlite.Connection]:
        async with super().transaction() as db:
            self.transactions += 1
            yield db


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[Counting]:
    database = Counting(tmp_path / "hub.db", "sync.hub", page_size=4096)
    await database.connect()
    yield database
    await database.close()


@pytest.fixture
async def store(database: Counting) -> SqliteStore:
    store = SqliteStore(database)
    await store.take_layouts([METER], audit())
    return store


async def held(store: SqliteStore) -> int:
    return int((await store.sql.fetch("SELECT count(*) FROM record"))[0][0])


async def test_batches_that_wait_share_a_transaction(database: Counting, store: SqliteStore) -> None:
    before = database.transactions
    taken = await asyncio.gather(*(store.take_records([power(ms), power(0)], audit()) for ms in range(1, 31)))
    assert database.transactions - before <= 3
    assert sum(one.accepted for one in taken) == await held(store) == 31
    assert sum(one.duplicate for one in taken) == 29


async def test_a_batch_that_cannot_be_kept_fails_alone(store: SqliteStore) -> None:
    bad = store.take_records([Record(METER.id, 1 << 70, power(1).row)], audit())
    good = [store.take_records([power(ms)], audit()) for ms in range(10)]
    taken = await asyncio.gather(*good[:5], bad, *good[5:], return_exceptions=True)
    assert isinstance(taken[5], OverflowError)
    assert [one.accepted for one in taken if isinstance(one, Audit)] == [1] * 10
    assert await held(store) == 10


async def test_who_gives_up_while_others_wait_takes_nothing_from_them(database: Counting, store: SqliteStore) -> None:
    async with database.transaction():  # nobody else writes meanwhile
        waiting = [asyncio.ensure_future(store.take_records([power(ms)], audit())) for ms in range(10)]
        while len(store.batches.waiting) < 10:
            await asyncio.sleep(0)
        for index in (5, 0, 1):  # the last two when it is their turn, which for 1 is that of all who are left
            waiting[index].cancel()
            await asyncio.wait(waiting[index : index + 1])
    taken = await asyncio.gather(*waiting, return_exceptions=True)
    assert [one.accepted for one in taken if isinstance(one, Audit)] == [1] * 7
    assert await held(store) == 7
