"""What the engine waits for, in virtual time: a hub that is away, that is busy, a line on which bytes are dear."""

import asyncio
from collections.abc import Callable, Coroutine
from pathlib import Path
from random import Random
from typing import Any

import pytest

from gateway.buffer.buffer import Buffer
from gateway.core.errors import PushError
from gateway.core.span import Span
from sync import wire
from sync.edge.backoff import Backoff
from sync.edge.link import Link
from sync.edge.metering import LineClosed, Meter
from sync.edge.transport import BatchRefused, Hear, HubBusy, HubRefused, LaneFull
from tests.sync.inmemory import EPOCH, MemoryHub, MemoryOutbox, running
from tests.virtual import START_S, VirtualClock, go_on, run_virtually


def takes_all(batch_type: wire.BatchType, cursor: wire.Cursor) -> None: ...


def virtually(test: Callable[[], Coroutine[Any, Any, None]]) -> Callable[[], None]:
    def run() -> None:
        run_virtually(test())

    run.__name__ = test.__name__
    return run


def until(end_s: float, error: Exception, of: str = "") -> Callable[[wire.BatchType, wire.Cursor], None]:
    """A hub that answers so until `end_s` seconds have passed, to batches of that type or all."""

    def answer(batch_type: wire.BatchType, cursor: wire.Cursor) -> None:
        if VirtualClock().monotonic_s() < START_S + end_s and (not of or of == batch_type):
            raise error

    return answer


@virtually
async def test_while_the_hub_is_away_one_stream_asks_and_asks_with_nothing_large() -> None:
    outbox = MemoryOutbox(50_000)
    outbox.events_committed.ring(500)
    hub = MemoryHub(VirtualClock(), until(3600, PushError("away")))
    async with running(outbox, hub) as (engine, link):
        beats = Backoff(Random(2))
        await go_on(600)
        assert not await link.attempt(beats, link.push("heartbeat", Span(0, 0), wire.Records([])))
        tries = [came for came in hub.came if came[0] > START_S + 60]
        assert all(not span for _, _, span in tries), "probes are empty"
        assert len(tries) < 40, "one stream's, a minute apart at most, and here and there another's"
        assert "away" in engine.state().error
        assert not engine.state().connected


@virtually
async def test_a_stream_that_fails_alone_pauses_alone_though_all_others_get_through() -> None:
    outbox = MemoryOutbox()
    outbox.events_committed.ring(500)
    hub = MemoryHub(VirtualClock(), until(3600, PushError("the hub fails (500)"), "events"))
    async with running(outbox, hub) as (engine, _):
        for _ in range(600):
            outbox.take()
            await go_on(5)
        assert len([came for came in hub.came if came[1] == "events"]) < 200, "up to a minute apart: 3000 s"
        probes = [span for _, batch_type, span in hub.came if batch_type == "records" and not span]
        assert len(probes) < 5, "the hub is not away"
        assert "500" in engine.state().streams[1].error
        assert engine.state().connected


@virtually
async def test_the_first_success_wakes_all_who_wait_for_the_hub() -> None:
    outbox = MemoryOutbox(50_000)
    outbox.events_committed.ring(500)
    hub = MemoryHub(VirtualClock(), until(3600, PushError("away")))
    async with running(outbox, hub) as (engine, _):
        await go_on(3600 + 130)
        first = next(at for at, _, _ in hub.came if at >= START_S + 3600)
        await go_on(1)
        assert not engine.state().backlog
        assert not engine.state().streams[1].backlog
        assert hub.came[-1][0] - first < 5


@virtually
async def test_a_network_that_comes_back_ends_the_pause() -> None:
    outbox = MemoryOutbox(100)
    hub = MemoryHub(VirtualClock(), until(7200, PushError("away")))
    async with running(outbox, hub) as (engine, link):
        await go_on(7199)
        while VirtualClock().monotonic_s() < START_S + 7200 or engine.state().streams[0].next_s < 5:
            await go_on(1)
            assert engine.state().backlog, "it has come by itself"
        link.wake()
        await go_on(0.1)
        assert not engine.state().backlog


@virtually
async def test_what_a_busy_hub_asks_for_is_kept_by_all_streams() -> None:
    outbox = MemoryOutbox(50_000)
    hub = MemoryHub(VirtualClock(), until(0.5, HubBusy("busy", 120)))
    async with running(outbox, hub) as (engine, _):
        await go_on(10)
        outbox.events_committed.ring(500)  # a stream that was not told itself
        await go_on(109)
        assert {at for at, _, _ in hub.came} == {START_S}
        assert "busy" in engine.state().error
        assert 0 < engine.state().streams[0].next_s <= 121
        await go_on(125)
        assert not engine.state().backlog
        assert not engine.state().streams[1].backlog
        assert hub.taken == set(range(50_000))


@virtually
async def test_a_hub_that_refuses_us_is_asked_ever_more_seldom() -> None:
    outbox = MemoryOutbox(10)
    hub = MemoryHub(VirtualClock(), until(1e9, HubRefused("wrong secret", hint="check hub.secret")))
    async with running(outbox, hub) as (engine, _):
        await go_on(12 * 3600)
        late = [at for at, _, _ in hub.came if at > START_S + 6 * 3600]
        assert 1 < len(late) < 100
        assert engine.state().error == "wrong secret; check hub.secret"


@pytest.mark.P4
@pytest.mark.parametrize("why", [HubRefused("not that"), LaneFull("not that")])
def test_a_refused_backlog_does_not_hold_up_the_present(why: PushError) -> None:
    def refuses_the_past(batch_type: wire.BatchType, cursor: wire.Cursor) -> None:
        if cursor.lo < 40_000:
            raise why

    async def story() -> None:
        outbox, hub = MemoryOutbox(50_000), MemoryHub(VirtualClock(), refuses_the_past)
        async with running(outbox, hub) as (engine, link):
            await go_on(1)
            for _ in range(600):
                outbox.take()
                await go_on(1)
                assert outbox.committed.reached - max(hub.taken) <= 7
                assert link.connected or isinstance(why, HubRefused)
            assert "not that" in engine.state().streams[0].error

    run_virtually(story())


@pytest.mark.P4
@virtually
async def test_refused_news_do_not_hold_up_the_backlog() -> None:
    outbox = MemoryOutbox(50_000)

    def refuses_the_present(batch_type: wire.BatchType, cursor: wire.Cursor) -> None:
        if cursor.hi > 49_000 and cursor.hi > cursor.lo:
            raise HubRefused("not that")

    hub = MemoryHub(VirtualClock(), refuses_the_present)
    async with running(outbox, hub):
        await go_on(60)
        assert set(range(40_000)) <= hub.taken


@virtually
async def test_on_a_quiet_line_what_is_new_goes_once_a_minute() -> None:
    outbox = MemoryOutbox()
    hub = MemoryHub(VirtualClock(), takes_all)
    async with running(outbox, hub, quiet=True):
        for _ in range(3600):
            outbox.take()
            await go_on(1)
        assert 55 < len(hub.came) < 70
        assert outbox.committed.reached - max(hub.taken) < 70


@virtually
async def test_on_a_metered_line_the_backlog_stops_first_and_goes_on_the_next_day() -> None:
    outbox = MemoryOutbox(2_000_000, record_bytes=10)
    hub = MemoryHub(VirtualClock(), takes_all)
    began = VirtualClock().monotonic_s()
    meter = Meter(lambda: 1 + int((VirtualClock().monotonic_s() - began) // 86_400), budget=2_000_000)
    async with running(outbox, hub, meter) as (engine, _):
        await go_on(3600)
        assert 1_500_000 < meter.count < 1_900_000
        left = engine.state().backlog
        assert left > 1_500_000
        assert "of this day are spent" in engine.state().streams[0].error
        outbox.take(10)
        await go_on(60)
        assert max(hub.taken) == outbox.committed.reached - 1, "the live lane goes on"
        for _ in range(200):
            outbox.take(1000)
            await go_on(60)
        assert 2_000_000 <= meter.count < 2_150_000, "but not beyond the day's bytes"
        left = engine.state().backlog
        await go_on(86_400)
        assert engine.state().backlog < left, "a new day"


@virtually
async def test_a_slow_line_gets_smaller_batches_so_that_the_present_comes_through() -> None:
    """1 kB/s, some 4 bytes a record."""
    outbox = MemoryOutbox(300_000, record_bytes=0)
    worst_s = 0.0

    class Slow(MemoryHub):
        async def push(
            self, batch_type: wire.BatchType, cursor: wire.Cursor, body: bytes, *, live: bool = False
        ) -> wire.Answer:
            await go_on(0.2 + len(body) / 1000)
            return await super().push(batch_type, cursor, body)

    hub = Slow(VirtualClock(), takes_all)
    async with running(outbox, hub) as (engine, _):
        await go_on(120)
        for _ in range(600):
            outbox.take()
            await go_on(1)
            worst_s = max(worst_s, outbox.committed.reached - max(hub.taken))
        assert worst_s < 20
        assert engine.state().streams[0].done_s is not None
        assert 100 < engine.state().streams[0].per_s < 300


@virtually
async def test_on_a_quiet_line_all_is_sent_when_its_minute_is_over() -> None:
    outbox, hub = MemoryOutbox(), MemoryHub(VirtualClock(), takes_all)
    async with running(outbox, hub, quiet=True) as (engine, _):
        await go_on(100)
        for _ in range(2):
            outbox.take()
            await go_on(5)
        (records, _) = engine.state().streams
        assert records.backlog == 1
        assert records.done_s is not None
        assert 30 < records.done_s <= 60


async def test_the_count_of_a_metered_line_survives_a_restart(tmp_path: Path) -> None:
    buffer = await Buffer.open(tmp_path / "buffer.db")
    await buffer.spent.keep(738_000, 1_234_567)
    await buffer.close()
    buffer = await Buffer.open(tmp_path / "buffer.db")
    assert await buffer.spent.load() == (738_000, 1_234_567)
    await buffer.close()


class Kept:
    def __init__(self, day: int, count: int) -> None:
        self.kept = day, count

    async def load(self) -> tuple[int, int]:
        return self.kept

    async def keep(self, day: int, count: int) -> None:
        self.kept = day, count


def test_bytes_of_the_same_day_count_on_after_a_restart_and_those_of_yesterday_do_not() -> None:
    async def counted(day: int | None) -> int:
        meter = Meter(lambda: day, 1000, Kept(7, 900))
        meter.add(50)
        task = asyncio.ensure_future(meter.run())
        await go_on(120)
        task.cancel()
        return meter.count

    assert run_virtually(counted(7)) == 950
    assert run_virtually(counted(8)) == 50
    assert run_virtually(counted(None)) == 950, "while nobody knows the day, it is taken for the same one"


def test_what_a_stop_finds_counted_is_counted_on() -> None:
    async def kept(*, loaded: bool) -> tuple[int, int]:
        where = Kept(7, 900)
        meter = Meter(lambda: 7, 1_000_000, where)
        meter.add(50)
        if loaded:
            task = asyncio.ensure_future(meter.run())
            await go_on(120)
            task.cancel()
        await meter.close()
        return where.kept

    assert run_virtually(kept(loaded=True)) == (7, 950)
    assert run_virtually(kept(loaded=False)) == (7, 900), "before it was read nothing is put in its place"


def test_a_spent_line_says_so_and_when_it_goes_on() -> None:
    meter = Meter(lambda: 1, 1_000_000)
    meter.add(900_000)
    meter.check(1.0)
    with pytest.raises(LineClosed) as error:
        meter.check(0.8)
    assert "0.9 of 1.0 MB" in str(error.value)
    assert "midnight" in error.value.hint


@virtually
async def test_what_the_hub_says_by_itself_costs_a_request_too() -> None:
    class Talkative(MemoryHub):
        async def run(self, hear: Hear) -> None:
            for _ in range(1728):  # a day of long polls
                await hear(wire.Answer(""))

    link = Link(lambda: EPOCH, Talkative(VirtualClock(), takes_all), VirtualClock(), Random(1))
    await link.run()
    assert link.meter.count > 1728 * 700


@virtually
async def test_what_a_hub_refuses_for_good_is_no_reason_to_call_it_away() -> None:
    outbox = MemoryOutbox(10)
    hub = MemoryHub(VirtualClock(), until(0.5, BatchRefused("no"), of="events"))
    outbox.events_committed.ring(2)
    async with running(outbox, hub) as (engine, _):
        await go_on(10)
        assert engine.state().connected
        assert hub.taken == set(range(10))


@virtually
async def test_what_is_asked_for_again_while_it_is_on_its_way_ends_nothing() -> None:
    asked: list[Span] = []

    def ask_again(batch_type: wire.BatchType, cursor: wire.Cursor) -> None:
        if batch_type == "records" and cursor.hi > cursor.lo and not asked:
            asked.append(Span(cursor.lo, cursor.hi))
            engine.resend(asked)

    outbox = MemoryOutbox(10)
    hub = MemoryHub(VirtualClock(), ask_again)
    async with running(outbox, hub) as (engine, _):
        await go_on(10)
        assert asked
        outbox.take()
        await go_on(10)
        assert hub.taken == set(range(11))
