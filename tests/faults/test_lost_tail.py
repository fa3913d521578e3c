"""Where a damaged log has cost what the hub has already, its seqs are given to others, and nothing is lost."""

import asyncio
from pathlib import Path

import pytest

from gateway.core.model import Event
from tests.faults.accounting import copied
from tests.sync.parts import Hub, site, synced, syncing
from tests.values import METER, power

PATIENCE_S = 10


async def details(hub: Hub, count: int) -> list[str]:
    """What the hub's events say, when it has so many."""
    async with asyncio.timeout(PATIENCE_S):
        while len(events := await hub.store.events("node", 1000)) < count:
            await asyncio.sleep(0)
    return sorted(event.detail for event in events)


@pytest.mark.P1
@pytest.mark.P2
async def test_what_gets_the_seqs_of_a_lost_tail_reaches_the_hub_too(tmp_path: Path) -> None:
    async with site(tmp_path) as (buffer, hub):
        async with syncing(buffer, hub) as engine:
            for number in range(10):
                buffer.put(METER, [power(number)])
                buffer.put_event(Event(number, "noted", "meter", str(number)))
                await buffer.flushed()
                await synced(engine, buffer)
                if number == 4:
                    earlier = copied(tmp_path, tmp_path / "earlier")
            await details(hub, 10)
        epoch = buffer.epoch
    (tmp_path / "hub.db").rename(earlier / "hub.db")
    async with site(earlier) as (buffer, hub):
        assert (buffer.epoch, buffer.head) == (epoch, 5)
        for number in range(100, 107):
            buffer.put(METER, [power(number)])
            buffer.put_event(Event(number, "noted", "meter", str(number)))
            await buffer.flushed()
        async with syncing(buffer, hub) as engine:
            await synced(engine, buffer)
            assert await hub.times() == [*range(10), *range(100, 107)]
            assert await details(hub, 17) == sorted(str(number) for number in [*range(10), *range(100, 107)])


async def test_spans_beyond_the_end_of_a_damaged_file_hold_up_nothing(tmp_path: Path) -> None:
    async with site(tmp_path) as (buffer, hub):
        buffer.keep_spans("records", [(40, 50), (60, None)])
        buffer.keep_spans("events", [(40, None)])
        await buffer.flushed()
        async with syncing(buffer, hub) as engine:
            await synced(engine, buffer)
            buffer.put(METER, [power(1)])
            buffer.put_event(Event(1, "noted", "meter", "first"))
            await buffer.flushed()
            await synced(engine, buffer)
            assert await hub.times() == [1]
            assert await details(hub, 1) == ["first"]
