"""Records and minutes go when they are old, and all stays exact: what comes late, again, or at the same moment."""

import asyncio
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any
from uuid import uuid4

import asyncpg
import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bench.postgres import Server
from gateway.core.accounts import EVENTS, HOUR_MS, Account, of_records
from gateway.core.clock import SystemClock
from gateway.core.model import Command, CommandResult, Event, Layout, Point, Record
from gateway.core.rollup import DAY_MS, MINUTE_MS
from gateway.core.status import HistoryRow, Resolution
from sync import wire
from sync.hub.config import RetentionConfig
from sync.hub.intake.compare import Compare
from sync.hub.rollup.retention import QUIET_MS, ROWS_AT_ONCE, Retention
from sync.hub.rollup.rolling import Rolling
from sync.hub.rollup.rollups import Rollups
from sync.hub.store.closed import packed_times, times_of
from sync.hub.store.contract import Store
from sync.hub.store.partitions import WEEK_MS
from sync.hub.store.postgres import PostgresStore
from sync.hub.store.sqlite import SqliteStore
from tests.buffer.stocked import StandingClock
from tests.hub.stores import audit, nodes, opened, place
from tests.hub.test_postgres import ask
from tests.hub.test_timescale import need_timescale, timescale_server
from tests.sync.parts import site, synced
from tests.sync.test_ledger import LONG_AGO, NOW, TODAY, compared, comparing, fill

__all__ = ["timescale_server"]

BEGIN = 20_000 * DAY_MS
LIMITS = RetentionConfig(raw_days=30, minute_days=60)
SOON, QUIET, OLD, ANCIENT = BEGIN + DAY_MS, BEGIN + 8 * DAY_MS, BEGIN + 39 * DAY_MS, BEGIN + 69 * DAY_MS
WATTS = Layout("meter", "live", (Point("power", "i32", unit="W"), Point("energy", "u32", kind="counter")))


@pytest.fixture
async def store(where: str, tmp_path: Path) -> AsyncIterator[Store]:
    async with opened(where, tmp_path) as store:
        await store.take_layouts([WATTS], audit())
        yield store


def watts(second: int, power: int | None = None) -> Record:
    return Record(WATTS.id, BEGIN + 1000 * second, WATTS.rows.pack([second if power is None else power, 5000 + second]))


async def take(store: Store, records: Sequence[Record], node: str = "node") -> tuple[int, int]:
    """How many were new, and how many were not."""
    taken = await store.take_records(records, audit(node))
    return taken.accepted, taken.duplicate


async def roll(store: Store, now: int = SOON) -> None:
    await Rolling(store.sql, SystemClock()).turn(now)


async def thin_out(store: Store, now: int = OLD, limits: RetentionConfig = LIMITS) -> None:
    await Retention(store.sql, SystemClock(), limits).turn(now)


async def close(store: Store, rolled_at: int = SOON) -> None:
    await roll(store, rolled_at)
    await thin_out(store, max(OLD, rolled_at + QUIET_MS))


async def held(store: Store, node: str = "node", hour: int = BEGIN) -> Account:
    (account,) = await store.accounts(node, [(WATTS.id, hour)])
    return account


def account_of(records: Sequence[Record]) -> Account:
    return Account(len(records), of_records((one.ts, one.row) for one in records))


async def chart(store: Store, resolution: Resolution, key: str = "power", node: str = "node") -> list[HistoryRow]:
    found = await Rollups(store.sql).series(node, "meter", key, BEGIN, BEGIN + DAY_MS, resolution)
    return list(found.rows)


@pytest.mark.P10
async def test_when_records_go_what_they_came_to_and_their_account_stay(store: Store) -> None:
    records = [watts(n) for n in range(0, 7200, 10)]
    await take(store, records)
    await roll(store)
    before = [await chart(store, "1m"), await chart(store, "1h")]
    await thin_out(store)
    assert await store.records("node", WATTS.id) == []
    assert [await chart(store, "1m"), await chart(store, "1h")] == before
    assert len(before[0]) == 120
    assert await held(store) == account_of(records[:360])
    assert await held(store, hour=BEGIN + HOUR_MS) == account_of(records[360:])
    (of_layout,) = await Rollups(store.sql).completeness("node", BEGIN, BEGIN + DAY_MS)
    assert of_layout.records == {BEGIN: 360, BEGIN + HOUR_MS: 360}


async def test_what_is_not_rolled_up_and_what_came_in_the_last_week_stays_however_old_it_is(store: Store) -> None:
    await take(store, [watts(0)])
    await thin_out(store, ANCIENT)
    assert len(await store.records("node", WATTS.id)) == 1
    await roll(store, ANCIENT)
    await thin_out(store, ANCIENT)
    assert len(await store.records("node", WATTS.id)) == 1
    await thin_out(store, ANCIENT + QUIET_MS)
    assert await store.records("node", WATTS.id) == []


async def test_what_is_young_enough_stays(store: Store) -> None:
    await take(store, [watts(0)])
    await roll(store)
    await thin_out(store, BEGIN + 29 * DAY_MS)
    assert len(await store.records("node", WATTS.id)) == 1


@pytest.mark.P2
@pytest.mark.P3
async def test_what_comes_for_a_closed_hour_is_known_by_its_time_and_what_is_new_is_added(store: Store) -> None:
    first = [watts(n) for n in range(0, 3600, 60)]
    late = [watts(n) for n in range(30, 3600, 60)]
    await take(store, first)
    await close(store)
    assert await take(store, [*first, *late[:20]]) == (20, 60)
    assert await take(store, late) == (40, 20)
    assert await held(store) == account_of([*first, *late])
    expected = [
        HistoryRow(BEGIN + n * MINUTE_MS, 60 * n + 15, 60 * n, 60 * n + 30) for n in range(60)
    ]  # as if it had come in order
    assert await chart(store, "1m") == expected, "before it is rolled up"
    await roll(store)
    assert await chart(store, "1m") == expected
    await close(store, OLD)
    assert await store.records("node", WATTS.id) == []
    assert await chart(store, "1m") == expected
    assert await take(store, [*first, *late]) == (0, 120)
    assert await held(store) == account_of([*first, *late])


@pytest.mark.P3
async def test_what_comes_for_a_closed_hour_in_many_batches_comes_to_the_same_as_in_one(
    where: str, tmp_path: Path
) -> None:
    first, late = [watts(n) for n in range(0, 3600, 60)], [watts(n) for n in range(7, 3600, 11)]
    found = []
    async with opened(where, tmp_path) as store:
        for node, size in (("one", 999), ("many", 17)):
            await store.take_layouts([WATTS], audit(node))
            await take(store, first, node)
            await close(store)
            for lo in range(0, len(late), size):
                await take(store, late[lo : lo + size], node)
                await roll(store, OLD + 1)
            query = "SELECT bytes FROM rollup_1m JOIN series ON id = series WHERE node = $1"
            found.append([bytes(chunk) for (chunk,) in await store.sql.fetch(query, node)])
    assert len(found[0]) == 1
    assert found[0] == found[1]


@pytest.mark.P2
async def test_minutes_go_later_and_what_comes_then_is_taken_for_known(store: Store) -> None:
    await take(store, [watts(0), watts(60)])
    await close(store)
    hours = await chart(store, "1h")
    await thin_out(store, ANCIENT)
    assert await chart(store, "1m") == []
    assert await chart(store, "1h") == hours != []
    assert await take(store, [watts(0), watts(1)]) == (0, 2)
    assert await store.records("node", WATTS.id) == []
    assert await held(store) == account_of([watts(0), watts(60)])


async def test_an_hour_that_never_came_is_taken_however_old_it_is_and_in_as_many_batches_as_it_comes(
    store: Store,
) -> None:
    assert await take(store, [watts(0)]) == (1, 0)
    await roll(store, ANCIENT)
    await thin_out(store, ANCIENT)
    assert await take(store, [watts(0), watts(1)]) == (1, 1)
    await roll(store, ANCIENT)
    await thin_out(store, ANCIENT + QUIET_MS)
    assert await chart(store, "1m") == []
    assert [row[1:] for row in await chart_rows(store)] == [(0.5, 0, 1)]


async def chart_rows(store: Store) -> list[tuple[Any, ...]]:
    return [msgspec.structs.astuple(row) for row in await chart(store, "1h")]


async def test_a_list_of_times_that_is_spoilt_stops_nobody_and_lets_nothing_in_twice(store: Store) -> None:
    await take(store, [watts(0)])
    await close(store)
    async with store.sql.transaction() as db:
        await db.execute("UPDATE closed SET times = $1", b"spoilt")
    assert await take(store, [watts(0), watts(1)]) == (0, 2)


Act = tuple[str, int]  # what, and how many records
acts = st.lists(st.sampled_from([("roll", 0), ("close", 0)]) | st.tuples(st.just("take"), st.integers(1, 9)))


@pytest.mark.P2
@pytest.mark.P10
@settings(deadline=None, max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.integers(0, 7199), min_size=1, max_size=30), acts)
def test_whatever_comes_when_and_goes_when_each_record_is_accounted_for_once(
    somewhere: str, seconds: list[int], how: list[Act]
) -> None:
    async def run() -> None:
        node, left, accepted, now = uuid4().hex, [watts(n) for n in seconds], 0, SOON
        with tempfile.TemporaryDirectory() as name:
            async with opened(somewhere, Path(name)) as store:
                await store.take_layouts([WATTS], audit(node))
                for act, count in [*how, ("take", len(left)), ("close", 0)]:
                    if act == "take":
                        accepted += (await take(store, left[:count], node))[0]
                        del left[:count]
                    elif act == "roll":
                        await roll(store, now)
                    else:
                        await close(store, now)
                        now += QUIET_MS
                assert accepted == len(set(seconds))
                for hour in (0, 3600):
                    here = [watts(n) for n in sorted(set(seconds)) if hour <= n < hour + 3600]
                    assert await held(store, node, BEGIN + 1000 * hour) == account_of(here)
                (of_layout,) = await Rollups(store.sql).completeness(node, BEGIN, BEGIN + DAY_MS)
                assert sum(of_layout.records.values()) == len(set(seconds))
                rows = await chart(store, "1h", node=node)
                assert min(row.low or 0 for row in rows) == min(seconds)
                assert max(row.high or 0 for row in rows) == max(seconds)

    asyncio.run(run())


@pytest.mark.P2
@pytest.mark.P10
async def test_an_hour_that_is_closed_while_another_process_takes_records_for_it_loses_and_doubles_none(
    request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    where = await place("postgresql", request)
    async with AsyncExitStack() as stack:
        one, other = [await stack.enter_async_context(opened(where, tmp_path)) for _ in range(2)]
        await one.take_layouts([WATTS], audit())
        first, late = [watts(n) for n in range(0, 3600, 2)], [watts(n) for n in range(3600)]
        await take(one, first)
        await roll(one)

        async def taking(store: Store) -> int:
            return sum([(await take(store, late[lo : lo + 100]))[0] for lo in range(0, 3600, 100)])

        async def closing(store: Store) -> None:
            for n in range(8):
                await close(store, SOON + n * QUIET_MS)

        *new, _, _ = await asyncio.gather(taking(one), taking(other), closing(one), closing(other))
        assert sum(new) == 1800  # type: ignore[arg-type]  # of what gather gives
        assert await held(one) == account_of(late)
        await close(one, SOON + 9 * QUIET_MS)
        assert await held(one) == account_of(late)
        assert await one.records("node", WATTS.id) == []
        (of_layout,) = await Rollups(one.sql).completeness("node", BEGIN, BEGIN + DAY_MS)
        assert of_layout.records == {BEGIN: 3600}


async def _waiting(connection: Any, count: int) -> None:
    query = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
    while await connection.fetchval(query) < count:
        await asyncio.sleep(0)


@pytest.mark.P3
@pytest.mark.parametrize("work", [roll, thin_out])
async def test_no_record_that_is_not_committed_yet_is_missed_by_who_takes_its_mark_away(
    request: pytest.FixtureRequest, tmp_path: Path, work: Callable[[Store], Awaitable[None]]
) -> None:
    where = await place("postgresql", request)
    async with opened(where, tmp_path) as inserting, opened(where, tmp_path) as working:
        await inserting.take_layouts([WATTS], audit())
        await take(inserting, [watts(0)])
        if work is thin_out:
            await roll(working)
        blocking = await asyncpg.connect(where)
        async with blocking.transaction():
            await blocking.execute("LOCK TABLE audit IN EXCLUSIVE MODE")
            batch = asyncio.ensure_future(take(inserting, [watts(0), watts(1)]))
            await _waiting(blocking, 1)  # it has its records in, and goes no further
            if work is thin_out:
                await blocking.execute("DELETE FROM audit WHERE at < $1", OLD)
            at_work = asyncio.ensure_future(work(working))
            await _waiting(blocking, 2)
        assert (await batch)[0] == 1
        await at_work
        await blocking.close()
        await roll(working)
        assert await held(working) == account_of([watts(0), watts(1)])
        (row,) = await chart(working, "1h")
        assert (row.low, row.high) == (0, 1)


@pytest.mark.P2
async def test_a_week_that_is_emptied_is_dropped_and_made_again_for_what_comes_late(
    request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    where = await place("postgresql", request)
    first, next_week = BEGIN // WEEK_MS, BEGIN // WEEK_MS + 1
    async with opened(where, tmp_path) as store:
        assert isinstance(store, PostgresStore)
        await store.take_layouts([WATTS], audit())
        records = [watts(0), watts(7 * 86_400)]
        await take(store, records)
        await roll(store, BEGIN + 8 * DAY_MS)
        await thin_out(store, OLD - DAY_MS)
        await ask(where, "VACUUM record")  # as the server does by itself in time
        _, empty_weeks = store.chores()
        await empty_weeks.work(OLD)
        assert await store.partitions.weeks() == [next_week]
        assert await take(store, [watts(0), watts(1)]) == (1, 1)
        assert await store.partitions.weeks() == [first, next_week]
        await empty_weeks.work(OLD)
        assert await store.partitions.weeks() == [first, next_week]
        assert await held(store) == account_of([watts(0), watts(1)])


@pytest.mark.P10
async def test_a_gateway_that_still_has_what_went_at_the_hub_finds_that_both_hold_the_same(tmp_path: Path) -> None:
    async with site(tmp_path) as (buffer, hub):
        await fill(buffer, WATTS, LONG_AGO)
        await fill(buffer, WATTS, TODAY, seal=False)
        async with comparing(buffer, hub) as (comparison, engine):
            await synced(engine, buffer)
            await gone(hub.store)
            await compared(comparison, engine)
            assert comparison.compared > 100
            assert comparison.differing == 0
            async with hub.store.sql.transaction() as db:  # as of a hub that was restored
                lost = await db.execute("DELETE FROM closed WHERE hour < $1", NOW - 3 * DAY_MS)
            assert lost > 100
            before = (await nodes(hub.store, NOW))[0].records
            await compared(comparison, engine)
            assert (await nodes(hub.store, NOW))[0].records > before
            await gone(hub.store)
            await compared(comparison, engine)
            await compared(comparison, engine)
            assert comparison.differing == 0


async def gone(store: SqliteStore) -> None:
    """All records of the hub."""
    now = NOW + 100 * 365 * DAY_MS
    await Rolling(store.sql, SystemClock()).turn(now)
    await thin_out(store, now + QUIET_MS, RetentionConfig(minute_days=36_500))
    assert await store.sql.fetch("SELECT 1 FROM record LIMIT 1") == []


async def test_audit_rows_events_and_commands_go_when_they_are_old_and_only_then(store: Store) -> None:
    cut = BEGIN - 10 * DAY_MS
    await store.take_events([Event(cut - 1 - n, "alarm", seq=n) for n in range(ROWS_AT_ONCE + 5)], "e" * 16, audit())
    await store.take_events([Event(cut, "alarm", seq=9_999)], "e" * 16, audit(at=cut))
    for name, at, until in (("old", cut - 1, cut - 1), ("waiting", cut - 1, cut), ("young", cut, cut)):
        await store.control.order("node", Command(name, "RESTART", until), at)
    await store.control.ended("node", [CommandResult("young", "done", "")], cut)
    async with store.sql.transaction() as db:
        query = """INSERT INTO act (at, person, address, action, object, organisation, site, detail)
            VALUES ($1, '', '', '', '', '', '', '')"""
        for at in (cut - 1, cut):
            await db.execute(query, at)
    await thin_out(store, BEGIN, RetentionConfig(events_days=10, audit_days=10))
    assert [event.seq for event in await store.events("node", 99)] == [9_999]
    assert {one.command.id for one in await store.control.commands("node", 99)} == {"waiting", "young"}
    for table in ("audit", "act"):
        assert [tuple(row) for row in await store.sql.fetch(f"SELECT at FROM {table}")] == [(cut,)]


@pytest.mark.P2
@pytest.mark.P10
async def test_what_timescaledb_has_compressed_goes_like_anything_else(
    request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    need_timescale()
    server: Server = request.getfixturevalue("timescale_server")
    where = await server.database(uuid4().hex)
    async with opened(where, tmp_path) as store:
        await store.take_layouts([WATTS], audit())
        records = [watts(n) for n in range(7200)]
        await take(store, records)
        await roll(store)
        await ask(where, "SELECT compress_chunk(chunk) FROM show_chunks('record') AS chunk")
        await thin_out(store)
        assert await store.records("node", WATTS.id) == []
        assert await take(store, [*records, watts(9999)]) == (1, 7200)
        assert await held(store) == account_of(records[:3600])
        assert len(await chart(store, "1m")) == 121


@pytest.mark.P10
async def test_a_gateway_is_not_asked_for_events_that_went_because_they_were_old(store: Store) -> None:
    clock, cursor = StandingClock(), wire.Cursor("e" * 16, 0, 1)
    clock.now_ms = BEGIN
    cut = BEGIN - 400 * DAY_MS

    def hour(ts: int) -> wire.Hour:
        return wire.Hour(EVENTS.hex(), ts, 1, 1)

    body = msgspec.msgpack.encode(wire.Ledger([hour(cut - HOUR_MS), hour(cut), hour(cut + HOUR_MS)]))
    answer = await Compare(store, clock, 400 * DAY_MS).handle("node", cursor, body)
    assert [one.hour for one in answer.differing] == [cut + HOUR_MS]


@pytest.mark.P10
async def test_a_gateway_is_not_asked_for_ever_for_what_the_hub_would_not_store(store: Store) -> None:
    await take(store, [watts(0), watts(9000)])
    await close(store)
    more = [wire.Hour(WATTS.id.hex(), BEGIN + n * HOUR_MS, 2, 5) for n in range(3)]
    body, cursor = msgspec.msgpack.encode(wire.Ledger(more)), wire.Cursor("e" * 16, 0, 1)
    compare = Compare(store, StandingClock())
    assert [one.hour for one in (await compare.handle("node", cursor, body)).differing] == [one.hour for one in more]
    await thin_out(store, ANCIENT)
    assert await take(store, [watts(1)]) == (0, 1)
    assert [one.hour for one in (await compare.handle("node", cursor, body)).differing] == [BEGIN + HOUR_MS]


@given(st.sets(st.integers(0, HOUR_MS - 1), max_size=200))
def test_the_times_of_an_hour_come_back_as_they_were(times: set[int]) -> None:
    packed = packed_times(BEGIN, [BEGIN + ms for ms in times])
    assert times_of(BEGIN, len(times), packed) == sorted(BEGIN + ms for ms in times)
