"""A site's sync in one process: a real buffer, the real engine, the real door, over real HTTP."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from random import Random

from aiohttp import web
from aiohttp.test_utils import TestServer

from gateway.buffer.buffer import Buffer
from gateway.core.clock import SystemClock
from gateway.core.credential import digest
from gateway.core.model import Layout
from gateway.timekeeping import Timekeeper
from sync import wire
from sync.edge.engine import Engine
from sync.edge.https import HttpsTransport
from sync.edge.link import Link
from sync.hub.fleet.fleet import Fleet
from sync.hub.intake.compare import Compare
from sync.hub.intake.door import Door, Takes
from sync.hub.intake.ingest import Ingest
from sync.hub.store.contract import Store
from sync.hub.store.sqlite import SqliteStore
from tests.values import METER

SECRET = "a secret of the test"


class Eager(Random):
    def uniform(self, a: float, b: float) -> float:
        return 0  # the shortest pause that full jitter allows


async def until(holds: Callable[[], bool] | Callable[[], Awaitable[bool]]) -> None:
    """Wait for a state."""
    while not (held if isinstance(held := holds(), bool) else await held):
        await asyncio.sleep(0)


class Instead:
    """Meets `Takes`: has batches go through `take`."""

    def __init__(self, take: Callable[[str, str, str, bytes], Awaitable[wire.Answer]]) -> None:
        self._take = take

    async def take(self, node: str, batch_type: str, cursor_text: str, body: bytes) -> wire.Answer:
        return await self._take(node, batch_type, cursor_text, body)


class Listed:
    """Meets `Secrets`: nodes with one secret each, for good."""

    def __init__(self, secrets: Mapping[str, str]) -> None:
        """By node id; each as SHA-256."""
        self.secrets = dict(secrets)

    async def of(self, node: str) -> Sequence[str]:
        return [self.secrets[node]] if node in self.secrets else []

    async def settle(self, node: str, newest: str) -> None: ...


class Hub:
    """A hub that can be told to misbehave: `spoil` gets the request and may answer in its place."""

    def __init__(self, store: Store) -> None:
        self.batches: list[str] = []
        self.spoil: list[Callable[[], web.Response] | str] = []
        self.timeless = False  # as where the hub itself has no idea of the time
        self.listed = Listed({"node": digest(SECRET)})
        self.use(store)
        app = web.Application(client_max_size=wire.BODY_MAX)
        app.router.add_post(wire.PATH, self._handle)
        self.server = TestServer(app)

    def use(self, store: Store) -> None:
        """Keep what comes from now on in this store."""
        self.store = store
        self.door, self.fleet = Door(store, SystemClock()), Fleet(store.control, SystemClock())
        self.door.handlers["heartbeat"] = self.fleet.heartbeat
        self.door.listeners.append(self.fleet.happened)
        self.door.handlers["ledger"] = Compare(store, SystemClock()).handle
        self.admit(self.door)

    def admit(self, door: Takes) -> None:
        """Have what comes from now on taken by this door."""
        self._ingest = Ingest(door, self.listed, SystemClock())

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        spoiled = self.spoil.pop(0) if self.spoil else None
        if callable(spoiled):
            return spoiled()
        self.batches.append(f"{request.headers[wire.BATCH_TYPE]} {request.headers[wire.CURSOR].partition(':')[2]}")
        if spoiled == "lie":  # as something in between that acknowledges and does not pass it on
            return web.json_response({"cursor": request.headers[wire.CURSOR]})
        response = await self._ingest.handle(request)
        if self.timeless:
            response.headers[wire.HUB_TIME] = "5000"
        if spoiled == "lose the answer" and request.transport is not None:
            request.transport.abort()
        return response

    async def times(self, layout: Layout = METER) -> list[int]:
        if await self.store.row_size("node", layout.id) is None:
            return []
        return [record.ts for record in await self.store.records("node", layout.id)]


@asynccontextmanager
async def site(folder: Path) -> AsyncIterator[tuple[Buffer, Hub]]:
    async with AsyncExitStack() as stack:
        buffer = await Buffer.open(folder / "buffer.db")
        stack.push_async_callback(buffer.close)
        store = await SqliteStore.open(folder / "hub.db")
        stack.push_async_callback(store.close)
        hub = Hub(store)
        await stack.enter_async_context(hub.server)
        yield buffer, hub


@asynccontextmanager
async def syncing(buffer: Buffer, hub: Hub, timekeeper: Timekeeper | None = None) -> AsyncIterator[Engine]:
    transport = HttpsTransport(str(hub.server.make_url("")), "node", SECRET, timekeeper)
    link = Link(lambda: buffer.epoch, transport, SystemClock(), Eager())
    engine = Engine(buffer, link, SystemClock(), Eager(), push_interval_s=0.01)
    task = asyncio.ensure_future(engine.run())
    yield engine
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    await transport.close()


async def synced(engine: Engine, buffer: Buffer) -> None:
    while engine.state().backlog or not engine.state().acknowledged_at or buffer.committed.reached < buffer.head:
        await asyncio.sleep(0)
