"""Where the database has Citus' workers, they keep the hub's records; what the hub promises holds just the same."""

from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack
from uuid import uuid4

import pytest

from bench.postgres import PROGRAMS, Server, postgres
from gateway.core.accounts import Account, of_records
from gateway.core.model import Record
from sync.hub.rollup.rollups import Rollups
from sync.hub.store.partitions import WEEK_MS
from sync.hub.store.postgres import PostgresStore
from tests.hub.stores import audit, nodes
from tests.hub.test_postgres import ask
from tests.values import METER, power

HOUR_MS = 3_600_000
OLD = 2900 * WEEK_MS  # long before now
SETTINGS = ("fsync=off", "shared_buffers=32MB", "shared_preload_libraries=citus", "citus.shard_count=4")


@pytest.fixture(scope="module")
def citus_servers() -> Iterator[list[Server]]:
    """A coordinator and two workers."""
    if not PROGRAMS or not (PROGRAMS[-1].parent / "lib" / "citus.so").exists():
        pytest.skip("Citus is missing: HOLDFAST_POSTGRES_BIN names the programs' folder of a server that has it")
    with ExitStack() as running:
        yield [running.enter_context(postgres(*SETTINGS)) for _ in range(3)]


async def coordinator(servers: list[Server]) -> str:
    """A new database that knows its workers."""
    name = uuid4().hex
    where, *workers = [await server.database(name) for server in servers]
    for address in (where, *workers):
        await ask(address, "CREATE EXTENSION citus")
    folders = [address.partition("host=")[2] for address in (where, *workers)]
    await ask(where, f"SELECT citus_set_coordinator_host('{folders[0]}')")
    for folder in folders[1:]:
        await ask(where, f"SELECT citus_add_node('{folder}', 5432)")
    return where


@pytest.fixture
async def where(citus_servers: list[Server]) -> str:
    return await coordinator(citus_servers)


@pytest.fixture
async def store(where: str) -> AsyncIterator[PostgresStore]:
    store = await PostgresStore.open(where)
    await store.take_layouts([METER], audit())
    yield store
    await store.close()


def at(*times: int) -> list[Record]:
    return [power(ts, 7) for ts in times]


async def test_a_new_database_has_its_records_on_the_workers_also_after_the_next_start(where: str) -> None:
    for number in range(2):
        store = await PostgresStore.open(where)
        for node in map(str, range(8)):
            await store.take_layouts([METER], audit(node))
            assert (await store.take_records(at(OLD + number), audit(node))).accepted == 1
        await store.close()
    found = await ask(where, "SELECT count(DISTINCT nodename) FROM citus_shards WHERE table_name = 'record'::regclass")
    assert found == [(2,)]
    assert await ask(where, "SELECT count(*) FROM ONLY record_2900") == [(16,)]


@pytest.mark.P2
@pytest.mark.parametrize("count", [20, 1000])
async def test_each_record_is_kept_once_and_what_came_again_is_counted(store: PostgresStore, count: int) -> None:
    batch = at(*range(OLD, OLD + count))
    assert (await store.take_records(batch, audit())).accepted == count
    assert (await store.take_records(batch, audit())).duplicate == count
    again = await store.take_records([*batch, *at(OLD + count, OLD + WEEK_MS)], audit())
    assert (again.accepted, again.duplicate) == (2, count)
    times = [*range(OLD, OLD + count + 1), OLD + WEEK_MS]
    assert [record.ts for record in await store.records("node", METER.id)] == times


@pytest.mark.P10
async def test_ledger_hours_and_newest_values_are_those_of_all_workers(store: PostgresStore, where: str) -> None:
    await store.take_layouts([METER], audit("other"))
    await store.take_records(at(OLD, OLD + 5, OLD + HOUR_MS), audit())
    await store.take_records(at(OLD + 7), audit("other"))
    rows = [(record.ts, record.row) for record in at(OLD, OLD + 5)]
    accounts = await store.accounts("node", [(METER.id, OLD), (METER.id, OLD - HOUR_MS)])
    assert accounts == [Account(2, of_records(rows)), Account(0, 0)]
    (held,) = await Rollups(store.sql).completeness("node", OLD, OLD + 2 * HOUR_MS)
    assert held.records == {OLD: 2, OLD + HOUR_MS: 1}
    assert [device.ts for node in await nodes(store, OLD) for device in node.devices] == [OLD + HOUR_MS, OLD + 7]
    shown = await ask(where, "SELECT node, count(*), max(value) FROM reading WHERE key = 'power' GROUP BY 1 ORDER BY 1")
    assert shown == [("node", 3, 7.0), ("other", 1, 7.0)]


async def test_a_week_is_dropped_from_all_workers_when_nothing_is_left_of_it(store: PostgresStore, where: str) -> None:
    await store.take_records(at(OLD, OLD + WEEK_MS), audit())
    assert await ask(where, "SELECT holdfast_drop_empty_week(2900)") == [(False,)]
    await ask(where, "DELETE FROM record WHERE ts = $1", OLD)
    assert await ask(where, "SELECT holdfast_drop_empty_week(2900)") == [(True,)]
    assert await store.partitions.weeks() == [2901]
    assert (await store.take_records(at(OLD), audit())).accepted == 1


async def test_without_workers_records_stay_where_they_are(citus_servers: list[Server]) -> None:
    where = await citus_servers[0].database(uuid4().hex)
    await ask(where, "CREATE EXTENSION citus")
    store = await PostgresStore.open(where)
    await store.take_layouts([METER], audit())
    assert (await store.take_records(at(*range(OLD, OLD + 300)), audit())).accepted == 300
    assert await ask(where, "SELECT count(*) FROM pg_dist_partition") == [(0,)]
    await store.close()
