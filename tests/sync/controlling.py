"""The edge's side of control in one process: real heartbeats, real commands, a real buffer."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

from gateway.buffer.buffer import Buffer
from gateway.core.clock import SystemClock
from gateway.core.model import Command
from sync import wire
from sync.edge.commands import Commands, Executor, Outcome
from sync.edge.engine import Engine
from sync.edge.heartbeat import Heartbeats
from sync.edge.https import HttpsTransport
from sync.edge.link import Link
from sync.edge.transport import Transport
from sync.hub.store.contract import Store
from tests.sync.parts import SECRET, Eager, Hub, until

NOW = SystemClock().wall_ms()
LATER = NOW + 3_600_000


def command(command_id: str, kind: str = "COUNT", **more: object) -> Command:
    return Command(command_id, kind, **{"not_after": LATER, **more})  # type: ignore[arg-type]  # of fields by name


class Site:
    """What the gateway can do, and the time that it has; `done` has the ids of what was executed."""

    def __init__(self) -> None:
        self.done: list[str] = []
        self.known = True
        self.wall = NOW
        self.ahead_s = 0.0  # of the machine's monotonic clock

    def wall_ms(self) -> int:
        return self.wall

    def monotonic_s(self) -> float:
        return SystemClock().monotonic_s() + self.ahead_s

    async def count(self, command: Command) -> Outcome:
        self.done.append(command.id)
        return Outcome(f"{len(self.done)} now")


async def facts() -> wire.Heartbeat:
    return wire.Heartbeat("1.2.3", NOW, 5.0, "kernel", problems=("one device does not answer",))


@asynccontextmanager
async def controlled(
    buffer: Buffer,
    hub: Hub,
    site: Site,
    executors: Mapping[str, Executor] | None = None,
    *,
    every_s: float = 3600,
    time_patience_s: int = 60,
) -> AsyncIterator[Link]:
    """Heartbeats, commands and events go until the block ends, which is like a crash: nothing is finished."""
    transport = HttpsTransport(str(hub.server.make_url("")), "node", SECRET)
    async with controlled_by(
        transport, buffer, site, executors, every_s=every_s, time_patience_s=time_patience_s
    ) as link:
        yield link


@asynccontextmanager
async def controlled_by(
    transport: Transport,
    buffer: Buffer,
    site: Site,
    executors: Mapping[str, Executor] | None,
    *,
    every_s: float,
    time_patience_s: int = 60,
) -> AsyncIterator[Link]:
    """The same by any transport, which is closed at the end."""
    link = Link(lambda: buffer.epoch, transport, SystemClock(), Eager())
    engine = Engine(buffer, link, SystemClock(), Eager(), push_interval_s=0.01)
    beats = Heartbeats(link, facts, every_s=every_s)
    commands = Commands(
        buffer.commands, buffer, site, executors or {"COUNT": site.count}, beats.acknowledge,
        time_patience_s=time_patience_s,
    )  # fmt: skip
    link.hear(commands.heard)
    jobs = (link.run(), engine.run(), beats.run(), commands.run())
    tasks = [asyncio.ensure_future(job) for job in jobs]
    yield link
    for task in tasks:
        task.cancel()
    for result in await asyncio.gather(*tasks, return_exceptions=True):
        assert result is None or isinstance(result, asyncio.CancelledError), result
    await transport.close()


async def states(store: Store) -> dict[str, str]:
    return {one.command.id: one.state for one in await store.control.commands("node", 99)}


async def come_to(store: Store, **wanted: str) -> None:
    """Return when the hub has these states of these commands."""

    async def there() -> bool:
        return wanted.items() <= (await states(store)).items()

    await until(there)
