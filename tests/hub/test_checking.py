"""What `holdfast hub check` finds in a store of either kind, and that it finds nothing where nothing is wrong."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from gateway.core.clock import SystemClock
from gateway.core.rollup import HOUR_MS
from gateway.hubcheck import check
from sync.hub.rollup.rolling import Rolling
from sync.hub.store.contract import Store
from tests.hub.stores import audit, opened
from tests.values import METER, power

NOW = SystemClock().wall_ms()
BEGIN = NOW // HOUR_MS * HOUR_MS - 2 * HOUR_MS


@pytest.fixture
async def store(where: str, tmp_path: Path) -> AsyncIterator[Store]:
    """Of one meter, an hour is rolled up and one is not over."""
    async with opened(where, tmp_path) as store:
        await store.take_layouts([METER], audit("mill", at=BEGIN))
        batch = [power(ts, ts % 700) for ts in range(BEGIN, BEGIN + HOUR_MS + 60_000, 10_000)]
        await store.take_records(batch, audit("mill", at=BEGIN))
        await Rolling(store.sql, SystemClock()).turn(BEGIN + HOUR_MS + 90_000)
        yield store


async def change(store: Store, statement: str) -> None:
    async with store.sql.transaction() as db:
        assert await db.execute(statement)


async def test_of_a_sound_store_nothing_is_said_while_a_hub_has_it_open(
    store: Store, where: str, tmp_path: Path
) -> None:
    assert await check(where, tmp_path, 36_500) == []


@pytest.mark.parametrize(
    ("statement", "words"),
    [
        ("UPDATE node SET records = records + 1", "mill: it holds 366 records, and counts 367"),
        ("DELETE FROM record WHERE ts = (SELECT max(ts) FROM record)", "mill: it holds 365 records, and counts 366"),
        ("UPDATE record SET row = $row WHERE ts = (SELECT min(ts) FROM record)", "records of meter do not fit"),
        ("UPDATE series SET encoded = $row", "cannot be read, and so no record of it"),
        ("INSERT INTO dirty (series, hour, since) SELECT id, 3600000, 0 FROM series", "wait to be rolled up"),
        (
            f"INSERT INTO dirty (series, hour, since) SELECT id, 3600000, {NOW + HOUR_MS} FROM series",
            "not be rolled up",
        ),
        ("UPDATE rollup_1m SET bytes = $row", "is not what its records come to"),
        ("UPDATE rollup_1h SET bytes = $row", "is not what its records come to"),
        ("DELETE FROM rollup_1h", "is not what its records come to"),
        ("DELETE FROM rollup_1m", "1 hours of meter hold records that no roll-up has"),
        ("DELETE FROM dirty", "1 hours of meter hold records that no roll-up has"),
    ],
)
async def test_what_does_not_fit_is_named(store: Store, where: str, tmp_path: Path, statement: str, words: str) -> None:
    blob = "x'0102'" if where == "hub.db" else r"'\x0102'::bytea"
    await change(store, statement.replace("$row", blob))
    found = await check(where, tmp_path, 36_500)
    assert any(words in problem for problem in found), found
