"""Records that were there before the hub rolled anything up are rolled up like all others."""

import asyncio
import sqlite3
from importlib import resources
from pathlib import Path

import asyncpg
import pytest

from gateway.core.clock import SystemClock
from gateway.core.errors import RefusedFileError
from gateway.core.rollup import HOUR_MS
from gateway.hubcheck import check
from sync.hub.rollup.rolling import Rolling
from sync.hub.rollup.rollups import Rollups
from sync.hub.store.opening import open_store
from tests.hub.postgres import Databases
from tests.hub.stores import KINDS, nodes, opened
from tests.values import METER, power

HOUR = 1_700_000_000_000 // HOUR_MS * HOUR_MS
TIMES = [HOUR, HOUR + 1, HOUR + HOUR_MS]
ROWS = [(1, ts, 0, power(ts, 7).row) for ts in TIMES]
OLD = {"sqlite": ("0001.sql", "0002.sql", "0003.sql"), "postgresql": ("0001.sql",)}


def schema(folder: str, names: tuple[str, ...]) -> str:
    """As an older release made it."""
    return "\n".join(resources.files("sync.hub").joinpath(folder, name).read_text() for name in names)


def old_file(path: Path) -> None:
    with sqlite3.connect(path) as db:
        db.executescript(schema("schema", OLD["sqlite"]) + "PRAGMA user_version = 3;")
        db.execute("INSERT INTO node (id, first_seen, last_seen, records) VALUES ('node', 1, 1, 3)")
        db.execute("INSERT INTO series (node, layout, encoded) VALUES ('node', ?, ?)", (METER.id, METER.encoded))
        db.executemany("INSERT INTO record (series, ts, flags, row) VALUES (?, ?, ?, ?)", ROWS)
    db.close()


async def old_database(where: str) -> None:
    db = await asyncpg.connect(where)
    await db.execute("CREATE TABLE schema_version (number integer PRIMARY KEY)")
    await db.execute(schema("schema_pg", OLD["postgresql"]) + "; INSERT INTO schema_version VALUES (1)")
    await db.execute("INSERT INTO node (id, first_seen, last_seen, records) VALUES ('node', 1, 1, 3)")
    await db.execute("INSERT INTO series (node, layout, encoded) VALUES ('node', $1, $2)", METER.id, METER.encoded)
    await db.copy_records_to_table("record", records=ROWS, columns=("series", "ts", "flags", "row"))
    await db.close()


@pytest.mark.P3
@pytest.mark.parametrize("kind", KINDS)
async def test_what_an_older_release_stored_is_rolled_up(
    kind: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    if kind == "sqlite":
        where = "hub.db"
        old_file(tmp_path / where)
    else:
        where = await request.getfixturevalue("databases").new()
        await old_database(where)
    async with opened(where, tmp_path) as store:
        await Rolling(store.sql, SystemClock()).turn(HOUR + 9 * HOUR_MS)
        found = await store.sql.fetch("SELECT hour FROM rollup_1m ORDER BY hour")
        assert [hour for (hour,) in found] == [HOUR, HOUR + HOUR_MS]
        (held,) = await Rollups(store.sql).completeness("node", HOUR, HOUR + HOUR_MS)
        assert held.records == {HOUR: 2}
        assert [node.newest for node in await nodes(store, HOUR)] == [TIMES[-1]]


@pytest.mark.parametrize("kind", KINDS)
async def test_a_check_changes_nothing_of_what_an_older_release_made(
    kind: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    if kind == "postgresql":  # nor of a database that is empty
        where = await request.getfixturevalue("databases").new()
        with pytest.raises(RefusedFileError, match="its schema is not that of this release"):
            await check(where, tmp_path, 30)
        await old_database(where)
    else:
        where = "hub.db"
        old_file(tmp_path / where)
    for _ in range(2):
        with pytest.raises(RefusedFileError, match="its schema is not that of this release"):
            await check(where, tmp_path, 30)
    async with opened(where, tmp_path):
        await check(where, tmp_path, 30)


async def test_a_hub_brings_no_database_up_to_date_while_one_of_an_older_release_stores_into_it(
    databases: Databases, tmp_path: Path
) -> None:
    where = await databases.new()
    await old_database(where)
    older = await asyncpg.connect(where, server_settings={"application_name": "holdfast hub"})
    with pytest.raises(RefusedFileError, match="another hub is connected"):
        async with opened(where, tmp_path):
            raise AssertionError("it was opened")
    await older.execute("INSERT INTO record (series, ts, flags, row) VALUES (1, 1, 0, $1)", ROWS[0][3])
    await older.close()
    async with opened(where, tmp_path) as one, opened(where, tmp_path) as other:
        assert len(await other.records("node", METER.id)) == len(await one.records("node", METER.id)) == 4


async def test_of_hubs_that_start_together_one_brings_the_database_up_to_date(
    databases: Databases, tmp_path: Path
) -> None:
    where = await databases.new()
    await old_database(where)
    stores = await asyncio.gather(*(open_store(where, tmp_path) for _ in range(4)))
    assert [len(await store.records("node", METER.id)) for store in stores] == [3] * 4
    await asyncio.gather(*(store.close() for store in stores))
