"""What the hub gets of times: none that are still to be corrected (P5), and all, where the clock was set back (P1)."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from aiohttp import web

from gateway.core.clock import SystemClock
from gateway.core.model import UNCERTAIN
from gateway.timekeeping import Timekeeper
from sync import wire
from sync.edge.hubtime import time_of
from tests.machine import Machine, Process
from tests.sync.parts import Hub, site, synced, syncing
from tests.values import METER

pytestmark = pytest.mark.P5
HOUR = 3600


@asynccontextmanager
async def polled(folder: Path, machine: Machine) -> AsyncIterator[tuple[Process, Hub]]:
    async with site(folder) as (buffer, hub):
        process = Process(machine, buffer, Timekeeper(machine, await buffer.begin_boot(machine)))
        upkeep = asyncio.ensure_future(buffer.upkeep.run())
        yield process, hub
        upkeep.cancel()
        await asyncio.gather(upkeep, return_exceptions=True)


async def at_hub(hub: Hub) -> dict[int, int]:
    """By what the meter counted: the time that the hub has; every reading once."""
    records = await hub.store.records("node", METER.id)
    times = {METER.rows.unpack(record.row)[0]: record.ts for record in records}
    assert len(times) == len(records)
    return times


async def test_nothing_is_sent_until_the_times_are_right(tmp_path: Path) -> None:
    machine = Machine()
    async with polled(tmp_path, machine) as (process, hub):
        hub.timeless = True
        async with syncing(process.buffer, hub, process.clock) as engine:
            await process.poll_for(0, 300)
            process.site.event("gateway_started")
            await process.buffer.flushed()
            while len(hub.batches) < 5:
                await asyncio.sleep(0)
            assert engine.state().backlog == 300
            assert {batch.partition(" ")[0] for batch in hub.batches} == {"records"}
            assert await hub.times() == []
            machine.synchronise()
            process.clock.look()
            await process.buffer.flushed()
            await synced(engine, process.buffer)
            while len(events := await hub.store.events("node", 9)) < 2:
                await asyncio.sleep(0)
        assert await at_hub(hub) == process.true
        assert {event.kind: event.ts for event in events} == dict.fromkeys(
            ("gateway_started", "clock_known"), machine.true_ms
        )
        assert {record.flags for record in await hub.store.records("node", METER.id)} == {0}


async def test_the_hubs_answer_brings_the_time(tmp_path: Path) -> None:
    machine = Machine()
    machine.true_ms = SystemClock().wall_ms()
    async with polled(tmp_path, machine) as (process, hub):
        await process.poll_for(0, 60)
        await process.buffer.flushed()
        machine.true_ms = SystemClock().wall_ms()
        async with syncing(process.buffer, hub, process.clock) as engine:
            await synced(engine, process.buffer)
        assert process.clock.state().source == "hub"
        newest_ms = (await at_hub(hub))[59]
        assert machine.true_ms <= newest_ms <= SystemClock().wall_ms()


@pytest.mark.parametrize(
    "trouble",
    [
        lambda: web.Response(status=200, text="<html>please sign in</html>", content_type="text/html"),
        lambda: web.Response(status=502, text="<html>"),
        lambda: web.json_response({"cursor": "0000000000000000:0-9", "accepted": 9}),
    ],
    ids=["sign-in page", "proxy", "another batch's answer"],
)
async def test_whoever_answers_in_the_hubs_place_does_not_tell_the_time(
    tmp_path: Path, trouble: Callable[[], web.Response]
) -> None:
    machine = Machine()
    async with polled(tmp_path, machine) as (process, hub):
        hub.spoil = [trouble] * 9
        async with syncing(process.buffer, hub, process.clock):
            while len(hub.spoil) > 1:
                await asyncio.sleep(0)
                assert not process.clock.known


def test_the_hubs_own_header_counts_always_and_a_date_in_the_hubs_answers_only() -> None:
    date = {"Date": "Fri, 15 Jan 2027 08:00:00 GMT"}
    assert time_of(date, is_hub=True) == (1_800_000_000_500, 500)
    assert time_of(date, is_hub=False) is None
    assert time_of(date | {wire.HUB_TIME: "1800000000123"}, is_hub=False) == (1_800_000_000_123, 0)
    for spoiled in ("", "soon", "-5", "\u00b2", "9" * 40):
        assert time_of({wire.HUB_TIME: spoiled, "Date": "today"}, is_hub=True) is None


async def test_what_no_boot_can_correct_any_more_is_sent_as_uncertain(tmp_path: Path) -> None:
    machine = Machine()
    first = await Process.start(machine, tmp_path / "buffer.db")
    await first.poll_for(0, 60)
    await first.buffer.close()
    machine.boot(off_s=60)
    machine.synchronise()
    async with polled(tmp_path, machine) as (process, hub):
        process.clock.look()
        async with syncing(process.buffer, hub, process.clock) as engine:
            await synced(engine, process.buffer)
        records = await hub.store.records("node", METER.id)
        assert [record.flags for record in records] == [UNCERTAIN] * 60


@pytest.mark.P1
async def test_a_clock_that_is_set_back_an_hour_loses_no_reading_of_either_pass(tmp_path: Path) -> None:
    machine = Machine()
    machine.synchronise()
    process = await Process.start(machine, tmp_path / "buffer.db")
    await process.poll_for(0, HOUR)
    machine.set_by(-HOUR)
    await process.poll_for(HOUR, HOUR // 2)
    await process.settle()
    await process.buffer.close()
    async with polled(tmp_path, machine) as (process, hub):  # a restart amid the times that come again
        await process.poll_for(HOUR + HOUR // 2, HOUR)
        await process.buffer.flushed()
        async with syncing(process.buffer, hub, process.clock) as engine:
            await synced(engine, process.buffer)
        times = await at_hub(hub)
        assert set(times) == set(range(2 * HOUR + HOUR // 2))
        steps = [times[count + 1] - times[count] for count in range(HOUR, len(times) - 1)]
        assert all(998 <= step <= 1002 for step in steps), "none of them is far from its time"


async def test_a_clock_that_is_set_forward_an_hour_loses_no_reading(tmp_path: Path) -> None:
    machine = Machine()
    machine.synchronise()
    async with polled(tmp_path, machine) as (process, hub):
        await process.poll_for(0, 100)
        machine.set_by(HOUR)
        await process.poll_for(100, 100)
        await process.buffer.flushed()
        async with syncing(process.buffer, hub, process.clock) as engine:
            await synced(engine, process.buffer)
        assert set(await at_hub(hub)) == set(range(200))
        assert process.clock.state().steps == 1
