"""One run: everything is started, warmed up, and measured over the same window.

All subjects work at the same time, so that whatever else the machine does hits all alike. Each
reads all its devices in one burst a second, and each has its own part of the second for that:
bursts at the same instant would compete for the processors, and the longest, the gateway's, would
suffer least. The gateway's is the whole second.
"""

import json
import math
import sqlite3
import time
from contextlib import AbstractAsyncContextManager, AsyncExitStack, closing
from dataclasses import dataclass
from pathlib import Path

from bench import site
from bench.farm import Farm, devices
from bench.page import Arrival, page_reader
from bench.ports import free_ports
from bench.process import Child, Memory, python, running
from bench.progress import step, wait_until
from bench.proxy import Proxy, proxy_to
from bench.sink import Sink, sink
from bench.work import POLL_S, PUSH_S

WARM_UP_S = 10
PHASES_MS = {"read": 300, "pipe": 500}
SNAPSHOT_MS = 850  # when all have done their work of a second


@dataclass(frozen=True, slots=True)
class Snapshot:
    """All counters at one moment, by subject."""

    at: float  # wall time in seconds
    cpu_s: dict[str, float]


@dataclass(frozen=True, slots=True)
class Measured:
    """What one run gave, not yet divided by anything."""

    start: Snapshot
    end: Snapshot
    memory: dict[str, Memory]
    ticks: dict[str, list[tuple[int, int]]]  # of each floor: (wall ms, readings)
    farm: Farm
    proxy: Proxy
    sink: Sink
    arrivals: list[Arrival]
    segments: int  # that the gateway had sealed at the end


async def measure(state: Path, seconds: int) -> Measured:
    """Run for about `seconds` + 25. Everything that was started has ended, and been undone, on return."""
    async with AsyncExitStack() as stack:
        step("devices")
        farm = await stack.enter_async_context(devices(state))
        posts = await stack.enter_async_context(sink())
        step("hub and gateway")
        hub_port = free_ports(1)
        hub = await stack.enter_async_context(site.hub(state, hub_port))
        proxy = await stack.enter_async_context(proxy_to(hub_port))
        buffer = state / "buffer.db"
        page_port = free_ports(1)
        gateway = await stack.enter_async_context(site.gateway(state, buffer, farm.port, page_port, proxy.port))
        arrivals = await stack.enter_async_context(page_reader(page_port))
        step("floors")
        floors = [await stack.enter_async_context(floor) for floor in _floors(state, farm, posts)]
        children = [gateway, hub, *floors]

        await wait_until(_next_snapshot(WARM_UP_S), "warming up", children)
        start = await _snapshot(children)
        await wait_until(start.at + seconds, "measuring", children)
        end = await _snapshot(children)
        memory = {child.name: child.memory() for child in children}
        await wait_until(time.time() + PUSH_S + 2, "letting the last readings through", children)
        segments = _segments(buffer)
        for floor in floors:
            await floor.stop()
        ticks = {floor.name: [(at, count) for at, count in json.loads(floor.output)["ticks"]] for floor in floors}
        return Measured(start, end, memory, ticks, farm, proxy, posts, arrivals, segments)


def _floors(state: Path, farm: Farm, posts: Sink) -> list[AbstractAsyncContextManager[Child]]:
    own: dict[str, list[object]] = {
        "read": [],
        "pipe": ["--database", state / "pipe.db", "--sink", posts.url],
    }
    return [
        running(name, python(f"bench.floors.{name}", "--port", farm.port, "--phase-ms", PHASES_MS[name], *more), state)
        for name, more in own.items()
    ]


def _next_snapshot(after_s: float) -> float:
    """The first instant for a snapshot, at least `after_s` from now; wall time in seconds."""
    offset = SNAPSHOT_MS / 1000
    return math.ceil((time.time() + after_s - offset) / POLL_S) * POLL_S + offset


async def _snapshot(children: list[Child]) -> Snapshot:
    return Snapshot(time.time(), {child.name: child.cpu_s() for child in children})


def _segments(buffer: Path) -> int:
    """How many segments the buffer has sealed."""
    with closing(sqlite3.connect(f"file:{buffer}?mode=ro", uri=True)) as database:
        count: int = database.execute("SELECT count(*) FROM segment").fetchone()[0]
        return count
