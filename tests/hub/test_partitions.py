"""PostgreSQL's records by week: made ahead and when a batch needs one, dropped whole, by many hubs at once."""

import asyncio
from collections.abc import Sequence
from importlib import resources
from pathlib import Path

import asyncpg
import pytest

from gateway.core.model import Record
from sync.hub.intake.door import TS_MAX
from sync.hub.store.chores import Chores
from sync.hub.store.partitions import FIRST, LAST, WEEK_MS
from sync.hub.store.postgres import PostgresStore
from tests.buffer.stocked import StandingClock
from tests.hub.postgres import Databases
from tests.hub.stores import audit, opened, place
from tests.hub.test_postgres import ask
from tests.values import METER, power

WEEK = 2960  # the one of 2026-09-24
NOW = WEEK * WEEK_MS + 1


@pytest.fixture
async def where(request: pytest.FixtureRequest) -> str:
    return await place("postgresql", request)


def at(*times: int) -> list[Record]:
    return [power(ts, 7) for ts in times]


async def parts_of(where: str) -> dict[str, int]:
    """Records by the table that they are in."""
    rows = await ask(where, "SELECT tableoid::regclass::text, count(*) FROM record GROUP BY 1")
    return dict(rows)  # type: ignore[arg-type]


@pytest.mark.P2
async def test_a_batch_of_any_time_is_taken_and_each_week_has_a_table(where: str, tmp_path: Path) -> None:
    times = [0, FIRST * WEEK_MS - 1, FIRST * WEEK_MS, NOW, NOW + 1, NOW + 90 * WEEK_MS, LAST * WEEK_MS, TS_MAX - 1]
    async with opened(where, tmp_path) as store:
        await store.take_layouts([METER], audit())
        assert (await store.take_records(at(*times), audit())).accepted == len(times)
        assert (await store.take_records(at(*times), audit())).duplicate == len(times)
        assert [record.ts for record in await store.records("node", METER.id)] == times
    assert await parts_of(where) == {
        "record_early": 2, f"record_{FIRST}": 1, f"record_{WEEK}": 2, f"record_{WEEK + 90}": 1, f"record_{LAST}": 1,
        "record_late": 1,
    }  # fmt: skip


async def test_this_week_and_the_next_two_are_made_ahead_by_a_chore(where: str, tmp_path: Path) -> None:
    async with opened(where, tmp_path) as store:
        clock = StandingClock()
        clock.now_ms = NOW
        for chore in store.chores():
            assert await Chores(store.sql, clock, []).turn(chore)
    assert await ask(where, "SELECT holdfast_weeks()") == [(WEEK,), (WEEK + 1,), (WEEK + 2,)]


@pytest.mark.P2
async def test_hubs_that_need_the_same_weeks_at_once_make_them_once_and_take_everything(where: str) -> None:
    stores = [await PostgresStore.open(where) for _ in range(4)]
    times = [NOW + week * WEEK_MS for week in range(12)]
    for index, store in enumerate(stores):
        await store.take_layouts([METER], audit(f"node {index}"))
    orders = [times, times[::-1], times[6:] + times[:6], times[::2] + times[1::2]]
    taken = await asyncio.gather(
        *(
            store.take_records(at(*order), audit(f"node {index}"))
            for index, (store, order) in enumerate(zip(stores, orders, strict=True))
        )
    )
    assert [audit.accepted for audit in taken] == [12] * 4
    for store in stores:
        await store.close()


@pytest.mark.P2
async def test_nobody_who_reads_or_writes_records_keeps_a_week_from_being_made(where: str, tmp_path: Path) -> None:
    async with opened(where, tmp_path) as store:
        await store.take_layouts([METER], audit())
        await store.take_records(at(NOW), audit())
        other = await asyncpg.connect(where)
        async with other.transaction():
            await other.fetch("SELECT * FROM reading")
            await other.execute("INSERT INTO record SELECT ts + 1, series, flags, row FROM record")
            assert (await store.take_records(at(NOW + WEEK_MS), audit())).accepted == 1
        await other.close()


@pytest.mark.P2
async def test_a_week_that_another_hub_dropped_is_made_again_for_what_comes_late(where: str, tmp_path: Path) -> None:
    one, other = await PostgresStore.open(where), await PostgresStore.open(where)
    await one.take_layouts([METER], audit())
    await one.take_records(at(NOW, NOW + WEEK_MS), audit())
    await other.partitions.drop(WEEK)
    assert await other.partitions.weeks() == [WEEK + 1]
    assert [record.ts for record in await one.records("node", METER.id)] == [NOW + WEEK_MS]
    assert (await one.take_records(at(NOW, NOW + WEEK_MS), audit())).accepted == 1
    await one.close()
    await other.close()


async def test_a_week_that_was_never_there_is_dropped_in_peace(where: str, tmp_path: Path) -> None:
    store = await PostgresStore.open(where)
    await store.partitions.drop(WEEK)
    assert await store.partitions.weeks() == []
    await store.close()


@pytest.mark.P2
async def test_a_node_whose_clock_goes_wild_gets_all_of_its_weeks_and_is_taken(where: str, tmp_path: Path) -> None:
    async with opened(where, tmp_path) as store:
        await store.take_layouts([METER], audit())
        wild = at(*range(0, 5000 * WEEK_MS, 20 * WEEK_MS))
        assert (await store.take_records(wild, audit())).accepted == 250
        assert len(await ask(where, "SELECT holdfast_weeks()")) == 78


@pytest.mark.P2
async def test_the_records_of_the_first_schema_are_moved_and_the_view_is_still_whose_it_was(
    databases: Databases, tmp_path: Path
) -> None:
    where = await databases.new()
    first = resources.files("sync.hub").joinpath("schema_pg", "0001.sql").read_text()
    connection = await asyncpg.connect(where)
    await connection.execute("CREATE TABLE schema_version (number integer PRIMARY KEY)")
    await connection.execute(first + "; INSERT INTO schema_version VALUES (1)")
    await connection.execute("INSERT INTO node VALUES ('node', 1, 1, 3)")
    await connection.execute(
        "INSERT INTO series (node, layout, encoded) VALUES ('node', $1, $2)", METER.id, METER.encoded
    )
    await connection.execute(
        "INSERT INTO point VALUES (1, 0, 'meter', 'live', 'power', 'W', 'u32', 1, 4, 0, 1, 1, 0, 1)"
    )
    times = [5, NOW, NOW + WEEK_MS, TS_MAX - 1]
    rows = [(ts, 1, 0, METER.rows.pack([ts % 1000, 2300])) for ts in times]
    await connection.copy_records_to_table("record", records=rows)
    await connection.execute("GRANT SELECT ON reading TO pg_monitor")
    await connection.close()
    async with opened(where, tmp_path) as store:
        assert [record.ts for record in await store.records("node", METER.id)] == times
        assert (await store.take_records(at(*times), audit())).duplicate == len(times)
    assert await parts_of(where) == {"record_early": 1, f"record_{WEEK}": 1, f"record_{WEEK + 1}": 1, "record_late": 1}
    shown = await ask(where, "SELECT site, device, point, unit, ts, value, quality FROM reading ORDER BY ts")
    assert shown == [(None, "meter", "power", "W", ts, ts % 1000, "good") for ts in times]
    assert await ask(where, "SELECT has_table_privilege('pg_monitor', 'reading', 'SELECT')") == [(True,)]
    assert await ask(where, "SELECT to_regclass('record_0001')") == [(None,)]


async def test_the_view_has_the_site_and_a_line_for_what_is_missing(where: str, tmp_path: Path) -> None:
    async with opened(where, tmp_path) as store:
        await store.take_layouts([METER], audit())
        await store.take_records([Record(METER.id, NOW, METER.rows.pack([None, 2300]))], audit())
        await ask(where, "INSERT INTO organisation VALUES ('o', 'O', 0)")
        await ask(where, "INSERT INTO site VALUES ('hill', 'o', 'Sunny hill', 'UTC', 0)")
        await ask(where, "UPDATE node SET site = 'hill'")
    lines = await ask(where, "SELECT site, device, point, unit, value, quality FROM reading ORDER BY point")
    assert lines == [("hill", "meter", "power", "W", None, "missing"), ("hill", "meter", "voltage", "V", 230.0, "good")]


async def test_hours_are_counted_where_nothing_else_keeps_them(where: str, tmp_path: Path) -> None:
    hour = NOW // 3_600_000 * 3_600_000
    async with opened(where, tmp_path) as store:
        await store.take_layouts([METER], audit())
        await store.take_records(at(hour, hour + 5, hour + 3_600_000), audit())
    found = await ask(where, "SELECT hour, records, first, last FROM record_hour ORDER BY hour")
    assert found == [(hour, 2, hour, hour + 5), (hour + 3_600_000,) + (1,) + (hour + 3_600_000,) * 2]


@pytest.mark.P2
@pytest.mark.parametrize("times", [range(0, 600), range(300, 900), range(599, -1, -1), [*range(400, 700)] * 2])
async def test_a_large_batch_is_kept_once_however_much_of_it_is_held_or_comes_twice(
    times: Sequence[int], where: str, tmp_path: Path
) -> None:
    async with opened(where, tmp_path) as store:
        await store.take_layouts([METER], audit())
        await store.take_records(at(*range(NOW + 300, NOW + 301)), audit())
        taken = await store.take_records(at(*(NOW + ts for ts in times)), audit())
        assert taken.accepted == len({*times} - {300})
        assert taken.duplicate == len(times) - taken.accepted
        held = [record.ts - NOW for record in await store.records("node", METER.id)]
        assert held == sorted({300, *times})


@pytest.mark.P2
async def test_large_batches_of_one_node_at_two_hubs_at_once_are_kept_once(where: str) -> None:
    stores = [await PostgresStore.open(where) for _ in range(2)]
    await stores[0].take_layouts([METER], audit())
    batches = [at(*range(NOW + lo, NOW + lo + 1000)) for lo in (0, 500, 0, 500)]
    taken = await asyncio.gather(
        *(store.take_records(batch, audit()) for batch, store in zip(batches, stores * 2, strict=True))
    )
    assert sum(one.accepted for one in taken) == 1500
    assert len(await stores[0].records("node", METER.id)) == 1500
    for store in stores:
        await store.close()
