"""Where the server has TimescaleDB, it keeps the hub's records; what the hub promises holds just the same."""

from collections.abc import Iterator
from importlib import resources
from uuid import uuid4

import asyncpg
import pytest

from bench.postgres import PROGRAMS, Server, postgres
from gateway.core.model import Record
from sync.hub.store.partitions import WEEK_MS
from sync.hub.store.postgres import PostgresStore
from tests.hub.stores import audit
from tests.hub.test_postgres import ask
from tests.values import METER, power

HOUR_MS = 3_600_000
OLD = 2900 * WEEK_MS  # long before now
JOBS = "SELECT job_id FROM timescaledb_information.jobs WHERE proc_name = $1"


def need_timescale() -> None:
    """No package of Debian's brings it: whoever has a server with it names it."""
    if not PROGRAMS or not (PROGRAMS[-1].parent / "lib" / "timescaledb.so").exists():
        pytest.skip(
            "TimescaleDB is missing: see docs.tigerdata.com; HOLDFAST_POSTGRES_BIN names the programs' folder of a "
            "server that has it"
        )


@pytest.fixture(scope="module")
def timescale_server() -> Iterator[Server]:
    need_timescale()
    with postgres("fsync=off", "shared_buffers=32MB", "shared_preload_libraries=timescaledb") as running:
        yield running


@pytest.fixture
async def where(timescale_server: Server) -> str:
    return await timescale_server.database(uuid4().hex)


def at(*times: int) -> list[Record]:
    return [power(ts, 7) for ts in times]


async def run(where: str, job: str) -> None:
    """What TimescaleDB does by itself in the end."""
    [(number,)] = await ask(where, JOBS, job)
    await ask(where, f"CALL run_job({number})")


async def compressed(where: str) -> int:
    return len(await ask(where, "SELECT FROM timescaledb_information.chunks WHERE is_compressed"))


async def test_a_new_database_has_a_hypertable_and_is_the_same_at_the_next_start(where: str) -> None:
    for _ in range(2):
        store = await PostgresStore.open(where)
        await store.close()
    found = await ask(where, "SELECT hypertable_name FROM timescaledb_information.hypertables WHERE num_dimensions = 1")
    assert ("record",) in found


@pytest.mark.P2
async def test_each_record_is_kept_once_also_where_its_week_is_compressed(where: str) -> None:
    store = await PostgresStore.open(where)
    await store.take_layouts([METER], audit())
    batch = at(*range(OLD, OLD + 1000))
    await store.take_records(batch, audit())
    await run(where, "policy_compression")
    assert await compressed(where) == 1
    assert (await store.take_records(batch, audit())).duplicate == 1000
    assert (await store.take_records(batch[:50] + at(OLD + 5000), audit())).accepted == 1
    assert (await store.take_records(at(*range(OLD + 6000, OLD + 6500)), audit())).accepted == 500
    times = [*range(OLD, OLD + 1000), OLD + 5000, *range(OLD + 6000, OLD + 6500)]
    assert [record.ts for record in await store.records("node", METER.id)] == times
    shown = await ask(where, "SELECT count(*), min(value), max(value) FROM reading WHERE key = 'power'")
    assert shown == [(1501, 7.0, 7.0)]
    await store.close()


@pytest.mark.P10
async def test_the_hours_are_kept_and_take_what_comes_late(where: str) -> None:
    store = await PostgresStore.open(where)
    await store.take_layouts([METER], audit())
    await store.take_records(at(OLD, OLD + 5, OLD + HOUR_MS), audit())
    await run(where, "policy_refresh_continuous_aggregate")
    await run(where, "policy_compression")
    await store.take_records(at(OLD + 7, OLD - HOUR_MS), audit())
    await run(where, "policy_refresh_continuous_aggregate")
    found = await ask(where, "SELECT hour, records, first, last FROM record_hour ORDER BY hour")
    assert found == [
        (OLD - HOUR_MS, 1, OLD - HOUR_MS, OLD - HOUR_MS), (OLD, 3, OLD, OLD + 7),
        (OLD + HOUR_MS, 1, OLD + HOUR_MS, OLD + HOUR_MS),
    ]  # fmt: skip
    await store.close()


async def test_a_week_is_dropped_whole(where: str) -> None:
    store = await PostgresStore.open(where)
    await store.take_layouts([METER], audit())
    await store.take_records(at(OLD, OLD + WEEK_MS), audit())
    assert await store.partitions.weeks() == [2900, 2901]
    assert await ask(where, "SELECT holdfast_drop_empty_week(2900)") == [(False,)]
    await ask(where, "DELETE FROM record WHERE ts = $1", OLD)
    assert await ask(where, "SELECT holdfast_drop_empty_week(2900)") == [(True,)]
    assert await store.partitions.weeks() == [2901]
    assert (await store.take_records(at(OLD), audit())).accepted == 1
    await store.close()


@pytest.mark.P2
async def test_a_server_that_has_not_loaded_it_keeps_records_by_week_until_the_operator_moves_them() -> None:
    need_timescale()
    with postgres("fsync=off", "shared_buffers=32MB") as server:
        where = await server.database("hub")
        store = await PostgresStore.open(where)
        await store.take_layouts([METER], audit())
        assert (await store.take_records(at(OLD), audit())).accepted == 1
        await store.close()
        await ask(where, "ALTER SYSTEM SET shared_preload_libraries = timescaledb")
        server.stop()
        server.start()
        store = await PostgresStore.open(where)
        assert await ask(where, "SELECT tableoid::regclass::text FROM record") == [("record_2900",)]
        await store.close()
        await ask(where, "CREATE EXTENSION timescaledb")
        await as_operator(where, "timescaledb.sql")
        store = await PostgresStore.open(where)
        assert (await store.take_records(at(OLD, OLD + 1), audit())).accepted == 1
        assert await ask(where, "SELECT ts, value FROM reading WHERE key = 'power'") == [(OLD, 7.0), (OLD + 1, 7.0)]
        assert await ask(where, "SELECT count(*) FROM timescaledb_information.chunks") == [(1,)]
        await store.close()


async def as_operator(where: str, script: str) -> None:
    connection = await asyncpg.connect(where)
    await connection.execute(resources.files("sync.hub").joinpath("schema_extended", script).read_text())
    await connection.close()
