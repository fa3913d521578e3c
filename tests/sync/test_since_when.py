"""Since when something waits for the hub, as the page and the heartbeat tell it."""

import asyncio

from gateway.core.errors import PushError
from gateway.core.status import StreamState
from sync.edge.engine import Engine
from sync.wire import BatchType, Cursor
from tests.sync.inmemory import MemoryHub, MemoryOutbox, running
from tests.sync.test_waiting import takes_all, until, virtually
from tests.virtual import VirtualClock, go_on


class DatedOutbox(MemoryOutbox):
    """The record of seq N was measured N + 1 seconds after 1970."""

    async def measured_at(self, seq: int) -> int:
        return 1000 * (seq + 1)


def records(engine: Engine) -> StreamState:
    return engine.state().streams[0]


@virtually
async def test_while_a_hub_is_away_from_the_start_it_is_known_since_when_records_wait() -> None:
    outbox = DatedOutbox(100)
    outbox.kept["records"] = [(40, None)]
    async with running(outbox, MemoryHub(VirtualClock(), until(1e9, PushError("away")))) as (engine, _):
        await go_on(5)
        assert (records(engine).backlog, records(engine).oldest) == (60, 41_000)


@virtually
async def test_when_a_hub_goes_away_the_first_record_that_it_lacks_says_since_when() -> None:
    outbox = DatedOutbox(100)
    gone: list[bool] = []
    hub = MemoryHub(VirtualClock(), lambda batch_type, cursor: away() if gone else takes_all(batch_type, cursor))

    def away() -> None:
        raise PushError("away")

    async with running(outbox, hub) as (engine, _):
        await go_on(60)
        assert (records(engine).backlog, records(engine).oldest) == (0, 0)
        gone.append(True)
        for _ in range(10):
            outbox.take(5)
            await go_on(10)
        assert (records(engine).backlog, records(engine).oldest) == (50, 101_000)
        gone.clear()
        await go_on(120)
        assert (records(engine).backlog, records(engine).oldest) == (0, 0)


@virtually
async def test_while_the_time_is_not_known_it_is_told_what_waits() -> None:
    class Held(DatedOutbox):
        held = True

        async def released(self) -> None:
            await asyncio.Event().wait()

    outbox = Held(100)
    outbox.kept["records"] = [(40, None)]
    async with running(outbox, MemoryHub(VirtualClock(), until(1e9, PushError("away")))) as (engine, _):
        await go_on(5)
        assert (records(engine).backlog, records(engine).oldest) == (60, 41_000)
        assert not engine.state().connected


@virtually
async def test_when_a_hub_goes_away_amid_a_backlog_the_first_record_that_it_lacks_says_since_when() -> None:
    outbox = DatedOutbox(200_000)
    taken: list[BatchType] = []

    def takes_five(batch_type: BatchType, cursor: Cursor) -> None:
        if len(taken) == 5:
            raise PushError("away")
        taken.append(batch_type)

    async with running(outbox, MemoryHub(VirtualClock(), takes_five)) as (engine, _):
        await go_on(5)
        assert 0 < engine.unsent()[0].lo < 200_000
        assert records(engine).oldest == 1000 * (engine.unsent()[0].lo + 1)
