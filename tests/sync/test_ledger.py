"""Edge and hub compare what they hold, and what differs heals; real buffer, engine and door over HTTP."""

import asyncio
import contextlib
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.buffer.buffer import Buffer
from gateway.core.accounts import HOUR_MS, Account, Held
from gateway.core.clock import SystemClock
from gateway.core.model import Event, Layout
from gateway.core.span import Span
from sync.edge.engine import Engine
from sync.edge.hours import remedy
from sync.edge.ledger import DAY_MS, SOON_S, Comparison
from sync.edge.weekly import WEEK_MS, place, portion
from sync.hub.store.sqlite import SqliteStore
from tests.stored import everything
from tests.sync.parts import Hub, site, synced, syncing
from tests.values import METER, meter, power

NOW = 1_800_000_000_000 // HOUR_MS * HOUR_MS + HOUR_MS // 2
TODAY = range(NOW - 6 * HOUR_MS, NOW, 60_000)
LONG_AGO = range(NOW - 9 * DAY_MS, NOW - 2 * DAY_MS, 600_000)
REFUSE = "INSERT INTO quarantine (kind, epoch, seq, ts, body, reason, at) VALUES ('records', ?, 7, 0, '', '', 0)"
SOLAR = meter("solar")


class Clock(SystemClock):
    """Wall time that no two rounds have in common."""

    def __init__(self) -> None:
        self.now = NOW

    def wall_ms(self) -> int:
        self.now += 1
        return self.now


@asynccontextmanager
async def comparing(
    buffer: Buffer, hub: Hub, soon_s: float = SOON_S, clock: Clock | None = None
) -> AsyncIterator[tuple[Comparison, Engine]]:
    async with syncing(buffer, hub) as engine:
        comparison = Comparison(buffer.accounts, buffer, engine, engine._link, clock or Clock(), every_s=3600)
        comparison.soon_s = soon_s
        while not engine.state().acknowledged_at:  # until then nobody knows what the hub has
            await asyncio.sleep(0)
        task = asyncio.ensure_future(comparison.run())
        yield comparison, engine
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


async def fill(buffer: Buffer, layout: Layout, times: range, *, seal: bool = True) -> None:
    for start in range(0, len(times), 100):
        buffer.put(layout, [power(ms, ms % 1000, layout=layout) for ms in times[start : start + 100]])
        await buffer.flushed()
        if seal:
            await buffer.sealing.seal()


async def compared(comparison: Comparison, engine: Engine) -> None:
    """A round that compares everything, and what it found was sent."""
    before = comparison.compared_at
    comparison.compare_now()
    while comparison.compared_at == before:
        await asyncio.sleep(0)
    while engine.unsent() or engine.unsent_events():
        await asyncio.sleep(0)


async def lose(hub: Hub, statement: str) -> int:
    async with hub.store._database.transaction() as db:
        return (await db.execute(statement)).rowcount


async def is_whole(buffer: Buffer, store: SqliteStore) -> bool:
    ours = {(r.layout_id, r.ts, r.row) for r in await everything(buffer)}
    layouts = await store.layouts("node")
    theirs = {(r.layout_id, r.ts, r.row) for layout in layouts for r in await store.records("node", layout.id)}
    return ours == theirs and await buffer.read_events(Span(0, 99), 99) == [*reversed(await store.events("node", 99))]


@pytest.mark.P10
@pytest.mark.parametrize("records_a_look", [100_000, 150])
async def test_the_hub_is_made_whole_that_has_lost_single_rows_and_a_whole_week(
    tmp_path: Path, records_a_look: int
) -> None:
    async with site(tmp_path) as (buffer, hub):
        buffer.accounts.records_a_look = records_a_look
        await fill(buffer, METER, LONG_AGO)
        await fill(buffer, SOLAR, TODAY)
        await fill(buffer, METER, TODAY, seal=False)
        async with comparing(buffer, hub) as (comparison, engine):
            await synced(engine, buffer)
            assert await lose(hub, f"DELETE FROM record WHERE ts < {NOW - 2 * DAY_MS}") == len(LONG_AGO)
            assert await lose(hub, "DELETE FROM record WHERE ts / 60000 % 7 = 3") > 50
            await compared(comparison, engine)
            assert comparison.compared >= comparison.differing > 0  # what was sent again may have healed later hours
            assert await is_whole(buffer, hub.store)
            await compared(comparison, engine)
            assert comparison.differing == 0


async def test_where_no_hour_is_over_nothing_is_said_to_be_compared(tmp_path: Path) -> None:
    async with site(tmp_path) as (buffer, hub):
        await fill(buffer, METER, range(NOW - 9 * 60_000, NOW, 60_000))
        async with comparing(buffer, hub) as (comparison, engine):
            await synced(engine, buffer)
            await compared(comparison, engine)
            assert comparison.compared == 0


@pytest.mark.P10
async def test_one_row_that_is_missing_today_brings_everything_to_be_compared(tmp_path: Path) -> None:
    async with site(tmp_path) as (buffer, hub):
        await fill(buffer, METER, LONG_AGO)
        await fill(buffer, METER, TODAY)
        async with syncing(buffer, hub) as engine:
            await synced(engine, buffer)
        await lose(hub, f"DELETE FROM record WHERE ts = {TODAY[9]} OR ts < {NOW - 3 * DAY_MS}")
        async with comparing(buffer, hub, soon_s=0.01):
            while not await is_whole(buffer, hub.store):
                await asyncio.sleep(0)


@pytest.mark.P10
async def test_a_hub_that_was_restored_from_an_old_backup_is_made_whole(tmp_path: Path) -> None:
    async with site(tmp_path) as (buffer, hub):
        await fill(buffer, METER, LONG_AGO)
        async with syncing(buffer, hub) as engine:
            await synced(engine, buffer)
        await hub.store._database.alone("PRAGMA wal_checkpoint(TRUNCATE)")
        shutil.copy(tmp_path / "hub.db", tmp_path / "old.db")
        await fill(buffer, METER, TODAY)
        await fill(buffer, SOLAR, TODAY)
        buffer.put_event(Event(LONG_AGO[0], "first"))
        buffer.put_event(Event(TODAY[0], "second"))
        await buffer.flushed()
        async with syncing(buffer, hub) as engine:
            await synced(engine, buffer)
            while engine.unsent_events():
                await asyncio.sleep(0)
        store = await SqliteStore.open(tmp_path / "old.db")
        restored = Hub(store)
        async with restored.server, comparing(buffer, restored) as (comparison, engine):
            assert not await is_whole(buffer, store)
            await compared(comparison, engine)
            assert await is_whole(buffer, store)
        await store.close()


@pytest.mark.P10
async def test_what_was_acknowledged_and_never_stored_is_found(tmp_path: Path) -> None:
    async with site(tmp_path) as (buffer, hub):
        hub.spoil = ["lie"]
        await fill(buffer, METER, TODAY)
        async with comparing(buffer, hub) as (comparison, engine):
            await synced(engine, buffer)
            assert not await is_whole(buffer, hub.store)
            await compared(comparison, engine)
            assert await is_whole(buffer, hub.store)


async def test_nothing_is_compared_when_what_a_day_may_cost_is_nearly_spent(tmp_path: Path) -> None:
    async with site(tmp_path) as (buffer, hub):
        await fill(buffer, METER, TODAY)
        async with comparing(buffer, hub) as (comparison, engine):
            await synced(engine, buffer)
            meter = engine._link.meter
            meter.budget = 10**9
            meter.add(850_000_000)
            comparison.compare_now()
            for ms in range(5):  # the present goes on meanwhile
                buffer.put(METER, [power(ms)])
                await buffer.flushed()
                await synced(engine, buffer)
            assert not [batch for batch in hub.batches if batch.startswith("ledger")]
            meter.budget = 0
            await compared(comparison, engine)
            assert [batch for batch in hub.batches if batch.startswith("ledger")]


@pytest.mark.P10
async def test_other_values_at_the_hub_are_told_once_and_not_fought_over(tmp_path: Path) -> None:
    async with site(tmp_path) as (buffer, hub):
        await fill(buffer, METER, TODAY)
        async with comparing(buffer, hub) as (comparison, engine):
            await synced(engine, buffer)
            await lose(hub, f"UPDATE record SET row = zeroblob(7) WHERE ts = {TODAY[100]}")
            sent = []
            for _ in range(4):
                before = len(hub.batches)
                await compared(comparison, engine)
                sent.append(any(batch.startswith("records") for batch in hub.batches[before:]))
            assert sent == [True, False, False, False]
            await buffer.flushed()
        kinds = [event.kind for event in await buffer.read_events(Span(0, 99), 99)]
        assert kinds == ["ledger_differs"]


async def test_what_the_hub_refuses_for_good_is_no_difference(tmp_path: Path) -> None:
    async with site(tmp_path) as (buffer, _):
        await fill(buffer, METER, TODAY)
        async with buffer._database.transaction() as db:
            await db.execute(REFUSE, (buffer.epoch,))
        held = (await buffer.accounts.held(Span(0, buffer.head), ()))[1]
        assert sum(one.account.count for one in held) == len(TODAY) - 1


async def test_an_hour_with_records_on_their_way_is_not_compared(tmp_path: Path) -> None:
    async with site(tmp_path) as (buffer, hub):
        await fill(buffer, METER, TODAY)
        async with comparing(buffer, hub) as (comparison, engine):
            await synced(engine, buffer)
            engine._records.outgoing._spans = (Span(0, 360),)  # as if the backlog lane had not come so far
            before = comparison.compared_at
            comparison.compare_now()
            while comparison.compared_at == before:
                await asyncio.sleep(0)
            assert not any(batch.startswith("ledger") for batch in hub.batches)


async def test_the_present_hour_is_compared_when_it_is_over(tmp_path: Path) -> None:
    async with site(tmp_path) as (buffer, hub):
        await fill(buffer, METER, TODAY)
        clock = Clock()
        async with comparing(buffer, hub, clock=clock) as (comparison, engine):
            await synced(engine, buffer)
            assert await lose(hub, f"DELETE FROM record WHERE ts >= {NOW - HOUR_MS // 2}") == 30
            await compared(comparison, engine)
            assert comparison.differing == 0
            clock.now += HOUR_MS
            await compared(comparison, engine)
            assert await is_whole(buffer, hub.store)


async def test_one_look_takes_no_more_than_its_records(tmp_path: Path) -> None:
    async with site(tmp_path) as (buffer, _):
        buffer.accounts.records_a_look = 250
        await fill(buffer, METER, TODAY)
        assert (await buffer.accounts.held(Span(0, 360), ()))[0] == 200
        assert (await buffer.accounts.held(Span(200, 360), ()))[0] == 360


async def test_where_a_time_came_with_two_rows_the_hub_may_have_either(tmp_path: Path) -> None:
    async with site(tmp_path) as (buffer, _):
        buffer.put(METER, [power(1, 5), power(1, 6), power(HOUR_MS, 5), power(HOUR_MS, 5)])
        await buffer.flushed()
        held = (await buffer.accounts.held(Span(0, 4), ()))[1]
        assert [(one.account.count, one.exact) for one in held] == [(1, False), (1, True)]


async def test_thinned_hours_are_held_to_what_is_left_of_them(tmp_path: Path) -> None:
    async with site(tmp_path) as (buffer, _):
        await fill(buffer, METER, TODAY)
        async with buffer._database.transaction() as db:
            hour = TODAY[0] // HOUR_MS * HOUR_MS
            await db.execute("INSERT INTO thinned VALUES (?, ?, 9, 1, 60000)", (METER.id, hour))
        by_hour = {one.hour: one for one in (await buffer.accounts.held(Span(0, buffer.head), ()))[1]}
        assert not by_hour[hour].exact
        assert by_hour[hour + HOUR_MS].exact


OURS = Held(METER.id, 0, Account(5, 77), exact=True, spans=())


@pytest.mark.parametrize(
    ("held", "theirs", "todo"),
    [
        (OURS, Account(5, 77), ""),
        (OURS, Account(4, 70), "send"),
        (OURS, Account(0, 0), "send"),
        (OURS, Account(6, 90), "send once"),
        (OURS, Account(5, 90), "send once"),
        (Held(METER.id, 0, Account(5, 77), True, (), sent_for=90), Account(6, 90), ""),
        (Held(METER.id, 0, Account(5, 77), True, (), sent_for=90), Account(5, 90), "tell"),
        (Held(METER.id, 0, Account(5, 77), True, (), sent_for=90, told=True), Account(5, 90), ""),
        (Held(METER.id, 0, Account(5, 77), True, (), sent_for=90, told=True), Account(5, 91), "send once"),
        (Held(METER.id, 0, Account(5, 77), False, ()), Account(9, 90), ""),
        (Held(METER.id, 0, Account(5, 77), False, ()), Account(4, 90), "send"),
    ],
)
def test_what_is_done_about_a_difference(held: Held, theirs: Account, todo: str) -> None:
    assert remedy(held, theirs) == todo


@given(
    st.integers(0, 1000),
    st.integers(1, 5000),
    st.lists(st.integers(3_600_000, 7 * 86_400_000 // 3), min_size=1, max_size=9),
)
def test_the_rounds_of_a_week_compare_everything_while_the_buffer_grows_and_forgets(
    lo: int, count: int, pauses: list[int]
) -> None:
    now, older = NOW, Span(lo, lo + count)
    reached = place(older, now)
    begun, left = now, {*range(older.lo, older.hi)}
    while now - begun <= WEEK_MS:
        for pause in pauses:
            since, now = now, now + pause
            older = Span(older.lo + pause % 3, older.hi + pause % 5)
            for part in portion(older, reached, since, now):
                left -= {*range(part.lo, part.hi)}
            reached = place(older, now)
    assert not {seq for seq in left if seq >= older.lo}
