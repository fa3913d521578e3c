"""A thousand nodes come back at once after an outage: how do they spread, and how long until the hub has all?

`python -m bench.fleet_return` simulates them in virtual time, each with the real engine over a hub in memory that
stores one batch after the other, a few at a time, and turns away what is more, as the real one does.
"""

import argparse
import asyncio
import logging
import time
from collections import Counter
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from random import Random

from gateway.core.errors import PushError
from sync import wire
from sync.edge.engine import Engine
from sync.edge.link import Link
from sync.edge.transport import Hear, HubBusy
from tests.sync.inmemory import MemoryOutbox
from tests.virtual import START_S, VirtualClock, go_on, run_virtually

NODES = 1000
OUTAGE_S = 3600.0
RECORDS_PER_S = 2
STORE_S = 0.002  # of each batch, whatever is in it
RECORD_S = 2e-6  # and of each record: half a million a second
WAITING_MAX = 64  # batches that the hub takes in hand; others are turned away
RETRY_AFTER_S = 5


@dataclass
class Hub:
    """What all nodes reach, once it is there; times are seconds since it came back."""

    away: bool = True
    waiting: int = 0
    came: Counter[int] = field(default_factory=Counter)  # batches, by second
    turned_away: int = 0
    first_present: dict[int, float] = field(default_factory=dict)  # by node, when it showed its newest
    caught_up: dict[int, float] = field(default_factory=dict)
    back_s: float = 0.0
    free_s: float = 0.0  # when what it has in hand is stored

    async def take(self, cursor: wire.Cursor, now_s: float) -> None:
        """Raises PushError while it is away, HubBusy where it has enough in hand."""
        if self.away:
            raise PushError("connection refused")
        self.came[int(now_s - self.back_s)] += 1
        if self.waiting >= WAITING_MAX:
            self.turned_away += 1
            raise HubBusy("busy", RETRY_AFTER_S)
        self.waiting += 1
        self.free_s = max(self.free_s, now_s) + STORE_S + RECORD_S * (cursor.hi - cursor.lo)
        await go_on(self.free_s - now_s)
        self.waiting -= 1


class Way:
    """One node's transport."""

    name, kind = "hub", "https"

    def __init__(self, hub: Hub, node: int, outbox: MemoryOutbox, clock: VirtualClock) -> None:
        self._hub, self._node, self._outbox, self._clock = hub, node, outbox, clock
        self.engine: Engine | None = None

    async def push(
        self, batch_type: wire.BatchType, cursor: wire.Cursor, body: bytes, *, live: bool = False
    ) -> wire.Answer:
        await self._hub.take(cursor, self._clock.monotonic_s())
        after_s = self._clock.monotonic_s() - self._hub.back_s
        if cursor.hi > cursor.lo and self._outbox.committed.reached - cursor.hi <= 10 * RECORDS_PER_S:
            self._hub.first_present.setdefault(self._node, after_s)
        if self.engine is not None and self.engine.state().backlog - (cursor.hi - cursor.lo) <= 10 * RECORDS_PER_S:
            self._hub.caught_up.setdefault(self._node, after_s)
        return wire.Answer(str(cursor))

    async def run(self, hear: Hear) -> None:
        await asyncio.Event().wait()

    async def close(self) -> None: ...


async def simulate(nodes: int, outage_s: float, *, at_once: bool = False) -> Hub:
    """The hub as it is when every node has caught up.

    `at_once`: the outage was the nodes' own, as of their power, and they all start in the same instant.
    """
    clock, hub = VirtualClock(), Hub(away=not at_once, back_s=START_S)
    outboxes = [MemoryOutbox(at_once * round(outage_s * RECORDS_PER_S), record_bytes=1) for _ in range(nodes)]
    async with AsyncExitStack() as stack:
        tasks = await stack.enter_async_context(asyncio.TaskGroup())
        running = []
        for node, outbox in enumerate(outboxes):
            way = Way(hub, node, outbox, clock)
            link = Link(lambda: "0123456789abcdef", way, clock, Random(node))
            way.engine = Engine(outbox, link, clock, link.random, push_interval_s=5)
            running.append(tasks.create_task(way.engine.run()))
        while len(hub.caught_up) < nodes:
            await go_on(1)
            for outbox in outboxes:
                outbox.take(RECORDS_PER_S)
            if hub.away and clock.monotonic_s() - START_S >= outage_s:
                hub.away, hub.back_s = False, clock.monotonic_s()
        for task in running:
            task.cancel()
    return hub


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--nodes", type=int, default=NODES)
    parser.add_argument("--outage", type=float, default=OUTAGE_S, help="seconds")
    options = parser.parse_args()
    logging.getLogger("sync").setLevel(logging.ERROR)  # a thousand nodes that each say that the hub is away
    print(f"{options.nodes} nodes, {RECORDS_PER_S} records/s each, after an outage of {options.outage:.0f} s")
    for at_once, words in ((False, "the hub was away"), (True, "all nodes were, and start in the same instant")):
        started_s = time.monotonic()
        hub = run_virtually(simulate(options.nodes, options.outage, at_once=at_once))
        print(f"{words} (simulated in {time.monotonic() - started_s:.0f} s)")
        tell(hub)


def tell(hub: Hub) -> None:
    print(f"  most batches in one second         {max(hub.came.values()):6d}")
    print(f"  batches in the first second        {hub.came[0]:6d}")
    print(f"  turned away with 429               {hub.turned_away:6d} of {sum(hub.came.values())}")
    present = sorted(hub.first_present.values())
    print(f"  the present is shown, half after   {present[len(present) // 2]:6.1f} s, all after {present[-1]:.1f} s")
    print(f"  everything is there after          {max(hub.caught_up.values()):6.1f} s")


if __name__ == "__main__":
    main()
