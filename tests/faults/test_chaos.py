"""Random faults between gateway and hub; when they are over, both ends hold exactly the same."""

import asyncio
import socket
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from random import Random
from typing import Literal

import pytest

from gateway.buffer.buffer import Buffer
from gateway.config import AmqpLink, HubLink
from sync.broker.patience import Patience
from sync.hub.store.sqlite import SqliteStore
from tests.faults.equality import assert_same
from tests.faults.proxy import WELL, Proxy
from tests.faults.storm import FAULTS, LIES, Devices, Edge, edge, shuffled, storm
from tests.sync.parts import SECRET, Hub

PATIENCE_S = 60
# A minute of the gateway's in less than a second.
HASTE = Patience(
    connect_s=0.2, answer_s=0.4, slowest=1e6, poll_s=1, first_s=0.005, away_max_s=0.2, refused_max_s=0.4
)  # fmt: skip


@asynccontextmanager
async def hub_behind(folder: Path) -> AsyncIterator[tuple[Hub, Proxy]]:
    store = await SqliteStore.open(folder / "hub.db")
    hub = Hub(store)
    async with hub.server:
        assert hub.server.port is not None
        async with Proxy(("127.0.0.1", hub.server.port)) as proxy:
            yield hub, proxy
    await store.close()


def behind(proxy: Proxy, folder: Path) -> AbstractAsyncContextManager[Edge]:
    link = HubLink(url=proxy.url, node_id="node", secret=SECRET, push_interval_s=0.02)
    return edge(folder, link, HASTE)


@pytest.mark.P1
@pytest.mark.P2
@pytest.mark.parametrize("name", FAULTS)
async def test_what_is_kept_during_a_fault_arrives_once_when_it_is_over(tmp_path: Path, name: str) -> None:
    async with hub_behind(tmp_path) as (hub, proxy), asyncio.timeout(PATIENCE_S):
        await proxy.turn(FAULTS[name])
        async with behind(proxy, tmp_path) as gateway:
            devices = Devices(lambda: gateway.buffer)
            for _ in range(300):
                await devices.poll(gateway.buffer)
            while proxy.met < 5 and not (FAULTS[name].away and gateway.state.error):
                await devices.poll(gateway.buffer)
                await asyncio.sleep(0.001)
            await proxy.turn(FAULTS["nobody listens"])  # what was open, and half open, ends
            await proxy.turn(WELL)
            await everything_arrived(gateway.buffer, hub)
            await gateway.drained()
            await assert_same(gateway.buffer, hub.store)


@pytest.mark.parametrize("transport", ["https", "amqp"])
async def test_a_gateway_waits_for_a_silent_hub_or_broker_no_longer_than_it_is_told_to(
    tmp_path: Path, transport: Literal["https", "amqp"]
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        link = HubLink(
            url=f"http://127.0.0.1:{port}", node_id="node", secret=SECRET, push_interval_s=0.02,
            transport=transport, amqp=AmqpLink(url=f"amqp://127.0.0.1:{port}"),
        )  # fmt: skip
        patience = Patience(answer_s=0.01, broker_connect_s=0.01, broker_close_s=0.01, away_max_s=0.5)
        async with edge(tmp_path, link, patience) as gateway, asyncio.timeout(10):
            while "no answer" not in gateway.state.error:
                await asyncio.sleep(0.01)
            assert gateway.uplink.link.backoff().patience == patience


@pytest.mark.P10
async def test_what_a_proxy_acknowledged_in_the_hubs_place_is_found_and_sent_again(tmp_path: Path) -> None:
    async with hub_behind(tmp_path) as (hub, proxy), behind(proxy, tmp_path) as gateway:
        async with asyncio.timeout(PATIENCE_S):
            devices = Devices(lambda: gateway.buffer)
            for fault in (WELL, *LIES.values(), WELL):
                await proxy.turn(fault)
                for _ in range(300):
                    await devices.poll(gateway.buffer)
                await gateway.drained()
                assert proxy.met
            with pytest.raises(AssertionError, match="are not at the hub"):
                await assert_same(gateway.buffer, hub.store)
            await gateway.compared()
            await everything_arrived(gateway.buffer, hub)
            await assert_same(gateway.buffer, hub.store)


async def everything_arrived(buffer: Buffer, hub: Hub) -> None:
    """All events are at the hub; records are waited for by `Edge.drained`."""
    await buffer.flushed()
    while len(await hub.store.events("node", 1 << 40)) < buffer.events_committed.reached:
        await asyncio.sleep(0.01)


@pytest.mark.P1
@pytest.mark.P2
async def test_a_storm_of_faults_and_restarts_leaves_both_ends_the_same(tmp_path: Path) -> None:
    random, met = Random(7), Counter[str]()
    running: list[Buffer] = []
    devices = Devices(lambda: running[-1] if running else None)
    async with hub_behind(tmp_path) as (hub, proxy), asyncio.timeout(PATIENCE_S):
        polling = asyncio.ensure_future(devices.run(every_s=0.002))
        for _ in range(3):
            async with behind(proxy, tmp_path) as gateway:
                running.append(gateway.buffer)
                met += await storm(proxy, random, shuffled(random), 0.05, 1)
                running.clear()
        polling.cancel()
        async with behind(proxy, tmp_path) as gateway:
            await gateway.drained()
            await gateway.compared()
            await everything_arrived(gateway.buffer, hub)
            await assert_same(gateway.buffer, hub.store)
            assert gateway.buffer.head > 1000
    assert {name for name in FAULTS | LIES if not met[name]} <= {"nobody listens"}, met
