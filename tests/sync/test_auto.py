"""Transport auto with a real broker and a real hub's HTTP door: whichever way is open, each reading arrives once."""

import asyncio
import dataclasses
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from random import Random

import pytest
from aiohttp import web

from gateway.buffer.buffer import Buffer
from gateway.core.clock import SystemClock
from gateway.core.credential import digest
from gateway.running import serve
from sync import wire
from sync.broker.patience import USUAL, Patience
from sync.edge.amqp import AmqpTransport
from sync.edge.engine import Engine
from sync.edge.https import HttpsTransport
from sync.edge.link import Link
from sync.edge.switching import SwitchingTransport
from sync.hub.intake.ingest import Ingest
from tests.gateway.ports import free_port
from tests.sync.brokered import BrokeredHub, hub_of, running, until
from tests.sync.parts import SECRET, Listed
from tests.sync.rabbit import NODE_SECRET, Proxy, Rabbit, Vhost, provisioned
from tests.values import METER, power


class Eager(Random):
    def uniform(self, a: float, b: float) -> float:
        return 0.02  # nearly the shortest pause that full jitter allows


@asynccontextmanager
async def both_ways(
    folder: Path, vhost: Vhost, broker_port: int, hub: BrokeredHub, patience: Patience = USUAL
) -> AsyncIterator[tuple[Buffer, SwitchingTransport]]:
    async with AsyncExitStack() as stack:
        app = web.Application()
        app.router.add_post(wire.PATH, Ingest(hub.door, Listed({"node": digest(SECRET)}), SystemClock()).handle)
        address = await stack.enter_async_context(serve(app, "127.0.0.1", free_port(), unpack=False))
        buffer = await Buffer.open(folder / "buffer.db")
        stack.push_async_callback(buffer.close)
        way = vhost.way("node", NODE_SECRET, port=broker_port)
        amqp = AmqpTransport(dataclasses.replace(way, patience=patience))
        transport = SwitchingTransport(amqp, HttpsTransport(address, "node", SECRET), Eager())
        stack.push_async_callback(transport.close)
        link = Link(lambda: buffer.epoch, transport, SystemClock(), Eager())
        engine = Engine(buffer, link, SystemClock(), Eager(), push_interval_s=0.01)
        await stack.enter_async_context(running(engine.run(), link.run(), hub.consumer(vhost.hub).run()))
        yield buffer, transport


async def arrive(buffer: Buffer, hub: BrokeredHub, first: int, end: int) -> None:
    buffer.put(METER, [power(ms) for ms in range(first, end)])
    await buffer.flushed()

    async def all_there() -> bool:
        return len(await hub.times()) >= end

    await until(all_there)


@pytest.mark.P2
async def test_readings_go_by_https_while_the_broker_is_out_of_reach_and_by_the_broker_again(
    rabbit: Rabbit, tmp_path: Path
) -> None:
    async with provisioned(rabbit) as vhost, hub_of(tmp_path) as hub, Proxy(rabbit.port) as proxy:
        async with both_ways(tmp_path, vhost, proxy.port, hub) as (buffer, transport):
            await hub.know()
            await arrive(buffer, hub, 0, 50)
            assert transport.kind == "amqp"
            there, proxy.to = proxy.to, free_port()
            proxy.cut()
            await arrive(buffer, hub, 50, 100)
            assert transport.kind == "https"
            proxy.to = there
            await until(lambda: transport.kind == "amqp")
            await arrive(buffer, hub, 100, 150)
        assert await hub.times() == list(range(150))


@pytest.mark.P2
async def test_readings_go_by_https_while_the_broker_has_a_memory_alarm(rabbit: Rabbit, tmp_path: Path) -> None:
    async with provisioned(rabbit) as vhost, hub_of(tmp_path) as hub:
        async with both_ways(tmp_path, vhost, rabbit.port, hub, Patience(blocked_s=0.05)) as (buffer, transport):
            await hub.know()
            await arrive(buffer, hub, 0, 50)
            await asyncio.to_thread(rabbit.alarm, True)
            try:
                await arrive(buffer, hub, 50, 100)
                assert transport.kind == "https"
            finally:
                await asyncio.to_thread(rabbit.alarm, False)
            await until(lambda: transport.kind == "amqp")
            await arrive(buffer, hub, 100, 150)
        assert await hub.times() == list(range(150))
