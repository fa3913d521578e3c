"""A site's sync through a real broker: a real buffer, the engine, the hub's consumer and door."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import msgspec

from gateway.core import codec
from gateway.core.clock import SystemClock
from gateway.core.credential import digest
from gateway.core.model import Layout, Record
from sync import wire
from sync.broker.connection import Broker
from sync.edge.amqp import AmqpTransport
from sync.edge.transport import Transport
from sync.hub.intake.amqp import LIVE_AGAIN_S, LOOK_SOON_S, PAUSE_S, Consumer
from sync.hub.intake.door import Door, Takes
from sync.hub.store.sqlite import SqliteStore
from tests.sync.parts import Listed
from tests.sync.rabbit import Vhost
from tests.values import METER

EPOCH = "0123456789abcdef"
PATIENCE_S = 60


class BrokeredHub:
    """The hub behind the broker; `store` and `door` are its own."""

    def __init__(self, store: SqliteStore, nodes: tuple[str, ...]) -> None:
        self.store = store
        self.door = Door(store, SystemClock())
        self.listed = Listed(dict.fromkeys(nodes, digest("")))  # the broker has looked at their secrets
        self.look_soon_s, self.live_again_s, self.pause_s = LOOK_SOON_S, LIVE_AGAIN_S, PAUSE_S

    def consumer(self, way: Broker, door: Takes | None = None) -> Consumer:
        return Consumer(
            way, door or self.door, self.listed, SystemClock(),
            look_soon_s=self.look_soon_s, live_again_s=self.live_again_s, pause_s=self.pause_s,
        )  # fmt: skip

    async def times(self, node: str = "node", layout: Layout = METER) -> list[int]:
        if await self.store.row_size(node, layout.id) is None:
            return []
        return [record.ts for record in await self.store.records(node, layout.id)]

    async def know(self, node: str = "node", layout: Layout = METER) -> None:
        await self.door.take(node, "layouts", str(cursor(0, 1)), msgspec.msgpack.encode(wire.Layouts([layout.encoded])))


class Ear:
    """What a node heard."""

    def __init__(self) -> None:
        self.answers: list[wire.Answer] = []

    async def hear(self, answer: wire.Answer) -> None:
        self.answers.append(answer)


@asynccontextmanager
async def hub_of(folder: Path, *nodes: str) -> AsyncIterator[BrokeredHub]:
    store = await SqliteStore.open(folder / "hub.db")
    try:
        yield BrokeredHub(store, nodes or ("node",))
    finally:
        await store.close()


@asynccontextmanager
async def running(*jobs: Awaitable[None]) -> AsyncIterator[None]:
    """Jobs that run until cancelled."""
    tasks = [asyncio.ensure_future(job) for job in jobs]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        ended = await asyncio.gather(*tasks, return_exceptions=True)
        for error in ended:
            if isinstance(error, Exception):
                raise error


@asynccontextmanager
async def exchanging(vhost: Vhost, folder: Path) -> AsyncIterator[tuple[AmqpTransport, Ear, BrokeredHub]]:
    """A node's transport, what it hears, and a hub that takes."""
    async with AsyncExitStack() as stack:
        hub = await stack.enter_async_context(hub_of(folder))
        transport = AmqpTransport(vhost.node)
        stack.push_async_callback(transport.close)
        ear = Ear()
        await stack.enter_async_context(running(hub.consumer(vhost.hub).run(), transport.run(ear.hear)))
        yield transport, ear, hub


def cursor(lo: int, hi: int) -> wire.Cursor:
    return wire.Cursor(EPOCH, lo, hi)


def batch(*records: Record) -> bytes:
    return msgspec.msgpack.encode(wire.Records([codec.encode(records, {METER.id: METER})]))


async def push(transport: Transport, records: list[Record]) -> wire.Answer:
    return await transport.push("records", cursor(records[0].ts, records[-1].ts + 1), batch(*records))


async def until(holds: Callable[[], Awaitable[bool]] | Callable[[], bool]) -> None:
    """Wait for a state."""
    async with asyncio.timeout(PATIENCE_S):
        while True:
            held = holds()
            if held if isinstance(held, bool) else await held:
                return
            await asyncio.sleep(0.01)
