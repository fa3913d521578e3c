"""`holdfast sim fleet`: many simulated sites push to one hub, each by the real sync engine, on its own connection.

They differ from gateways only in that their readings are made up when they are sent (simnode.py).
"""

import asyncio
import hashlib
import hmac
import logging
import math
from collections.abc import Callable, Iterable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from random import Random

from gateway import __version__
from gateway.core.clock import Clock, SystemClock
from gateway.core.errors import HoldfastError
from gateway.running import Stop, allow_connections, run_until
from gateway.simnode import SimBuffer
from sync import wire
from sync.edge.engine import Engine
from sync.edge.heartbeat import Heartbeats
from sync.edge.https import HttpsTransport
from sync.edge.link import Link
from sync.edge.tls import Tls, trust
from sync.edge.transport import Hear, LayoutsWanted, Transport

TELL_S = 10.0
DRAIN_S = 120.0  # for what is unsent when the time is over


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What the fleet does."""

    hub: str  # its address
    nodes: int
    seed: str  # of the nodes' secrets
    first: int = 1  # number of the first node: several machines may share a fleet
    points: int = 40  # of each of a node's three devices
    every_s: float = 1.0
    push_s: float = 5.0
    backlog_s: float = 0.0  # measured before it began
    run_s: float = math.inf
    fingerprint: str | None = None  # of the hub's certificate


def node_id(number: int) -> str:
    return f"sim-{number:05}"


def secret(seed: str, number: int) -> str:
    return hmac.digest(seed.encode(), node_id(number).encode(), "sha256").hex()


def entries(plan: Plan) -> Iterable[str]:
    """The lines of hub.yaml that let these nodes in."""
    yield "nodes:"
    for number in range(plan.first, plan.first + plan.nodes):
        digest = hashlib.sha256(secret(plan.seed, number).encode()).hexdigest()
        yield f"  - {{id: {node_id(number)}, secret_sha256: {digest}}}"


class Account:
    """What came of all batches, and of those since it was told last."""

    def __init__(self, clock: Clock) -> None:
        self.batches = 0
        self.failures = 0
        self.why = ""
        self._clock = clock
        self._took_s: list[float] = []
        self._since_s = clock.monotonic_s()

    def done(self, took_s: float) -> None:
        self.batches += 1
        self._took_s.append(took_s)

    def told(self) -> str:
        now_s, took = self._clock.monotonic_s(), sorted(self._took_s) or [0.0]
        rate = len(self._took_s) / max(1e-9, now_s - self._since_s)
        self._took_s, self._since_s = [], now_s
        middle, slow = 1000 * took[len(took) // 2], 1000 * took[len(took) * 95 // 100]
        failed = f"; {self.failures:,} failed, the last one: {self.why}" if self.failures else ""
        return f"{rate:,.0f} batches/s, half within {middle:,.0f} ms, 95 % within {slow:,.0f} ms{failed}"


class Watched:
    """A transport, with its batches entered in the account."""

    kind = "https"

    def __init__(self, transport: Transport, account: Account, clock: Clock) -> None:
        self.name = transport.name
        self._transport = transport
        self._account = account
        self._clock = clock

    async def push(
        self, batch_type: wire.BatchType, cursor: wire.Cursor, body: bytes, *, live: bool = False
    ) -> wire.Answer:
        began_s = self._clock.monotonic_s()
        try:
            answer = await self._transport.push(batch_type, cursor, body, live=live)
        except LayoutsWanted:  # as of every gateway that a hub never met
            raise
        except HoldfastError as error:
            self._account.failures += 1
            self._account.why = str(error)
            raise
        self._account.done(self._clock.monotonic_s() - began_s)
        return answer

    async def run(self, hear: Hear) -> None:
        await self._transport.run(hear)

    async def close(self) -> None:
        await self._transport.close()


class Node:
    """One simulated gateway."""

    def __init__(
        self, plan: Plan, number: int, tls: Tls, account: Account, clock: Clock, stack: AsyncExitStack
    ) -> None:
        self._clock, self._plan = clock, plan
        self._random = Random(number)
        begin = clock.wall_ms() - round(1000 * plan.backlog_s) - self._random.randrange(1000)
        self._began_s = clock.monotonic_s()
        self.buffer = SimBuffer(number, begin, round(1000 * plan.every_s), plan.points)
        transport = Watched(
            HttpsTransport(
                plan.hub, node_id(number), secret(plan.seed, number),
                tls=tls, long_poll=True, random=self._random,
            ),
            account, clock,
        )  # fmt: skip
        stack.push_async_callback(transport.close)
        self._link = Link(lambda: self.buffer.epoch, transport, clock, self._random)
        self.engine = Engine(self.buffer, self._link, clock, self._random, push_interval_s=plan.push_s)
        self._beats = Heartbeats(self._link, self._beat, every_s=60)

    async def run(self) -> None:
        """Until cancelled; the nodes begin one after the other, within one push interval."""
        await asyncio.sleep(self._random.uniform(0, self._plan.push_s))
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self.engine.run())
            tasks.create_task(self._link.run())
            tasks.create_task(self._beats.run())

    async def _beat(self) -> wire.Heartbeat:
        uptime_s = self._clock.monotonic_s() - self._began_s
        return wire.Heartbeat(
            __version__, self._clock.wall_ms(), uptime_s, "simulated", backlog=self.engine.state().backlog
        )


class Fleet:
    """All of them."""

    def __init__(self, plan: Plan, clock: Clock, stack: AsyncExitStack) -> None:
        self.account = Account(clock)
        self._plan, self._clock = plan, clock
        numbers, tls = range(plan.first, plan.first + plan.nodes), trust(None, plan.fingerprint)
        self._nodes = [Node(plan, number, tls, self.account, clock, stack) for number in numbers]

    @property
    def measured(self) -> int:
        return sum(node.buffer.committed.reached for node in self._nodes)

    @property
    def unsent(self) -> int:
        return sum(node.engine.state().backlog for node in self._nodes)

    def told(self) -> str:
        return f"{self.measured:,} records measured, {self.unsent:,} not acknowledged; {self.account.told()}"

    async def run(self, say: Callable[[str], None]) -> None:
        """Until the plan's time is over and all is acknowledged. Raises HoldfastError where that does not come."""
        async with asyncio.TaskGroup() as tasks:
            running = [tasks.create_task(node.run()) for node in self._nodes]
            running.append(tasks.create_task(self._tell(say)))
            end_s = self._clock.monotonic_s() + self._plan.run_s
            while (now_s := self._clock.monotonic_s()) < end_s or (self.unsent and now_s < end_s + DRAIN_S):
                if now_s < end_s:
                    self._grow()
                await asyncio.sleep(min(self._plan.every_s, 1.0))
            for task in running:
                task.cancel()
        say(f"{self.told()}; in all {self.account.batches:,} batches")
        if self.unsent:
            raise HoldfastError(f"{self.unsent:,} records were not acknowledged within {DRAIN_S:.0f} s")

    def _grow(self) -> None:
        now = self._clock.wall_ms()
        for node in self._nodes:
            node.buffer.grow(now)

    async def _tell(self, say: Callable[[str], None]) -> None:
        while True:
            await asyncio.sleep(TELL_S)
            say(self.told())


async def run_fleet(plan: Plan, say: Callable[[str], None]) -> None:
    """Run until the plan's time is over, SIGTERM or SIGINT."""
    allow_connections()
    logging.getLogger("sync.edge").setLevel(logging.ERROR)  # the account says it of all together
    stop = Stop()
    async with AsyncExitStack() as stack:
        fleet = Fleet(plan, SystemClock(), stack)
        say(f"{plan.nodes:,} nodes push to {plan.hub}")

        async def run() -> None:
            await fleet.run(say)
            stop.over()

        await run_until(stop, {"fleet": run()})
