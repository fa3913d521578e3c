"""AMQP when something is wrong, with a real RabbitMQ: nothing is lost, doubled or believed too early."""

import asyncio
import signal
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from random import Random

import msgspec
import pytest

from gateway.buffer.buffer import Buffer
from gateway.core import codec
from gateway.core.clock import SystemClock
from gateway.core.errors import PushError
from sync import wire
from sync.broker.connection import Broker
from sync.edge.amqp import AmqpTransport
from sync.edge.engine import Engine
from sync.edge.link import Link
from sync.edge.transport import HubBusy, HubRefused
from sync.hub.intake.door import Refused
from tests.sync.brokered import BrokeredHub, cursor, exchanging, hub_of, push, running, until
from tests.sync.parts import Instead
from tests.sync.rabbit import Proxy, Rabbit, provisioned
from tests.values import METER, power


class Eager(Random):
    def uniform(self, a: float, b: float) -> float:
        return 0.02  # nearly the shortest pause that full jitter allows


@asynccontextmanager
async def gateway(folder: Path, way: Broker) -> AsyncIterator[Buffer]:
    """A buffer whose engine pushes through the broker."""
    async with AsyncExitStack() as stack:
        buffer = await Buffer.open(folder / "buffer.db")
        stack.push_async_callback(buffer.close)
        transport = AmqpTransport(way)
        stack.push_async_callback(transport.close)
        link = Link(lambda: buffer.epoch, transport, SystemClock(), Eager())
        engine = Engine(buffer, link, SystemClock(), Eager(), push_interval_s=0.01)
        await stack.enter_async_context(running(engine.run(), link.run()))
        yield buffer


async def put(buffer: Buffer, first: int, end: int) -> None:
    buffer.put(METER, [power(ms) for ms in range(first, end)])
    await buffer.flushed()


async def has(hub: BrokeredHub, end: int) -> bool:
    return len(await hub.times()) >= end


@pytest.mark.P1
@pytest.mark.P2
@pytest.mark.parametrize("end", [signal.SIGTERM, signal.SIGKILL])
async def test_a_broker_that_ends_and_starts_again_loses_and_doubles_nothing(
    rabbit: Rabbit, tmp_path: Path, end: signal.Signals
) -> None:
    async with provisioned(rabbit) as vhost, hub_of(tmp_path) as hub, gateway(tmp_path, vhost.node) as buffer:
        await asyncio.to_thread(rabbit.ctl, "eval", "mnesia:sync_log().")  # a queue that was made just now is on disk
        async with running(hub.consumer(vhost.hub).run()):
            await put(buffer, 0, 100)
            await until(lambda: has(hub, 100))
        await put(buffer, 100, 200)  # waits at the broker, or at the gateway
        await asyncio.to_thread(rabbit.stop, end)
        await put(buffer, 200, 300)
        await asyncio.to_thread(rabbit.start)
        async with running(hub.consumer(vhost.hub).run()):
            await put(buffer, 300, 400)
            await until(lambda: has(hub, 400))
            assert await hub.times() == list(range(400))


@pytest.mark.P2
async def test_connections_that_are_reset_amid_a_batch_lose_and_double_nothing(rabbit: Rabbit, tmp_path: Path) -> None:
    random = Random(7)
    async with (
        provisioned(rabbit) as vhost,
        hub_of(tmp_path) as hub,
        Proxy(rabbit.port) as near,
        Proxy(rabbit.port) as far,
        gateway(tmp_path, Broker(f"amqp://127.0.0.1:{near.port}/{vhost.name}", "node", vhost.node.password)) as buffer,
        running(hub.consumer(Broker(f"amqp://127.0.0.1:{far.port}/{vhost.name}", "hub", vhost.hub.password)).run()),
    ):
        for turn, most in enumerate((50, 300, 600, 900, 1200, 1500)):
            near.bytes_max = most
            buffer.put(METER, [power(500 * turn + ms, random.getrandbits(31)) for ms in range(500)])  # some 2 kB
            await buffer.flushed()
            if turn % 3 == 1:
                far.cut()
            await until(lambda turn=turn: has(hub, 500 * turn + 500))  # type: ignore[misc]
        assert await hub.times() == list(range(3000))
        assert near.cuts >= 3


async def test_a_hub_whose_connection_ends_before_it_acknowledges_gets_the_batch_again_and_keeps_it_once(
    rabbit: Rabbit, tmp_path: Path
) -> None:
    async with provisioned(rabbit) as vhost, hub_of(tmp_path) as hub, Proxy(rabbit.port) as proxy:
        await hub.know()
        transport = AmqpTransport(vhost.node)
        take, taken = hub.door.take, asyncio.Event()

        async def cut_after(node: str, batch_type: str, at: str, body: bytes) -> wire.Answer:
            answer = await take(node, batch_type, at, body)
            if not taken.is_set():
                taken.set()
                proxy.cut()
            return answer

        await push(transport, [power(1), power(2)])
        way = Broker(f"amqp://127.0.0.1:{proxy.port}/{vhost.name}", "hub", vhost.hub.password)
        async with running(hub.consumer(way, Instead(cut_after)).run()):
            await until(lambda: _audited(hub, [(2, 0), (0, 2)]))
        assert await hub.times() == [1, 2]
        await transport.close()


async def _audited(hub: BrokeredHub, expected: list[tuple[int, int]]) -> bool:
    rows = await hub.store._database.fetch("SELECT accepted, duplicate FROM audit WHERE type = 'records' ORDER BY id")
    return [tuple(row) for row in rows] == expected


@pytest.mark.P1
async def test_a_broker_that_is_short_of_memory_is_not_believed_and_gets_all_of_it_later(
    rabbit: Rabbit, tmp_path: Path
) -> None:
    async with provisioned(rabbit) as vhost, hub_of(tmp_path) as hub, gateway(tmp_path, vhost.node) as buffer:
        await hub.know()
        async with running(hub.consumer(vhost.hub).run()):
            await put(buffer, 0, 50)
            await until(lambda: has(hub, 50))
            transport = AmqpTransport(vhost.node)
            await asyncio.to_thread(rabbit.alarm, True)
            try:
                await put(buffer, 50, 150)
                for _ in range(3):
                    with pytest.raises(PushError, match="short of memory or disk"):
                        await push(transport, [power(9_999)])
                spans = await buffer.spans("records")
                assert spans[0][0] <= 50  # not acknowledged
            finally:
                await asyncio.to_thread(rabbit.alarm, False)
            await until(lambda: has(hub, 150))
            await until(lambda: _published(transport))
            await until(lambda: has(hub, 151))
            assert await hub.times() == [*range(150), 9_999]
            await transport.close()


async def _published(transport: AmqpTransport) -> bool:
    try:
        await push(transport, [power(9_999)])
    except PushError:
        return False
    return True


@pytest.mark.P1
async def test_a_full_queue_is_no_success_and_what_it_did_not_take_comes_when_there_is_room(
    rabbit: Rabbit, tmp_path: Path
) -> None:
    async with provisioned(rabbit) as vhost, hub_of(tmp_path) as hub, gateway(tmp_path, vhost.node) as buffer:
        await hub.know()
        await vhost.limit("ingest", 2)
        transport = AmqpTransport(vhost.node)
        pushed = 0
        with pytest.raises(HubBusy, match="full"):
            while pushed < 100:
                await push(transport, [power(pushed)])
                pushed += 1
        assert pushed >= 2
        await put(buffer, 1000, 1100)
        with pytest.raises(HubBusy, match="full"):
            await push(transport, [power(pushed)])
        async with running(hub.consumer(vhost.hub).run()):
            await until(lambda: has(hub, pushed + 100))
            assert await hub.times() == [*range(pushed), *range(1000, 1100)]
        await transport.close()


async def test_what_the_hub_refuses_for_good_comes_to_rest_at_the_gateway_and_stops_nothing(
    rabbit: Rabbit, tmp_path: Path
) -> None:
    async with provisioned(rabbit) as vhost, hub_of(tmp_path) as hub, gateway(tmp_path, vhost.node) as buffer:
        take = hub.door.take

        async def particular(node: str, batch_type: str, at: str, body: bytes) -> wire.Answer:
            """Takes no batch that holds the record of 66 ms, and does not say which record it is."""
            if batch_type == "records":
                packs = msgspec.msgpack.decode(body, type=wire.Records).packs
                if any(record.ts == 66 for pack in packs for record in codec.decode(pack)):
                    raise Refused(422, "66 is no number of ours")
            return await take(node, batch_type, at, body)

        async with running(hub.consumer(vhost.hub, Instead(particular)).run()):
            await put(buffer, 0, 100)
            await until(lambda: has(hub, 99))
            await until(lambda: buffer.quarantine.count == 1)
            assert await hub.times() == [*range(66), *range(67, 100)]


async def test_what_no_queue_takes_is_no_success(rabbit: Rabbit) -> None:
    async with provisioned(rabbit) as vhost, vhost.management() as management:
        await management.ask("DELETE", ["queues", vhost.name, "ingest"])
        transport = AmqpTransport(vhost.node)
        with pytest.raises(PushError, match="no queue") as returned:
            await push(transport, [power(1)])
        assert "amqp-provision" in returned.value.hint
        await management.ask("DELETE", ["exchanges", vhost.name, "nodes"])
        with pytest.raises(PushError, match="lacks the exchange"):
            await push(transport, [power(1)])
        await transport.close()


async def test_a_node_without_its_rights_is_refused_and_goes_on_when_it_has_them(rabbit: Rabbit) -> None:
    async with provisioned(rabbit) as vhost, vhost.management() as management:
        transport = AmqpTransport(vhost.node)
        rights = {"configure": "^$", "write": "^nodes$", "read": "^$"}
        await management.put(["permissions", vhost.name, "node"], rights | {"write": "^$"})
        for _ in range(2):
            with pytest.raises(HubRefused, match="may not do this"):
                await push(transport, [power(1)])
        await management.put(["permissions", vhost.name, "node"], rights)
        await push(transport, [power(1)])
        await transport.close()


async def test_a_broker_that_takes_the_connection_and_says_nothing_is_away(rabbit: Rabbit) -> None:
    async def swallow(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    server = await asyncio.start_server(swallow, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    transport = AmqpTransport(Broker(f"amqp://127.0.0.1:{port}/", "node", "a secret of the test"))
    pushing = asyncio.ensure_future(transport.push("records", cursor(0, 1), b""))
    async with server:
        await asyncio.wait([pushing], timeout=0.2)
        assert not pushing.done()
        pushing.cancel()
        await asyncio.gather(pushing, return_exceptions=True)
    await transport.close()


@pytest.mark.P11
async def test_a_body_that_no_gateway_sends_is_refused_and_stops_nothing(rabbit: Rabbit, tmp_path: Path) -> None:
    async with provisioned(rabbit) as vhost, exchanging(vhost, tmp_path) as (transport, ear, hub):
        await hub.know()
        await transport._publish(transport._message("records", cursor(0, 1), bytes(wire.BODY_MAX + 1)), "live")
        await push(transport, [power(1)])
        await until(lambda: has(hub, 1))
        await until(lambda: bool(ear.answers))
        assert "a body of more than" in ear.answers[0].error
