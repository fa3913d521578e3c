"""Both ways to one hub: a broker that cannot be used does not keep a site from it."""

import asyncio
from collections.abc import AsyncIterator, Awaitable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from random import Random

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from gateway.core.clock import SystemClock
from gateway.core.credential import digest
from sync import wire
from sync.broker.connection import Broker
from sync.edge.amqp import AmqpTransport
from sync.edge.https import HttpsTransport
from sync.edge.switching import SwitchingTransport
from sync.hub.intake.ingest import Ingest
from tests.sync.brokered import BrokeredHub, hub_of, push, running, until
from tests.sync.parts import Listed
from tests.sync.rabbit import NODE_SECRET, Proxy, Rabbit, provisioned
from tests.values import power


@asynccontextmanager
async def both_ways(rabbit: Rabbit, folder: Path) -> AsyncIterator[tuple[SwitchingTransport, BrokeredHub, Proxy]]:
    """A hub with two doors; the proxy is before the broker."""
    async with AsyncExitStack() as stack:
        vhost = await stack.enter_async_context(provisioned(rabbit))
        hub = await stack.enter_async_context(hub_of(folder))
        await hub.know()
        app = web.Application()
        app.router.add_post(wire.PATH, Ingest(hub.door, Listed({"node": digest(NODE_SECRET)}), SystemClock()).handle)
        server = await stack.enter_async_context(TestServer(app))
        proxy = await stack.enter_async_context(Proxy(rabbit.port))
        way = Broker(f"amqp://127.0.0.1:{proxy.port}/{vhost.name}", "node", NODE_SECRET)
        https = HttpsTransport(str(server.make_url("")), "node", NODE_SECRET)
        transport = SwitchingTransport(AmqpTransport(way), https, Random())
        stack.push_async_callback(transport.close)
        await stack.enter_async_context(running(hub.consumer(vhost.hub).run()))
        yield transport, hub, proxy


@pytest.mark.P2
async def test_what_the_broker_does_not_take_goes_over_https_and_arrives_once(rabbit: Rabbit, tmp_path: Path) -> None:
    async with both_ways(rabbit, tmp_path) as (transport, hub, proxy):
        await push(transport, [power(1)])
        assert transport.kind == "amqp"
        proxy.stop()
        await push(transport, [power(2)])
        assert transport.kind == "https"
        await until(lambda: _is(hub.times(), [1, 2]))


@pytest.mark.P2
async def test_an_alarm_at_the_broker_turns_a_site_to_https(rabbit: Rabbit, tmp_path: Path) -> None:
    async with both_ways(rabbit, tmp_path) as (transport, hub, _):
        await push(transport, [power(1)])
        await asyncio.to_thread(rabbit.alarm, True)
        try:
            await push(transport, [power(2)])
            assert transport.kind == "https"
            await until(lambda: _is(hub.times(), [1, 2]))  # the hub goes on taking what the broker has
        finally:
            await asyncio.to_thread(rabbit.alarm, False)


async def _is(times: Awaitable[list[int]], expected: list[int]) -> bool:
    return await times == expected
