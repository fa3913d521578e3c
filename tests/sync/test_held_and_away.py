"""The engine beside a buffer whose file is away, or that has to hold back what it has sent before."""

import asyncio
from pathlib import Path

import pytest

from gateway.buffer.buffer import Buffer
from gateway.core.model import Event
from gateway.timekeeping import Timekeeper
from sync.hub.store.sqlite import SqliteStore
from tests.machine import Machine, Process
from tests.sync.parts import Hub, site, synced, syncing
from tests.values import METER, power


@pytest.mark.P1
async def test_a_gateway_that_starts_without_its_disk_sends_as_soon_as_it_is_there(tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    buffer = await Buffer.open(disk / "buffer.db")
    store = await SqliteStore.open(tmp_path / "hub.db")
    hub = Hub(store)
    async with hub.server:
        buffer.put(METER, [power(1)])
        buffer.put_event(Event(1, "noted"))
        async with syncing(buffer, hub) as engine:
            engine.storage_pause_s = 0.01
            while not hub.batches:
                await asyncio.sleep(0)
            disk.mkdir()
            await buffer.heal()
            await buffer.flushed()
            await synced(engine, buffer)
            assert await hub.times() == [1]
            while "noted" not in [event.kind for event in await store.events("node", 9)]:
                await asyncio.sleep(0)
    await buffer.close()
    await store.close()


@pytest.mark.P5
async def test_what_must_be_corrected_after_all_is_held_back_though_much_was_sent(tmp_path: Path) -> None:
    machine = Machine()
    machine.synchronise()
    async with site(tmp_path) as (buffer, hub), syncing(buffer, hub) as engine:
        Process(machine, buffer, Timekeeper(machine, await buffer.begin_boot(machine))).clock.look()
        await buffer.upkeep.round()
        buffer.put(METER, [power(1)])
        await buffer.flushed()
        await synced(engine, buffer)
        buffer.boots.left = True  # as after a file was carried over that has estimates
        buffer.put(METER, [power(2)])
        await buffer.flushed()
        sent = len(hub.batches)
        while len(hub.batches) < sent + 3:
            await asyncio.sleep(0)
        assert await hub.times() == [1]
        await buffer.upkeep.round()
        await synced(engine, buffer)
        assert await hub.times() == [1, 2]
