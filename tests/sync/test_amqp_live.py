"""What is live does not queue behind a backlog at the broker, where its hub takes less than its sites send (P4)."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from gateway.core.model import Record
from sync import wire
from sync.broker import names
from sync.edge.amqp import AmqpTransport
from sync.edge.transport import LaneFull, Transport
from sync.hub.intake import provision
from sync.hub.intake.amqp import PREFETCH_BACKLOG
from tests.sync.brokered import BrokeredHub, batch, cursor, hub_of, push, running, until
from tests.sync.rabbit import ADMIN, DEFINITIONS, HUB, NODE_SECRET, Rabbit, Vhost, provisioned
from tests.sync.test_amqp_faults import gateway
from tests.values import METER, power

BACKLOG = 40  # batches


async def push_live(transport: Transport, records: list[Record]) -> None:
    await transport.push("records", cursor(records[0].ts, records[-1].ts + 1), batch(*records), live=True)


class Slow:
    """Meets `Takes`: no records but the batches that it is let take, one after the other."""

    def __init__(self, hub: BrokeredHub) -> None:
        self.taken: list[str] = []  # cursors
        self._take = hub.door.take
        self._let = asyncio.Semaphore(0)

    async def take(self, node: str, batch_type: str, at: str, body: bytes) -> wire.Answer:
        if batch_type == "records":
            await self._let.acquire()
        try:
            return await self._take(node, batch_type, at, body)
        finally:
            self.taken.append(f"{batch_type} {at}")

    async def take_another(self) -> None:
        count = len(self.taken) + 1
        self._let.release()
        await until(lambda: len(self.taken) >= count)


@pytest.mark.P4
async def test_a_live_batch_is_at_a_slow_hub_before_the_backlog_that_was_there_first(
    rabbit: Rabbit, tmp_path: Path
) -> None:
    async with provisioned(rabbit) as vhost, hub_of(tmp_path) as hub:
        await hub.know()
        slow, transport = Slow(hub), AmqpTransport(vhost.node)
        for ms in range(BACKLOG):
            await push(transport, [power(ms)])
        async with running(hub.consumer(vhost.hub, slow).run()):
            await slow.take_another()
            await push_live(transport, [power(1000)])
            while 1000 not in await hub.times():
                await slow.take_another()
                assert len(slow.taken) <= 2 + PREFETCH_BACKLOG, "those that were in hand, and it"
            for _ in range(BACKLOG + 1 - len(slow.taken)):
                await slow.take_another()
            await until(lambda: _is(hub, [*range(BACKLOG), 1000]))
        await transport.close()


@pytest.mark.P4
async def test_a_gateway_behind_a_full_queue_still_brings_what_is_new(rabbit: Rabbit, tmp_path: Path) -> None:
    """Its live lane, its events, and the layouts that the hub asks for."""
    async with provisioned(rabbit) as vhost, hub_of(tmp_path) as hub:
        slow, transport = Slow(hub), AmqpTransport(vhost.node)
        await vhost.limit("ingest", 2)
        with pytest.raises(Exception, match="full"):
            for ms in range(100):
                await push(transport, [power(ms)])
        async with gateway(tmp_path, vhost.node) as buffer, running(hub.consumer(vhost.hub, slow).run()):
            buffer.put(METER, [power(1000)])
            await buffer.flushed()
            while 1000 not in await hub.times():
                await slow.take_another()
                assert len(slow.taken) < 100
        await transport.close()


@pytest.mark.P1
async def test_what_is_live_waits_at_the_site_where_the_hub_takes_nothing_for_long(
    rabbit: Rabbit, tmp_path: Path
) -> None:
    """The queue is short: the present is not to wait for hours of small batches when the hub is back."""
    live = next(queue for queue in DEFINITIONS["queues"] if queue["name"] == names.LIVE)
    assert live["arguments"]["x-max-length"] <= 10_000
    async with provisioned(rabbit) as vhost, hub_of(tmp_path) as hub, gateway(tmp_path, vhost.node) as buffer:
        await hub.know()
        await vhost.limit(names.LIVE, 2)
        transport = AmqpTransport(vhost.node)
        pushed = 0
        with pytest.raises(LaneFull, match="full"):
            while pushed < 100:
                await push_live(transport, [power(pushed)])
                pushed += 1
        for ms in range(1000, 1100):
            buffer.put(METER, [power(ms)])
            await buffer.flushed()
        async with running(hub.consumer(vhost.hub).run()):
            await until(lambda: _is(hub, [*range(pushed), *range(1000, 1100)]))
        await transport.close()


async def provision_as_before(vhost: Vhost) -> None:
    """As the release before had it: no queue for what is live, and no right to its key."""
    async with vhost.management() as management:
        await management.ask("DELETE", ["queues", vhost.name, names.LIVE])
        for user, rights in (
            (HUB[0], {"configure": "^$", "write": "^nodes$", "read": "^(ingest|status)$"}),
            ("node", {"configure": "^$", "write": "^nodes$", "read": r"^nodes\.node\.commands$"}),
        ):
            await management.put(["permissions", vhost.name, user], rights)
        keys = {"exchange": "nodes", "write": r"^nodes\.node\.(telemetry|status)$", "read": "^$"}
        await management.put(["topic-permissions", vhost.name, "node"], keys)


@pytest.mark.P2
@pytest.mark.parametrize("lacking", ["queue", "queue and rights"])
async def test_a_broker_without_the_queue_for_what_is_live_takes_it_with_the_rest(
    rabbit: Rabbit, tmp_path: Path, lacking: str
) -> None:
    async with provisioned(rabbit) as vhost, hub_of(tmp_path) as hub:
        await hub.know()
        if lacking == "queue":
            async with vhost.management() as management:
                await management.ask("DELETE", ["queues", vhost.name, names.LIVE])
        else:
            await provision_as_before(vhost)
        transport = AmqpTransport(vhost.node)
        async with running(hub.consumer(vhost.hub).run()):
            await push_live(transport, [power(1)])
            exchange = transport._publisher._exchange
            await push_live(transport, [power(2)])
            assert transport._publisher._exchange is exchange  # it is not tried each time
            await until(lambda: _is(hub, [1, 2]))
        await transport.close()


@pytest.mark.P4
async def test_making_an_older_broker_ready_again_gives_its_nodes_the_way_for_what_is_live(
    rabbit: Rabbit, tmp_path: Path
) -> None:
    async with provisioned(rabbit) as vhost, hub_of(tmp_path) as hub:
        await hub.know()
        await provision_as_before(vhost)
        async with vhost.management() as management:
            await provision.provision(management, vhost.name, DEFINITIONS, ADMIN[0], HUB, ["node", "no user yet"])
            await management.ask("DELETE", ["queues", vhost.name, names.INGEST])
            users: list[dict[str, Any]] = await management.ask("GET", ["users"])
        assert "no user yet" not in {user["name"] for user in users}
        transport = AmqpTransport(vhost.way("node", NODE_SECRET))
        await push_live(transport, [power(1)])
        await transport.close()


@pytest.mark.P4
async def test_a_hub_takes_what_is_live_as_soon_as_the_broker_has_a_queue_for_it(
    rabbit: Rabbit, tmp_path: Path
) -> None:
    async with provisioned(rabbit) as vhost, hub_of(tmp_path) as hub:
        hub.live_again_s = 0.02
        await hub.know()
        await provision_as_before(vhost)
        async with running(hub.consumer(vhost.hub).run()):
            older = AmqpTransport(vhost.node)
            await push_live(older, [power(1)])
            await until(lambda: _is(hub, [1]))
            async with vhost.management() as management:
                await provision.provision(management, vhost.name, DEFINITIONS, ADMIN[0], HUB, ["node"])
            transport = AmqpTransport(vhost.node)
            await push_live(transport, [power(2)])
            await until(lambda: _is(hub, [1, 2]))
            await older.close()
            await transport.close()


async def _is(hub: BrokeredHub, expected: list[int]) -> bool:
    return await hub.times() == expected
