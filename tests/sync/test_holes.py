"""While the buffer is being sent: what is there reaches the hub, and what is not there holds nothing up."""

import asyncio
import sqlite3
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path
from random import Random

import pytest

from gateway.buffer.buffer import Buffer
from gateway.buffer.retention import Limits
from gateway.core import codec
from gateway.core.clock import SystemClock
from gateway.core.database import Database
from gateway.core.span import Span
from gateway.timekeeping import Timekeeper
from sync.edge.engine import Engine
from sync.edge.https import HttpsTransport
from sync.edge.link import Link
from tests.buffer.stocked import START_MS, StandingClock, opened, store
from tests.machine import Machine, Process
from tests.stored import everything
from tests.sync.parts import SECRET, site, synced, syncing
from tests.values import METER, power


@pytest.mark.P1
async def test_records_that_are_thinned_while_they_are_read_for_the_hub_are_not_passed_over(tmp_path: Path) -> None:
    """Between any two queries that reading makes, and after them."""
    for after in (1, 2):
        folder = tmp_path / str(after)
        folder.mkdir()
        database = Interrupted(folder / "b.db", "gateway.buffer", page_size=1024)
        buffer = Buffer(database, 1, Limits(hub=True), StandingClock())
        await buffer.heal()
        for begin in range(START_MS, START_MS + 300_000, 100_000):
            await store(buffer, range(begin, begin + 100_000, 1000))
        database.interrupt(after, partial(thin_two_segments, buffer))
        covered, packs = await buffer.read(Span(100, 200), 1000)
        seqs = {record.seq for pack in packs for record in codec.decode(pack)}
        left = {record.seq for record in await everything(buffer)} & set(range(covered.lo, covered.hi))
        assert 0 < len(left) < 100, "it was thinned"
        assert left <= seqs
        await buffer.close()


class Interrupted(Database):
    """Once something else happens amid what is read."""

    queries = 0

    def interrupt(self, after: int, happening: Callable[[], Awaitable[None]]) -> None:
        """After so many queries from now on."""
        self.queries, self.happening = after, happening

    async def fetch(self, query: str, parameters: tuple[object, ...] = ()) -> list[sqlite3.Row]:
        rows = await super().fetch(query, parameters)
        self.queries -= 1
        if self.queries == 0:
            await self.happening()
        return rows


async def thin_two_segments(buffer: Buffer) -> None:
    """The oldest, of which the second is read; as where the budget was lowered."""
    buffer.keeping.limits = Limits(budget=1, hub=True)
    for _ in range(2):
        assert await buffer.keeping.step()


@pytest.mark.P2
async def test_records_that_are_gone_do_not_hold_up_the_rest_nor_is_the_hub_asked_for_ever(tmp_path: Path) -> None:
    """As where keep_days took all before a hub was named, or a damaged file gave back only a part."""
    async with site(tmp_path) as (buffer, hub):
        for begin in range(START_MS, START_MS + 300_000, 100_000):
            await store(buffer, range(begin, begin + 100_000, 1000))
        await buffer.keeping._delete([(0, 100), (200, 300)])
        buffer.keep_spans("records", [(0, 50), (150, 250), (260, 290), (300, None)])
        await buffer.flushed()
        async with syncing(buffer, hub) as engine:
            await synced(engine, buffer)
            sent = len(hub.batches)
            buffer.put(METER, [power(1)])
            await buffer.flushed()
            await synced(engine, buffer)
        assert sent < 10
        assert len(await hub.times()) == 100 + 1  # a segment is sent whole


@pytest.mark.P1
async def test_spans_of_a_file_that_was_set_aside_are_not_taken_for_the_new_ones(tmp_path: Path) -> None:
    async with site(tmp_path) as (buffer, hub):
        buffer.put(METER, [power(number) for number in range(100)])
        await buffer.flushed()
        buffer._database.damage = "as the check finds it"
        await buffer._opening._set_aside()
        await buffer._database.connect()  # a new file, which nothing is in yet
        buffer.keep_spans("records", [(100, None)])  # as one who took its emptiness for the hub's having it all
        await buffer._opening._attach()
        await buffer.upkeep.round()
        async with syncing(buffer, hub) as engine:
            await synced(engine, buffer)
        assert await hub.times() == list(range(100))


@pytest.mark.P5
async def test_estimates_that_a_repair_brings_late_are_corrected_before_they_are_sent(tmp_path: Path) -> None:
    machine = Machine()
    async with site(tmp_path) as (buffer, hub):
        hub.timeless = True
        process = Process(machine, buffer, Timekeeper(machine, await buffer.begin_boot(machine)))
        await process.poll_for(0, 60)
        await buffer.flushed()
        buffer._database.damage = "as the check finds it"
        await buffer.heal()
        buffer._repair._rounds_off = 1  # its layouts could not be read: their devices are waited for
        machine.synchronise()
        process.clock.look()
        await buffer.upkeep.round()
        async with syncing(buffer, hub, process.clock) as engine:
            await process.poll_for(60, 1)
            await buffer.flushed()
            await synced(engine, buffer)
            while buffer._repair.carrying:
                await buffer._repair.step()
            await process.poll_for(61, 1)
            await buffer.flushed()
            sent = len(hub.batches)
            while len(hub.batches) < sent + 3:  # of records, or of signs of life
                await asyncio.sleep(0)
            await buffer.upkeep.round()
            await synced(engine, buffer)
        records = await hub.store.records("node", METER.id)
        assert {record.flags for record in records} == {0}
        assert {METER.rows.unpack(record.row)[0]: record.ts for record in records} == process.true
        assert len(records) == 62


@pytest.mark.P1
async def test_a_buffer_that_cannot_be_opened_yet_does_not_end_the_engine(tmp_path: Path) -> None:
    async with site(tmp_path) as (buffer, hub):
        await buffer._database.close()
        transport = HttpsTransport(str(hub.server.make_url("")), "node", SECRET)
        link = Link(lambda: buffer.epoch, transport, SystemClock(), Random())
        engine = Engine(buffer, link, SystemClock(), Random(), push_interval_s=0.01)
        task = asyncio.ensure_future(engine.run())
        while not engine.state().connected and not task.done():
            await asyncio.sleep(0)
        assert not task.done()
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await transport.close()
        await buffer._opening._attach()


@pytest.mark.P1
async def test_opening_the_file_again_and_again_does_not_give_up_what_is_carried_over(tmp_path: Path) -> None:
    """As a disk that fails for a while has it; only a process that ends over it is counted."""
    buffer = await opened(tmp_path)
    await store(buffer, range(START_MS, START_MS + 100_000, 1000))
    buffer._database.damage = "as the check finds it"
    await buffer.heal()
    for _ in range(5):
        await buffer._opening._attach()
    await buffer.upkeep.round()
    assert len(await everything(buffer)) == 100
    await buffer.close()
