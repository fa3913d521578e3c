"""What only the store on PostgreSQL has: a server that goes away, other hubs beside it, a view for people."""

import asyncio
import signal
from pathlib import Path

import asyncpg
import pytest

from bench.postgres import PROGRAMS, Server, postgres
from gateway.core.errors import ConfigError, RefusedFileError, StorageError
from gateway.core.model import Layout, Point, Record, readings_of
from sync.hub.store.postgres import PostgresStore
from sync.hub.store.postgresdatabase import PostgresDatabase
from tests.hub.postgres import Databases
from tests.hub.stores import audit, opened, place
from tests.needs import lacks
from tests.sync.parts import site, synced, syncing
from tests.values import METER, power

PARALLEL = {"parallel_setup_cost": "0", "parallel_tuple_cost": "0", "min_parallel_table_scan_size": "0"}


@pytest.fixture
async def where(request: pytest.FixtureRequest) -> str:
    return await place("postgresql", request)


async def ask(where: str, query: str, *parameters: object) -> list[tuple[object, ...]]:
    """As a person's tool would, of a database that takes every question for a large one."""
    connection = await asyncpg.connect(where, server_settings=PARALLEL)
    try:
        return [tuple(row) for row in await connection.fetch(query, *parameters)]
    finally:
        await connection.close()


EVERY = Layout(
    "every type", "live",
    (
        Point("bit", "bit"), Point("u8", "u8"), Point("i8", "i8"), Point("u16", "u16", scale="0.1"),
        Point("i16", "i16"),
        Point("u32", "u32", scale="0.001", offset="-40"), Point("i32", "i32"), Point("u64", "u64"), Point("i64", "i64"),
        Point("f32", "f32", unit="W"), Point("f64", "f64", scale="3"), Point("text", "text:6", kind="text"),
    ),
)  # fmt: skip
ROWS: list[list[int | float | str | None]] = [
    [1, 255, -128, 3, -32768, 4_000_000_000, -1, 2**64 - 1, -(2**63), 1.5, 0.1, "Zähl"],
    [0, 0, 127, 65535, 32767, 0, 2**31 - 1, 2**53 + 1, 2**63 - 1, -3.4028234663852886e38, 1.7e308 / 3, ""],
    [None, 7, None, 1, None, 1, None, 1, None, 1.401298464324817e-45, 5e-324, None],
    [0, 0, 0, 0, 0, 0, 0, 0, 0, -0.0, 2.2250738585072014e-308, "six by"],
]


async def test_the_view_gives_the_values_that_the_page_would_show(where: str, tmp_path: Path) -> None:
    records = [Record(EVERY.id, ts, EVERY.rows.pack(row)) for ts, row in enumerate(ROWS)]
    async with opened(where, tmp_path) as store:
        await store.take_layouts([EVERY], audit())
        await store.take_records(records, audit())
    found = await ask(where, "SELECT ts, key, coalesce(to_jsonb(value), to_jsonb(words))::text, unit FROM reading")
    shown = {(ts, key): text for ts, key, text, _ in found}
    for record in records:
        for reading in readings_of(EVERY, record):
            text = shown.pop((record.ts, reading.key), None)
            if reading.value is None:
                assert text is None
            elif isinstance(reading.value, str):
                assert text == f'"{reading.value}"'
            else:
                assert text is not None and float(text) == float(reading.value), reading
    assert not shown
    assert {unit for _, key, _, unit in found if key == "f32"} == {"W"}


async def test_what_is_no_number_is_missing_in_the_view_and_odd_text_is_escaped(where: str, tmp_path: Path) -> None:
    odd = Layout("odd", "live", (Point("power", "f32"), Point("name", "text:3", kind="text")))
    async with opened(where, tmp_path) as store:
        await store.take_layouts([odd], audit())
        await store.take_records([Record(odd.id, 1, odd.rows.pack([float("inf"), "aaä"]))], audit())
    found = await ask(where, "SELECT value, words, quality FROM reading ORDER BY key")
    assert found == [(None, r"aa\303", "good"), (None, None, "missing")]


async def test_a_question_for_some_hours_of_one_point_reads_no_other_records(where: str, tmp_path: Path) -> None:
    async with opened(where, tmp_path) as store:
        await store.take_layouts([METER], audit())
        await store.take_records([power(ms) for ms in range(5000)], audit())
    await ask(where, "ANALYZE")
    query = (
        "SELECT value FROM reading WHERE node = 'node' AND device = 'meter' AND key = 'power' AND ts BETWEEN 7 AND 9"
    )
    assert await ask(where, query) == [(7.0,), (8.0,), (9.0,)]
    plan = "\n".join(str(line) for (line,) in await ask(where, "EXPLAIN " + query))
    assert "Index Scan using record_early" in plan
    assert "Seq Scan on record" not in plan


async def test_two_hubs_share_one_database(where: str, tmp_path: Path) -> None:
    async with opened(where, tmp_path) as one, opened(where, tmp_path) as other:
        assert await other.row_size("node", METER.id) is None
        await one.take_layouts([METER], audit())
        assert await other.row_size("node", METER.id) == METER.rows.size
        batch = [power(ms) for ms in range(200)]
        taken = await asyncio.gather(*(store.take_records(batch, audit()) for store in (one, other) * 4))
        assert sum(audit.accepted for audit in taken) == 200


async def test_hubs_that_start_together_make_the_schema_once(databases: Databases) -> None:
    where = await databases.new()
    stores = await asyncio.gather(*(PostgresStore.open(where) for _ in range(4)))
    for store in stores:
        await store.close()
    assert await ask(where, "SELECT count(*) FROM schema_version WHERE number = 1") == [(1,)]


async def test_the_schema_of_a_newer_release_is_left_alone(where: str, tmp_path: Path) -> None:
    async with opened(where, tmp_path):
        await ask(where, "INSERT INTO schema_version VALUES (99)")
    with pytest.raises(RefusedFileError, match="schema 99"):
        await PostgresStore.open(where)


@pytest.mark.P11
async def test_a_database_that_cannot_be_had_is_told_without_its_password() -> None:
    with pytest.raises(StorageError) as told:
        await PostgresStore.open("postgresql://hub:open-sesame@127.0.0.1:9/fleet")
    assert "127.0.0.1/fleet" in str(told.value)
    assert "open-sesame" not in str(told.value)
    assert "server runs" in told.value.hint


@pytest.mark.P11
async def test_an_address_that_is_none_is_told_with_what_to_do_and_without_its_password() -> None:
    with pytest.raises(ConfigError) as told:
        await PostgresStore.open("postgresql://hub:open[sesame@db.example/fleet")
    assert "%5B" in told.value.hint
    assert "sesame" not in str(told.value)


@pytest.mark.P1
async def test_what_is_acknowledged_is_on_the_disk_whatever_the_server_is_set_to(where: str) -> None:
    await ask(where, "ALTER ROLE holdfast SET synchronous_commit = off")
    try:
        store = await PostgresStore.open(where)
        assert [tuple(row) for row in await store.sql.fetch("SHOW synchronous_commit")] == [("on",)]
        await store.close()
    finally:
        await ask(where, "ALTER ROLE holdfast RESET synchronous_commit")


@pytest.mark.P1
@pytest.mark.P2
async def test_a_server_that_dies_and_comes_back_has_what_was_acknowledged_and_takes_the_rest() -> None:
    if not PROGRAMS:
        lacks("PostgreSQL", "postgresql")
    with postgres("shared_buffers=32MB") as server:
        store = await PostgresStore.open(await server.database("hub"))
        await store.take_layouts([METER], audit())
        await store.take_records([power(ms) for ms in range(50)], audit())
        server.stop(signal.SIGQUIT)  # as after a crash
        with pytest.raises(StorageError):
            await store.take_records([power(99)], audit())
        server.start()
        assert (await taken_at_last(store)).accepted == 50
        assert len(await store.records("node", METER.id)) == 100
        await store.close()


async def taken_at_last(store: PostgresStore) -> object:
    """Connections that broke are told once each."""
    while True:
        try:
            return await store.take_records([power(ms) for ms in range(100)], audit())
        except StorageError:
            await asyncio.sleep(0)


@pytest.mark.P2
async def test_a_site_reaches_a_hub_on_postgresql_through_an_outage_of_its_server(
    postgres_server: Server, where: str, tmp_path: Path
) -> None:
    async with site(tmp_path) as (buffer, hub), opened(where, tmp_path) as store:
        hub.use(store)
        buffer.put(METER, [power(ms) for ms in range(300)])
        await buffer.flushed()
        async with syncing(buffer, hub) as engine:
            await synced(engine, buffer)
        postgres_server.stop()
        try:
            buffer.put(METER, [power(ms) for ms in range(300, 500)])
            await buffer.flushed()
            async with syncing(buffer, hub) as engine:
                while "cannot store" not in engine.state().error:
                    await asyncio.sleep(0)
        finally:
            postgres_server.start()
        async with syncing(buffer, hub) as engine:
            await synced(engine, buffer)
        assert [record.ts for record in await store.records("node", METER.id)] == list(range(500))


async def test_a_hub_that_stands_still_amid_a_transaction_does_not_keep_a_node_from_the_others(
    where: str, tmp_path: Path
) -> None:
    async with opened(where, tmp_path) as store:
        await store.take_layouts([METER], audit())
        still = await PostgresDatabase.open(where, idle_s=0.2)
        with pytest.raises(StorageError):
            async with still.transaction() as db:
                await db.execute("UPDATE node SET last_seen = last_seen")
                assert (await store.take_records([power(1)], audit())).accepted == 1
        assert (await still.fetch("SELECT records FROM node"))[0][0] == 1
        await still.close()


async def test_what_the_driver_makes_of_a_connection_that_was_ended_is_a_fault_of_the_store(where: str) -> None:
    database = await PostgresDatabase.open(where)
    with pytest.raises(StorageError):
        async with database.connection():
            raise asyncpg.InternalClientError("cannot switch to state 15; another operation (2) is in progress")
    assert await database.fetch("SELECT 1")
    await database.close()


async def test_settings_of_the_server_for_others_do_not_turn_batches_away(where: str, tmp_path: Path) -> None:
    name = where.partition("?")[0].rpartition("/")[2]
    for setting in ("default_transaction_isolation = serializable", "lock_timeout = 1", "statement_timeout = 1"):
        await ask(where, f'ALTER DATABASE "{name}" SET {setting}')
    async with opened(where, tmp_path) as one, opened(where, tmp_path) as other:
        await one.take_layouts([METER], audit())
        batches = [[power(1000 * n + ts) for ts in range(50)] for n in range(8)]
        stores = (one, other)
        taken = [store.take_records(batch, audit()) for batch in batches for store in stores]
        assert sum(found.accepted for found in await asyncio.gather(*taken)) == 400
        assert await one.sql.fetch("SELECT records FROM node") == [(400,)]
