"""What a device's own log has is in the history once, whatever the log, the disk or the power do."""

import asyncio
import logging
import signal
import sys
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers.intake.guard import retimed
from drivers.simulator.acuvim import Fault, SimulatedAcuvim, values_of
from drivers.simulator.dialogue import DialogueServer
from gateway.backfill import RETRY_S, Sink
from gateway.buffer.buffer import Buffer
from gateway.buffer.doubtful import Doubtful
from gateway.buffer.pulled import Place, Pulled
from gateway.core.errors import StorageError
from gateway.core.model import BACKFILLED, Layout, Point, Record
from gateway.logged import BATCH, settle
from tests.gateway.backfilling import BEGUN_S, CAPE, Taking, backfill_over
from tests.stored import everything

FAULTS: list[Fault] = ["slow", "twice", "repeated", "disordered", "short"]
NOW_MS = (BEGUN_S + 10**8) * 1000


@asynccontextmanager
async def site(
    folder: Path, meter: SimulatedAcuvim, places: type[Pulled] = Pulled, sink: Callable[[Buffer], Sink] = lambda b: b
) -> AsyncIterator[tuple[Taking, Buffer, DialogueServer]]:
    buffer = await Buffer.open(folder / "buffer.db")
    try:
        async with (
            DialogueServer({1: meter}) as server,
            backfill_over(server.port, sink(buffer), places(buffer._database)) as taking,
        ):
            yield taking, buffer, server
    finally:
        await buffer.close()


def shown(records: Sequence[Record], layout: Layout) -> list[tuple[int, list[int | float | str | None]]]:
    """Time and values, oldest first."""
    return sorted((record.ts, layout.rows.unpack(record.row)) for record in records)


def made(meter: SimulatedAcuvim, numbers: Sequence[int]) -> list[tuple[int, list[int]]]:
    return [(1000 * meter.made_s(number), list(values_of(number))) for number in numbers]


@pytest.mark.P3
@pytest.mark.parametrize("seed", range(4))
async def test_an_outage_of_hours_is_filled_once_whatever_the_meters_windows_do(tmp_path: Path, seed: int) -> None:
    meter = SimulatedAcuvim(BEGUN_S, CAPE, faults=FAULTS, fault_rate=0.3, seed=seed)
    meter.run(101)
    async with site(tmp_path, meter) as (taking, buffer, server):
        await taking.drain()
        assert len(await everything(buffer)) == 101
        server.mute = True
        taking.backfill.wake()
        assert await taking.drain() == 0, "nobody answers"
        meter.run(30 * 60)
        server.mute = False
        taking.backfill.wake()
        for _ in range(10):  # with bad luck it finds nothing for so long that it rests
            await taking.drain()
            taking.clock.now_s += RETRY_S
        records = await everything(buffer)
        assert shown(records, taking.layout) == made(meter, range(1, 1902))
        assert {record.flags for record in records} == {BACKFILLED}
        assert meter.faults > 50
        assert sum(event.startswith("log_taken") for event in taking.events) == 2
        assert not [event for event in taking.events if not event.startswith("log_taken")]


async def test_what_was_found_after_an_outage_is_said_in_one_event(tmp_path: Path) -> None:
    meter = SimulatedAcuvim(BEGUN_S, CAPE)
    meter.run(1000)
    meter.unset = {1, 2}
    async with site(tmp_path, meter) as (taking, _, _):
        await taking.drain()
        assert taking.events == ["log_taken meter: 998 records of its own log, 2 with a wrong time kept aside"]
        assert (taking.backfill.taken, taking.backfill.doubtful) == (998, 2)


async def test_the_log_is_looked_at_once_an_hour_and_at_once_after_an_outage(tmp_path: Path) -> None:
    meter = SimulatedAcuvim(BEGUN_S, CAPE)
    meter.run(10)
    async with site(tmp_path, meter) as (taking, buffer, _):
        await taking.drain()
        meter.run(10)
        taking.clock.now_s += 3599
        assert await taking.drain() == 0
        taking.clock.now_s += 1
        await taking.drain()
        assert buffer.head == 20
        assert len(taking.events) == 1, "what comes every hour is no event"
        meter.run(10)
        taking.backfill.doze()
        taking.clock.now_s += 10**9
        assert await taking.drain() == 0, "while the device is away its log is left alone"
        taking.backfill.wake()
        await taking.drain()
        assert buffer.head == 30


async def test_nothing_is_taken_while_the_gateway_does_not_know_the_time(tmp_path: Path) -> None:
    meter = SimulatedAcuvim(BEGUN_S, CAPE)
    meter.run(10)
    async with site(tmp_path, meter) as (taking, buffer, _):
        taking.clock.known = False
        assert await taking.drain() == 0
        taking.clock.known = True
        await taking.drain()
        assert buffer.head == 10


async def test_a_record_of_an_unset_clock_gets_the_time_between_its_neighbours(tmp_path: Path) -> None:
    meter = SimulatedAcuvim(BEGUN_S, CAPE)
    meter.run(600)
    meter.unset = {3, 239, 240, 241, 242, 500}
    async with site(tmp_path, meter) as (taking, buffer, _):
        await taking.drain()
        assert shown(await everything(buffer), taking.layout) == made(meter, range(1, 601))
        assert taking.backfill.doubtful == 0


async def test_records_of_an_unset_clock_wait_for_the_next_good_stamp(tmp_path: Path) -> None:
    meter = SimulatedAcuvim(BEGUN_S, CAPE)
    meter.run(20)
    meter.unset = {18, 19, 20}
    async with site(tmp_path, meter) as (taking, buffer, _):
        await taking.drain()
        assert buffer.head == 17
        meter.run(5)
        taking.clock.now_s += 3600
        await taking.drain()
        assert shown(await everything(buffer), taking.layout) == made(meter, range(1, 26))


async def test_what_no_time_can_be_found_for_is_kept_aside_once(tmp_path: Path) -> None:
    meter = SimulatedAcuvim(BEGUN_S, CAPE)
    meter.run(700)
    meter.unset = set(range(1, 701))
    async with site(tmp_path, meter) as (taking, buffer, _):
        await taking.drain()
        assert buffer.head == 0
        rows = await buffer._database.fetch("SELECT device, body FROM doubtful ORDER BY id")
        bodies = [msgspec.json.decode(body) for _, body in rows]
        aside = len(bodies)
        assert aside >= 2 * BATCH
        assert bodies[4] == {"index": 4, "ts": 946_677_600_000, "values": list(values_of(5))}
        meter.run(1)  # the clock was set
        taking.clock.now_s += 3600
        await taking.drain()
        assert (await buffer._database.fetch("SELECT count(*) FROM doubtful"))[0][0] == 700
        assert shown(await everything(buffer), taking.layout) == made(meter, [701])


@pytest.mark.P3
async def test_a_clock_that_was_set_back_costs_no_record(tmp_path: Path) -> None:
    meter = SimulatedAcuvim(BEGUN_S, CAPE)
    meter.run(400)
    meter.set_back_s = {200: -1800}
    async with site(tmp_path, meter) as (taking, buffer, _):
        await taking.drain()
        records = await everything(buffer)
        layout = taking.layout
        assert len({record.ts for record in records}) == 400, "a hub keeps one record a time"
        by_number = dict(enumerate(records, start=1))
        for number, record in by_number.items():
            assert layout.rows.unpack(record.row) == list(values_of(number))
            off_s = -1800 if number >= 200 else 0
            assert record.ts // 1000 == meter.made_s(number) + off_s


@pytest.mark.P1
@pytest.mark.parametrize("kept", [0, 1, 3])
async def test_a_kill_before_the_place_is_kept_loses_nothing_and_repeats_only_the_same(
    tmp_path: Path, kept: int
) -> None:
    meter = SimulatedAcuvim(BEGUN_S, CAPE, faults=FAULTS, fault_rate=0.1)
    meter.run(1000)
    meter.unset = {700, 701}
    meter.set_back_s = {300: -600}
    async with DialogueServer({1: meter}) as server:
        killed = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "tests.gateway.puller", str(tmp_path / "buffer.db"), str(server.port), str(kept)
        )
        assert await killed.wait() == -signal.SIGKILL
    async with site(tmp_path, meter) as (taking, buffer, _):
        before = await everything(buffer)
        lost_sight_of = len(before) - (await Pulled(buffer._database).place("meter")).position
        assert BATCH <= lost_sight_of < 2 * BATCH
        await taking.drain()
        records = await everything(buffer)
        assert len(records) == 1000 + lost_sight_of, "the batch whose place was not kept came again"
        assert len({record.ts for record in records}) == 1000
        assert len({(record.layout_id, record.ts, record.row) for record in records}) == 1000
        contents = {record.row for record in records}
        assert contents == {taking.layout.rows.pack(values_of(number)) for number in range(1, 1001)}


@pytest.mark.P3
async def test_a_log_that_was_cleared_is_taken_from_its_new_beginning_and_that_is_said(tmp_path: Path) -> None:
    meter = SimulatedAcuvim(BEGUN_S, CAPE)
    meter.run(100)
    async with site(tmp_path, meter) as (taking, buffer, _):
        await taking.drain()
        old = made(meter, range(1, 101))
        meter.clear()
        for _ in range(2):  # and an empty log is no new news each hour
            taking.clock.now_s += 3600
            await taking.drain()
        assert taking.events[1:] == ["log_cleared meter: its log was cleared"]
        meter.run(30)
        taking.clock.now_s += 3600
        await taking.drain()
        assert shown(await everything(buffer), taking.layout) == old + made(meter, range(1, 31))


@pytest.mark.P3
async def test_a_log_that_was_cleared_and_grew_beyond_the_place_is_known_by_its_times(tmp_path: Path) -> None:
    meter = SimulatedAcuvim(BEGUN_S, CAPE)
    meter.run(100)
    async with site(tmp_path, meter) as (taking, buffer, _):
        await taking.drain()
        old = made(meter, range(1, 101))
        meter.clear()
        meter.run(300)
        taking.backfill.wake()
        await taking.drain()
        assert "log_cleared meter: its log was cleared and has grown again since" in taking.events
        assert shown(await everything(buffer), taking.layout) == old + made(meter, range(1, 301))


@pytest.mark.P3
async def test_a_log_that_ran_over_gives_what_it_still_has_and_says_how_much_is_gone(tmp_path: Path) -> None:
    meter = SimulatedAcuvim(BEGUN_S, CAPE, capacity=500, sector=100)
    meter.run(50)
    async with site(tmp_path, meter) as (taking, buffer, _):
        await taking.drain()
        meter.run(1200)
        taking.backfill.wake()
        await taking.drain()
        gone = meter.oldest - 51
        assert f"log_overrun meter: {gone} records of its log were overwritten before they were taken" in taking.events
        taken = [*range(1, 51), *range(meter.oldest, meter.newest + 1)]
        assert shown(await everything(buffer), taking.layout) == made(meter, taken)


async def test_a_log_that_runs_over_while_it_is_taken_is_surveyed_anew(tmp_path: Path) -> None:
    meter = SimulatedAcuvim(BEGUN_S, CAPE, capacity=500, sector=100)
    meter.run(499)
    async with site(tmp_path, meter) as (taking, buffer, _):
        for _ in range(3):
            await taking.backfill.step()
        meter.run(10)
        await taking.drain()
        assert meter.oldest == 101
        assert shown(await everything(buffer), taking.layout) == made(meter, range(101, 500 + 10))


class Full(Pulled):
    """A disk that is full for the first two times."""

    refusals = 2

    async def keep(self, device: str, place: Place, aside: Sequence[Doubtful] = ()) -> None:
        if Full.refusals:
            Full.refusals -= 1
            raise StorageError("the disk is full")
        await super().keep(device, place, aside)


async def test_while_the_disk_refuses_the_place_nothing_is_put_twice(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    meter = SimulatedAcuvim(BEGUN_S, CAPE)
    meter.run(600)
    with caplog.at_level(logging.INFO, "gateway.backfill"):
        async with site(tmp_path, meter, Full) as (taking, buffer, _):
            for _ in range(3):
                await taking.drain()
                taking.clock.now_s += RETRY_S
            assert shown(await everything(buffer), taking.layout) == made(meter, range(1, 601))
    assert [r.getMessage() for r in caplog.records] == ["device's log not taken", "device's log is taken again"]


async def test_a_log_that_never_gets_ready_is_left_alone_for_a_while_and_said_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    meter = SimulatedAcuvim(BEGUN_S, CAPE, faults=["disordered"], fault_rate=1)
    meter.run(600)
    async with site(tmp_path, meter) as (taking, buffer, _):
        for _ in range(3):
            assert await taking.drain() < 100
            assert await taking.drain() == 0
            taking.clock.now_s += RETRY_S
        assert [r.message for r in caplog.records] == ["device's log not taken"]
        meter.fault_rate = 0
        await taking.drain()
        assert buffer.head == 600


class Entry(msgspec.Struct):
    index: int
    ts: int
    values: tuple[int, ...]


LAYOUT = Layout("meter", "log", (Point("energy", "u32"),))


@given(
    first=st.integers(0, 10**6),
    stamps=st.lists(st.sampled_from([0, 1, 60, 120, 180, 181, 240, 10**9]), max_size=BATCH + 20),
    newest=st.sampled_from([0, 30, 60, 200]),
)
def test_every_record_is_taken_once_kept_aside_or_left_for_later(first: int, stamps: list[int], newest: int) -> None:
    """Stamps are seconds after the beginning; 0 is an unset clock, 10**9 one far ahead."""
    read = [Entry(first + at, (BEGUN_S + s) * 1000 if s else 0, (at,)) for at, s in enumerate(stamps)]
    place = Place(first, (BEGUN_S + newest) * 1000 if newest else 0)
    taken = settle(LAYOUT, read, place, NOW_MS, retimed)
    left = len(read) - (taken.place.position - first)
    assert len(taken.records) + len(taken.aside) + left == len(read)
    assert 0 <= left <= max(0, len(stamps))
    times = [record.ts for record in taken.records]
    assert len(set(times)) == len(times)
    assert all(time > place.ts or time // 1000 <= place.ts // 1000 for time in times)
    assert taken.place.ts == max([place.ts, *times])
    if len(read) >= BATCH:
        assert left < len(read), "it goes on"
    again = settle(LAYOUT, read, place, NOW_MS + 3_600_000, retimed)
    assert again.records == taken.records, "the same again after a crash"


def test_the_clock_of_a_real_meter_after_a_loss_of_power_keeps_every_record_apart_and_in_order() -> None:
    """Records 3780 to 3788 of an Acuvim CL: one of 2000-01-01, then minutes that are there twice."""
    minutes = {3780: 23, 3782: 23, 3783: 24, 3784: 26, 3785: 24, 3786: 25, 3787: 26, 3788: 27}
    hour_ms = BEGUN_S * 1000
    read = [Entry(n, hour_ms + 60_000 * minutes[n] if n in minutes else 0, (n,)) for n in range(3780, 3789)]
    taken = settle(LAYOUT, read, Place(3780, hour_ms + 22 * 60_000), NOW_MS, retimed)
    times = {LAYOUT.rows.unpack(record.row)[0]: record.ts for record in taken.records}
    assert len(set(times.values())) == 9
    assert {n: (times[n] - hour_ms) // 1000 for n in minutes} == {n: 60 * minute for n, minute in minutes.items()}
    assert times[3780] < times[3781] < times[3782] < times[3783], "the wrong stamp is put where its number stands"
    assert times[3788] == hour_ms + 27 * 60_000, "once it is past what it had shown, its stamps are as they were"


async def test_the_place_survives_with_what_was_kept_aside_or_neither(tmp_path: Path) -> None:
    buffer = await Buffer.open(tmp_path / "b.db")
    pulled = Pulled(buffer._database)
    assert await pulled.place("meter") == Place(0, 0)
    await pulled.keep("meter", Place(5, 7), [Doubtful("meter", 1, "why", b"{}")])
    with pytest.raises(StorageError):
        await pulled.keep("meter", Place(9, 9), [Doubtful("meter", 1, "why", None)])  # type: ignore[arg-type]
    assert await pulled.place("meter") == Place(5, 7)
    await buffer.close()


class Crowded:
    """Meets `Sink`: a buffer whose disk takes nothing for so long that what is put first is given up."""

    def __init__(self, buffer: Buffer) -> None:
        self.dropped = 0
        self._buffer = buffer

    def put(self, layout: Layout, records: Iterable[Record]) -> None:
        if self.dropped:
            self._buffer.put(layout, records)
        else:
            self.dropped = len(list(records))

    async def flushed(self) -> None:
        await self._buffer.flushed()


@pytest.mark.P3
async def test_records_that_the_buffer_had_to_give_up_are_taken_again(tmp_path: Path) -> None:
    meter = SimulatedAcuvim(BEGUN_S, CAPE)
    meter.run(20)
    async with site(tmp_path, meter, sink=Crowded) as (taking, buffer, _):
        await taking.drain()
        assert await everything(buffer) == []
        taking.clock.now_s += RETRY_S
        await taking.drain()
        assert shown(await everything(buffer), taking.layout) == made(meter, range(1, 21))
