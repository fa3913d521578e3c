"""Random faults, one after the other, fair weather between; and a gateway without devices that can be restarted."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from random import Random
from zoneinfo import ZoneInfo

from gateway.buffer.boots import Boot
from gateway.buffer.buffer import Buffer
from gateway.config import HubLink
from gateway.core.clock import SystemClock
from gateway.core.model import Event
from gateway.core.status import SyncState
from gateway.hubfile import HubFile
from gateway.timekeeping import Timekeeper
from gateway.uplink import Uplink
from sync.broker.patience import Patience
from tests.faults import impostors
from tests.faults.proxy import WELL, Fault, Proxy
from tests.values import meter, power

FAULTS: dict[str, Fault] = {
    "nobody listens": Fault(away=True),
    "taken, and nothing goes through": Fault(up_max=0, end="silence"),
    "reset amid the head": Fault(up_max=100),
    "reset amid the body": Fault(up_max=700),
    "closed amid the body": Fault(up_max=700, end="close"),
    "half open amid the body": Fault(up_max=900, end="silence"),
    "answer lost, reset": Fault(down_max=0),
    "answer lost in silence": Fault(down_max=0, end="silence"),
    "answer cut off": Fault(down_max=200, end="close"),
    "late": Fault(delay_s=0.02),
    "slow": Fault(rate=64_000),
    "sign-in page": Fault(impostor=impostors.sign_in_page),
    "redirect": Fault(impostor=impostors.to_the_portal),
    "delivered twice": Fault(impostor=impostors.twice),
    "success without an answer": Fault(impostor=impostors.empty_success),
    "delivered, and a timeout said": Fault(impostor=impostors.gateway_timeout),
    "another batch's answer": Fault(impostor=impostors.Stale()),
}
LIES: dict[str, Fault] = {"acknowledged and thrown away": Fault(impostor=impostors.liar)}
"""What only the ledger finds."""


async def storm(proxy: Proxy, random: Random, names: Iterable[str], each_s: float, most_s: float) -> Counter[str]:
    """These of `FAULTS` and `LIES`, and fair weather after each; how often each was met.

    Each lasts until it is met, but not longer than `most_s`, and up to `each_s` beyond.
    """
    met: Counter[str] = Counter()
    for name in names:
        met[name] += await spell(proxy, (FAULTS | LIES)[name], most_s, random.uniform(0, each_s))
        await spell(proxy, WELL, most_s, random.uniform(0, each_s))
    return met


def shuffled(random: Random) -> list[str]:
    """The names of all faults and lies, in random order."""
    return random.sample([*FAULTS, *LIES], len(FAULTS) + len(LIES))


async def spell(proxy: Proxy, fault: Fault, most_s: float, beyond_s: float) -> int:
    """Have `fault` until it is met, and a while beyond; how often it was."""
    await proxy.turn(fault)
    with suppress(TimeoutError):
        async with asyncio.timeout(most_s):
            while not proxy.met:
                await asyncio.sleep(0.01)
    await asyncio.sleep(beyond_s)
    return proxy.met


@dataclass
class Edge:
    """A gateway without its devices."""

    buffer: Buffer
    uplink: Uplink

    @property
    def state(self) -> SyncState:
        return self.uplink.state()

    async def drained(self) -> None:
        """Return when the hub has acknowledged all records."""
        await self.buffer.flushed()
        while self.state.backlog or not self.state.connected:
            await asyncio.sleep(0.01)

    async def compared(self) -> None:
        """Return when a comparison of everything has found no difference."""
        differing = True
        while differing:
            before = self.state.compared_at
            self.uplink.compare()
            while self.state.compared_at == before:
                await asyncio.sleep(0.01)
            differing = bool(self.state.differing)
            await self.drained()


@asynccontextmanager
async def edge(folder: Path, link: HubLink, patience: Patience) -> AsyncIterator[Edge]:
    """From the file in `folder`, as after a start; ended as by SIGTERM."""
    async with AsyncExitStack() as stack:
        buffer = await Buffer.open(folder / "buffer.db", commit_s=0.05)
        stack.push_async_callback(buffer.close)
        machine = SystemClock()
        offset = machine.wall_ms() - machine.boottime_ms()
        clock = Timekeeper(machine, Boot(machine.boot_id, offset, offset, offset, "kernel"))
        zone, keys = ZoneInfo("UTC"), HubFile(folder / "site.yaml")
        uplink = Uplink(link, folder, buffer, clock, zone, stack, keys, patience)
        jobs = [asyncio.ensure_future(job) for job in (buffer.run(), *uplink.jobs().values())]
        try:
            yield Edge(buffer, uplink)
        finally:
            for job in jobs:
                job.cancel()
            for ended in await asyncio.gather(*jobs, return_exceptions=True):
                if not isinstance(ended, asyncio.CancelledError):
                    raise AssertionError("a job of the gateway has ended by itself") from ended


class Devices:
    """Put readings of three meters and events into whichever buffer is there; each differs from all others."""

    def __init__(self, buffer: Callable[[], Buffer | None]) -> None:
        self._buffer = buffer
        self.number = 0

    async def run(self, *, every_s: float) -> None:
        """Run until cancelled; now and then a device comes that has another layout, and a piece is sealed."""
        while True:
            if (buffer := self._buffer()) is not None:
                await self.poll(buffer)
            await asyncio.sleep(every_s)

    async def poll(self, buffer: Buffer) -> None:
        now = SystemClock().wall_ms() - 3_600_000 + self.number
        self.number += 1
        for name in ("east", "west", f"guest {self.number // 500}"):
            layout = meter(name)
            buffer.put(layout, [power(now, self.number, layout=layout)])
        if self.number % 10 == 0:
            buffer.put_event(Event(now, "noted", "east", str(self.number)))
        if self.number % 200 == 0:
            await buffer.sealing.seal()
