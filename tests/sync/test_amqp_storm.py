"""Random faults on both sides of a real broker, which is killed too; when they are over, both ends hold the same."""

import asyncio
import dataclasses
import signal
from collections import Counter
from contextlib import AsyncExitStack
from pathlib import Path
from random import Random

import msgspec
import pytest

from gateway.buffer.buffer import Buffer
from gateway.config import AmqpLink, HubLink
from sync.broker.connection import Broker
from sync.broker.patience import Patience
from tests.faults.equality import assert_same
from tests.faults.impostors import Few
from tests.faults.proxy import WELL, Fault, Proxy
from tests.faults.storm import FAULTS, Devices, edge, storm
from tests.sync.brokered import BrokeredHub, hub_of, running
from tests.sync.parts import SECRET, Hub
from tests.sync.rabbit import HUB, NODE_SECRET, Rabbit, provisioned
from tests.values import METER, power

BY_BYTES = [name for name, fault in FAULTS.items() if fault.impostor is None]
PATIENCE_S = 100
# A minute of both ends' in about a second.
HASTE = Patience(
    broker_connect_s=1, broker_close_s=0.2, confirm_s=1, answer_s=2, first_s=0.01, away_max_s=0.3, refused_max_s=0.5
)
PAUSE_S = 0.1


@pytest.mark.P1
@pytest.mark.P2
async def test_a_storm_on_both_sides_of_a_broker_leaves_both_ends_the_same(rabbit: Rabbit, tmp_path: Path) -> None:
    random, met = Random(11), Counter[str]()
    here: list[Buffer] = []
    devices = Devices(lambda: here[-1] if here else None)
    async with AsyncExitStack() as stack:
        vhost = await stack.enter_async_context(provisioned(rabbit))
        to_node = await stack.enter_async_context(Proxy(("127.0.0.1", rabbit.port)))
        to_hub = await stack.enter_async_context(Proxy(("127.0.0.1", rabbit.port)))
        hub = await stack.enter_async_context(hub_of(tmp_path))
        hub.pause_s = PAUSE_S
        await stack.enter_async_context(running(hub.consumer(hasty(vhost.way(*HUB, port=to_hub.port))).run()))
        await stack.enter_async_context(asyncio.timeout(PATIENCE_S))
        link = HubLink(
            url="http://127.0.0.1:9", node_id="node", secret=NODE_SECRET, push_interval_s=0.02,
            transport="amqp", amqp=AmqpLink(url=f"amqp://127.0.0.1:{to_node.port}/{vhost.name}"),
        )  # fmt: skip
        async with running(devices.run(every_s=0.005)):
            for proxy in (to_node, to_hub):
                async with edge(tmp_path, link, HASTE) as gateway:
                    here.append(gateway.buffer)
                    met += await storm(proxy, random, random.sample(BY_BYTES, len(BY_BYTES)), 0.05, 1)
                    here.clear()
            rabbit.ctl("eval", "mnesia:sync_log().")  # what was declared a moment ago is lost in a kill otherwise
            async with edge(tmp_path, link, HASTE) as gateway:
                here.append(gateway.buffer)
                rabbit.stop(signal.SIGKILL)
                await asyncio.to_thread(rabbit.start)
                here.clear()
        for proxy in (to_node, to_hub):  # what fell silent ends
            await proxy.turn(FAULTS["nobody listens"])
            await proxy.turn(WELL)
        async with edge(tmp_path, link, HASTE) as gateway:
            await gateway.drained()
            await becomes_the_same(gateway.buffer, hub)
            assert gateway.buffer.head > 1000
    assert sum(times > 0 for times in met.values()) > len(BY_BYTES) // 2, met


@pytest.mark.P1
@pytest.mark.P2
async def test_a_backlog_that_goes_on_by_another_transport_arrives_once(rabbit: Rabbit, tmp_path: Path) -> None:
    async with AsyncExitStack() as stack:
        vhost = await stack.enter_async_context(provisioned(rabbit))
        broker = await stack.enter_async_context(Proxy(("127.0.0.1", rabbit.port)))
        hub = await stack.enter_async_context(hub_of(tmp_path))
        hub.pause_s = PAUSE_S
        http = Hub(hub.store)
        await stack.enter_async_context(http.server)
        assert http.server.port is not None
        web = await stack.enter_async_context(Proxy(("127.0.0.1", http.server.port)))
        await stack.enter_async_context(running(hub.consumer(hasty(vhost.hub)).run()))
        https = HubLink(url=web.url, node_id="node", secret=SECRET, push_interval_s=0.02)
        at = AmqpLink(url=f"amqp://127.0.0.1:{broker.port}/{vhost.name}")
        amqp = msgspec.structs.replace(https, transport="amqp", amqp=at, secret=NODE_SECRET)
        auto = msgspec.structs.replace(https, transport="auto", amqp=at)
        few = Few(2)
        await web.turn(Fault(impostor=few))
        await stock(tmp_path)
        async with edge(tmp_path, https, HASTE) as gateway, asyncio.timeout(PATIENCE_S):
            while few.left:
                await asyncio.sleep(0.01)
            left = gateway.state.backlog
            assert left > 50_000, "it was to outlive this"
        await broker.turn(Fault(rate=400_000))
        async with edge(tmp_path, amqp, HASTE) as gateway, asyncio.timeout(PATIENCE_S):
            while gateway.state.backlog > left - 1000:
                await asyncio.sleep(0.01)
            assert gateway.state.backlog > 10_000, "it was to outlive this"
        await broker.turn(Fault(away=True))
        await web.turn(WELL)
        async with edge(tmp_path, auto, HASTE) as gateway, asyncio.timeout(PATIENCE_S):
            await gateway.drained()
            await becomes_the_same(gateway.buffer, hub)


def hasty(way: Broker) -> Broker:
    return dataclasses.replace(way, patience=HASTE)


async def stock(folder: Path) -> None:
    """Have 100,000 records in a buffer that no gateway has opened yet; half of them sealed."""
    buffer, random = await Buffer.open(folder / "buffer.db"), Random(3)
    for first in range(0, 100_000, 5_000):
        buffer.put(METER, [power(ms, random.randrange(1 << 32)) for ms in range(first, first + 5_000)])
        await buffer.flushed()
        if first < 50_000:
            await buffer.sealing.seal()
    await buffer.close()


async def becomes_the_same(buffer: Buffer, hub: BrokeredHub) -> None:
    """What the broker has confirmed is on its way to the hub still."""
    while True:
        try:
            await assert_same(buffer, hub.store)
        except AssertionError:
            await asyncio.sleep(0.2)
        else:
            return
