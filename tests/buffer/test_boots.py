"""Times that were not known when they were stamped are corrected, or say that they are not (P5)."""

from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec
import pytest

from gateway.core.errors import DeviceError
from gateway.core.model import BACKFILLED, DATED, UNCERTAIN, Record
from gateway.core.span import Span
from tests.machine import TRUE_MS, Machine, Process
from tests.stored import everything
from tests.values import METER, power

pytestmark = pytest.mark.P5
HOUR = 3600


def times(records: Iterable[Record]) -> dict[int, int]:
    """By what the meter counted: the time that is kept."""
    return {METER.rows.unpack(record.row)[0]: record.ts for record in records}


@asynccontextmanager
async def running(machine: Machine, folder: Path) -> AsyncIterator[Process]:
    process = await Process.start(machine, folder / "buffer.db")
    buffer = process.buffer
    try:
        yield process
    finally:
        await buffer.close()


async def test_an_hour_of_readings_since_a_boot_in_1970_gets_its_true_times(tmp_path: Path) -> None:
    machine = Machine()
    async with running(machine, tmp_path) as process:
        await process.poll_for(0, HOUR)
        await process.buffer.flushed()
        assert process.buffer.held
        kept = await everything(process.buffer)
        assert {record.flags for record in kept} == {UNCERTAIN}
        assert max(record.ts for record in kept) < 2 * HOUR * 1000
        process.poll(HOUR)  # not on the disk yet when the time becomes known
        machine.synchronise()
        process.poll(HOUR + 1)
        await process.settle()
        assert not process.buffer.held
        kept = await everything(process.buffer)
        assert times(kept) == process.true
        assert {record.flags for record in kept} == {0}
        bounds = await process.buffer._database.fetch(
            "SELECT ts_min, ts_max, rolled, boot FROM block, segment ON lo = segment"
        )
        assert len(bounds) > 1
        assert all(TRUE_MS <= first <= last <= machine.true_ms for first, last, _, _ in bounds)
        assert {(rolled, boot) for _, _, rolled, boot in bounds} == {(1, None)}


async def test_a_stamp_that_was_on_its_way_when_the_time_became_known_is_corrected(tmp_path: Path) -> None:
    machine = Machine()
    async with running(machine, tmp_path) as process:
        machine.go_on(10)
        record = power(process.clock.wall_ms(), 1)
        process.true[1] = machine.true_ms
        machine.go_on(2)
        machine.synchronise()
        process.clock.look()
        machine.go_on(1)
        process.site.took(METER, record)
        process.poll(2, takes_s=3)
        await process.settle()
        assert times(await everything(process.buffer)) == process.true


async def test_what_a_device_dates_itself_is_neither_flagged_nor_moved(tmp_path: Path) -> None:
    machine = Machine()
    async with running(machine, tmp_path) as process:
        process.poll(0)
        for count, flags in ((1, DATED), (2, BACKFILLED)):
            process.site.took(METER, msgspec.structs.replace(power(TRUE_MS - count, count), flags=flags))
        machine.go_on(5)
        await process.buffer.flushed()
        machine.synchronise()
        process.clock.look()
        await process.settle()
        assert times(await everything(process.buffer)) == {0: TRUE_MS, 1: TRUE_MS - 1, 2: TRUE_MS - 2}


async def test_events_and_the_connection_log_get_their_true_times(tmp_path: Path) -> None:
    machine = Machine()
    async with running(machine, tmp_path) as process:
        process.site.event("on the disk")
        process.site.lost("meter", DeviceError("no answer"))
        await process.buffer.flushed()
        await process.site.look_at_buses()
        machine.go_on(5)
        process.site.event("in memory")
        machine.go_on(5)
        machine.synchronise()
        process.clock.look()
        await process.settle()
        events = {event.kind: event for event in await process.buffer.read_events(Span(0, 99), 99)}
        found = {kind: event.ts - TRUE_MS for kind, event in events.items()}
        assert found == {"on the disk": 0, "device_offline": 0, "in memory": 5000, "clock_known": 10_000}
        assert "later than they were" in events["clock_known"].detail
        assert [line.ts for line in await process.buffer.notebook.contacts("meter")] == [TRUE_MS]


async def test_what_is_written_after_the_correction_is_corrected_too(tmp_path: Path) -> None:
    machine = Machine()
    async with running(machine, tmp_path) as process:
        process.poll(0)
        process.site.lost("meter", DeviceError("no answer"))
        machine.go_on(5)
        machine.synchronise()
        process.clock.look()
        await process.buffer.upkeep.round()
        assert not process.buffer.held
        await process.buffer.flushed()
        await process.site.look_at_buses()
        (kept,) = await everything(process.buffer)
        assert (kept.ts, kept.flags) == (TRUE_MS, 0)
        assert (await process.buffer.read_events(Span(0, 1), 1))[0].ts == TRUE_MS
        assert [line.ts for line in await process.buffer.notebook.contacts("meter")] == [TRUE_MS]


async def test_the_live_view_shows_the_true_times_at_once(tmp_path: Path) -> None:
    machine = Machine()
    async with running(machine, tmp_path) as process:
        process.site.found("meter")
        process.poll(0)
        seen = process.live.changed.reached
        machine.go_on(1)
        machine.synchronise()
        process.clock.look()
        (state,) = process.live.devices(seen)
        assert (state.ts, state.since) == (TRUE_MS, TRUE_MS)
        process.poll(1)
        assert process.live.devices()[0].ts == machine.true_ms


async def test_a_reboot_before_the_time_was_known_leaves_the_best_estimates_flagged_and_lets_them_go(
    tmp_path: Path,
) -> None:
    machine = Machine()
    machine.synchronise()
    async with running(machine, tmp_path) as process:
        await process.poll_for(0, 100)
        last_ms = machine.true_ms
    machine.boot(off_s=300)
    async with running(machine, tmp_path) as process:
        await process.poll_for(100, 60)
        await process.buffer.flushed()
        assert process.buffer.held
        await process.buffer.sealing.seal()
    machine.boot(off_s=300)
    async with running(machine, tmp_path) as process:
        assert process.buffer.held
        process.poll(160)
        machine.go_on(1)
        machine.synchronise()
        process.clock.look()
        await process.settle()
        assert not process.buffer.held
        kept = await everything(process.buffer)
        assert {record.flags for record in kept[:100]} == {0}
        assert {record.flags for record in kept[100:160]} == {UNCERTAIN}
        for table in ("frame", "segment", "event"):
            assert not await process.buffer._database.fetch(f"SELECT boot FROM {table} WHERE boot IS NOT NULL")
        assert [record.ts for record in kept[100:160]] == [last_ms + 1000 * after for after in range(1, 61)]
        assert (kept[160].ts, kept[160].flags) == (process.true[160], 0)


async def test_an_estimate_is_not_made_of_what_a_device_believed_the_time_to_be(tmp_path: Path) -> None:
    machine = Machine()
    machine.synchronise()
    async with running(machine, tmp_path) as process:
        process.poll(0)
        process.site.took(METER, msgspec.structs.replace(power(TRUE_MS + 86_400_000, 1), flags=DATED))
    machine.boot()
    async with running(machine, tmp_path) as process:
        assert process.clock.wall_ms() == TRUE_MS


async def test_a_restart_of_the_process_goes_on_with_the_same_estimate(tmp_path: Path) -> None:
    machine, true = Machine(), dict[int, int]()
    for first in (0, 10):
        async with running(machine, tmp_path) as process:
            await process.poll_for(first, 10)
            true |= process.true
    machine.set_by(5)  # while it does not run, to no plausible time
    async with running(machine, tmp_path) as process:
        await process.poll_for(20, 10)
        machine.synchronise()
        process.clock.look()
        await process.settle()
        assert times(await everything(process.buffer)) == true | process.true


async def test_a_correction_that_was_cut_off_goes_on_after_a_restart_and_after_a_reboot(tmp_path: Path) -> None:
    for reboot in (False, True):
        machine = Machine()
        (folder := tmp_path / str(reboot)).mkdir()
        async with running(machine, folder) as process:
            await process.poll_for(0, 1200)
            machine.synchronise()
            process.clock.look()
            await process.buffer.boots.step()  # its offset is kept
            await process.buffer.boots.step()  # and one segment corrected
            true = process.true
        if reboot:
            machine.boot(off_s=60)
        async with running(machine, folder) as process:
            assert process.buffer.held
            await process.buffer.upkeep.round()
            assert process.buffer.held == reboot, "the time of this boot is another question"
            kept = await everything(process.buffer)
            assert times(kept) == true
            assert {record.flags for record in kept} == {0}


async def test_a_file_that_was_away_at_the_start_is_corrected_by_the_estimate_of_each_process(tmp_path: Path) -> None:
    machine = Machine()
    machine.synchronise()
    async with running(machine, tmp_path) as process:
        await process.poll_for(0, 10)
    machine.boot(off_s=100)
    async with running(machine, tmp_path) as process:
        await process.poll_for(10, 10)
        process.site.event("by the first estimate")
        true, event_ms = process.true, machine.true_ms
    (tmp_path / "elsewhere").mkdir()
    async with running(machine, tmp_path / "elsewhere") as process, running(machine, tmp_path) as back:
        assert process.buffer.boots._boot.estimate != back.buffer.boots._boot.estimate
        back.buffer.boots._boot = process.buffer.boots._boot
        await back.buffer.boots.attach()
        process.buffer = process.site._buffer = back.buffer
        await process.poll_for(20, 10)
        await process.buffer.flushed()
        machine.synchronise()
        process.clock.look()
        await process.settle()
        kept = await everything(process.buffer)
        assert times(kept[10:]) == true | process.true
        assert (await process.buffer.read_events(Span(0, 9), 9))[-2].ts == event_ms


async def test_once_known_in_a_boot_it_stays_known(tmp_path: Path) -> None:
    machine = Machine()
    machine.synchronise()
    async with running(machine, tmp_path) as process:
        process.poll(0)
        machine.is_synchronised = False  # hours without a time server
        process.clock.look()
        process.poll(1)
        await process.settle()
    async with running(machine, tmp_path) as process:
        assert process.clock.known
        process.poll(2)
        await process.settle()
        assert [record.flags for record in await everything(process.buffer)] == [0, 0, 0]


async def test_without_a_hub_estimates_older_than_a_day_stand_flagged_and_are_rolled_up(tmp_path: Path) -> None:
    machine = Machine()
    machine.boot(wall_ms=TRUE_MS - HOUR * 1000)  # as with a time that was saved at shutdown
    async with running(machine, tmp_path) as process:
        await process.poll_for(0, 3000, every_s=60)  # two days, sealed three times
        await process.settle()
        rows = await process.buffer._database.fetch("SELECT boot IS NULL, rolled FROM segment ORDER BY lo")
        assert [tuple(row) for row in rows] == [(1, 1), (0, 0), (0, 0)]
        machine.synchronise()
        process.clock.look()
        await process.settle()
        kept = await everything(process.buffer)
        assert [record.flags for record in kept] == 1000 * [UNCERTAIN] + 2000 * [0]
        assert [record.ts for record in kept[1000:]] == [process.true[count] for count in range(1000, 3000)]


async def test_times_that_cannot_be_right_never_stand(tmp_path: Path) -> None:
    machine = Machine()  # in 1970
    async with running(machine, tmp_path) as process:
        await process.poll_for(0, 3000, every_s=60)
        await process.settle()
        machine.synchronise()
        process.clock.look()
        await process.settle()
        assert times(await everything(process.buffer)) == process.true
