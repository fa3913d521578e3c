"""How quickly a backlog reaches a hub over loopback, and how far the present lags behind meanwhile."""

import asyncio
import json
import shutil
import signal
import sqlite3
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, closing
from pathlib import Path
from typing import Any

from bench import postgres, site
from bench.figures import Figure
from bench.flat import TICKS_AT_ONCE, Filler
from bench.ports import HOST, free_ports, listening
from bench.process import Child, python, running
from bench.progress import step
from bench.work import POINTS
from gateway.buffer.buffer import Buffer

TICKS = 9000  # one a second: 7.2 million readings
ROUNDS = 3  # of the month, against the hub that keeps nothing
DAYS, MINUTE_MS = 30, 60_000
MILLION = 1e6
LAG_S = 10.0
LOOK_S = 0.25
RATE = "million readings a second"


async def measure_catchup(state: Path) -> list[Figure]:
    """The edge's side beside a bare loop, both stores of the hub, and the lag of what is new."""
    step("filling a backlog")
    await fill(state / "backlog.db", TICKS, 1000)
    step(f"filling one of {DAYS} days")
    await fill(state / "month.db", DAYS * 24 * 60, MINUTE_MS)
    figures = [await _edge(state)]
    step("draining it to a hub on SQLite")
    async with _hub(state, "sqlite") as hub:
        figures += await _drained(state, hub, "SQLite")
    if not postgres.PROGRAMS:
        figures.append(Figure("catching up, hub on PostgreSQL", RATE, None, why="the package postgresql is missing"))
    else:
        step("draining it to a hub on PostgreSQL")
        with postgres.postgres("shared_buffers=256MB") as server:
            async with _hub(state, "postgresql", await server.database("hub")) as hub:
                figures += await _drained(state, hub, "PostgreSQL")
    return [*figures, *await _lag(state)]


async def fill(file: Path, ticks: int, step_ms: int) -> None:
    """Sealed, as all of a long backlog is, and nothing rolled up; it ends a minute ago."""
    buffer = await Buffer.open(file)
    filler = Filler(buffer, step_ms, start_ms=time.time_ns() // 1_000_000 - ticks * step_ms - MINUTE_MS)
    while filler.ticks < ticks:
        for _ in range(TICKS_AT_ONCE):
            filler.put(filler.tick())
        await buffer.flushed()
        await buffer.sealing.seal()
    await buffer.close()


async def _edge(state: Path) -> Figure:
    """The gateway's side alone: the hub keeps nothing."""
    step("draining it to a hub that keeps nothing")
    port = free_ports(1)
    url, readings = f"http://{HOST}:{port}", 0
    async with running("taker", python("bench.floors.taker", port), state) as taker:
        await listening(taker, port)
        bare = await _printed(state, "bench.floors.poster", _copy(state, "month.db"), url, ROUNDS)
        own = await _printed(state, "bench.draining", _copy(state, "month.db"), url, "--rounds", ROUNDS)
    readings = own["records"] * POINTS
    floors: dict[str, float | None] = {"bare loop": readings / bare["seconds"] / MILLION}
    speed = readings / own["seconds"] / MILLION
    return Figure("catching up, the gateway's side", RATE, speed, floors, "bare loop", least=0.7)


async def _drained(state: Path, hub: "Hub", name: str) -> list[Figure]:
    used = hub.child.cpu_s()
    own = await _printed(state, "bench.draining", _copy(state, "backlog.db"), hub.url)
    readings = own["records"] * POINTS
    return [
        Figure(f"catching up, hub on {name}", RATE, readings / own["seconds"] / MILLION, least=1),
        Figure("the same: CPU of the hub", "s per million readings", (hub.child.cpu_s() - used) / readings * MILLION),
        Figure("the same: CPU of the gateway", "s per million readings", own["cpu_s"] / readings * MILLION),
    ]


async def _lag(state: Path) -> list[Figure]:
    """How old the newest reading at the hub is while a month drains: one of each device a minute, and live ones."""
    step("draining the month, with live readings beside it")
    lags: list[float] = []
    async with _hub(state, "month") as hub:
        draining = asyncio.ensure_future(_printed(state, "bench.draining", state / "month.db", hub.url, "--live"))
        while not draining.done():
            if (lag_s := await asyncio.to_thread(_lag_at, state / "hub-month" / "hub.db")) is not None:
                lags.append(lag_s)
            await asyncio.sleep(LOOK_S)
        own = await draining
    name = f"{DAYS} days draining in {own['seconds']:.0f} s"
    return [Figure(f"{name}: the present's lag at the hub, at most", "s", max(lags, default=None), most=LAG_S)]


def _lag_at(store: Path) -> float | None:
    """Seconds; None until the first live reading is there. From the hub's file: its pages are for who signs in."""
    with closing(sqlite3.connect(f"{store.absolute().as_uri()}?mode=ro", uri=True, timeout=30)) as connection:
        newest_ms = connection.execute("SELECT coalesce(max(newest), 0) FROM node").fetchone()[0]
    lag_s = time.time() - newest_ms / 1000
    return lag_s if lag_s < MINUTE_MS / 1000 else None


class Hub:
    """A running one."""

    def __init__(self, child: Child, url: str) -> None:
        self.child = child
        self.url = url


@asynccontextmanager
async def _hub(state: Path, name: str, store: str = "hub.db") -> AsyncIterator[Hub]:
    folder = state / f"hub-{name}"
    folder.mkdir()
    port = free_ports(1)
    async with AsyncExitStack() as stack:
        child = await stack.enter_async_context(site.hub(folder, port, store))
        yield Hub(child, f"http://{HOST}:{port}")


def _copy(state: Path, name: str) -> Path:
    """The backlog as it was filled: draining leaves nothing to drain."""
    return Path(shutil.copy(state / name, state / "draining.db"))


async def _printed(state: Path, module: str, *arguments: object) -> dict[str, Any]:
    """What a process of ours prints at its end."""
    async with running(module, python(module, *arguments), state) as child:
        await child.ended()
        printed: dict[str, Any] = json.loads(child.output)
        return printed


if __name__ == "__main__":
    from bench.figures import table
    from bench.wired import measure_wire

    async def _main(folder: Path) -> list[Figure]:
        task = asyncio.current_task()
        assert task is not None
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)  # ends the processes, too
        return await measure_wire(folder) + await measure_catchup(folder)

    with tempfile.TemporaryDirectory(prefix="holdfast-catchup-") as made:
        print(table(asyncio.run(_main(Path(made)))))
    sys.exit(0)
