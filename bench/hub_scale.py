"""What one, two and four hub processes on one PostgreSQL take, beside bare COPY of the same rows in the same run.

`python -m bench.hub_scale` prints it. Every process serves nodes of its own, over HTTP.
"""

import asyncio
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from statistics import median

import aiohttp
import asyncpg

from bench import postgres, site
from bench.catchup import MILLION, fill
from bench.figures import Figure, table
from bench.floors.poster import batches
from bench.hub_load import Batch, Senders, live_batches, records_of
from bench.measurements import LAYOUTS
from bench.ports import HOST, free_ports
from bench.process import cpu_s
from bench.progress import step
from bench.work import DEVICES, POINTS

PROCESSES = (1, 2, 4)
NODES = 16
AT_ONCE = 4  # nodes that send at the same time
TICKS = 3000  # one a second: 2.4 million readings of each node
LIVE = 200  # batches of one tick, of each node
NAME, RATE = "hub on PostgreSQL", "million readings a second"
COLUMNS = ("series", "ts", "flags", "row")
# As `record` is: what a store pays that knows each record again.
FLOOR = """DROP TABLE IF EXISTS floor; CREATE TABLE floor (ts bigint NOT NULL, series integer NOT NULL,
    flags smallint NOT NULL, row bytea NOT NULL, PRIMARY KEY (series, ts))"""
FLOOR_NO_KEY = FLOOR.replace(", PRIMARY KEY (series, ts)", "")


async def measure_hub_scale(state: Path) -> list[Figure]:
    """Each number of processes with a database of its own."""
    if not postgres.PROGRAMS:
        return [Figure(NAME, RATE, None, why="the package postgresql is missing")]
    step("filling a backlog of many nodes")
    await fill(state / "scale.db", TICKS, 1000)
    backlog, live = await batches(state / "scale.db"), await live_batches(state / "live.db", LIVE)
    figures: list[Figure] = []
    with postgres.postgres("shared_buffers=256MB", "max_wal_size=4GB") as server:
        for processes in PROCESSES:
            figures += await _measured(state, server, processes, backlog, live)
    return figures


async def _measured(
    state: Path, server: postgres.Server, processes: int, backlog: Sequence[Batch], live: Sequence[Batch]
) -> list[Figure]:
    step(f"{processes} x hub on PostgreSQL")
    address, nodes = await server.database(f"hub{processes}"), [f"node{index}" for index in range(NODES)]
    async with AsyncExitStack() as stack:
        hubs = []
        for index in range(processes):
            folder, port = state / f"hub-{processes}-{index}", free_ports(1)
            folder.mkdir()
            hubs.append((await stack.enter_async_context(site.hub(folder, port, address, nodes)), port))
        session = await stack.enter_async_context(aiohttp.ClientSession(raise_for_status=True))
        urls = {node: f"http://{HOST}:{hubs[index % processes][1]}" for index, node in enumerate(nodes)}
        senders = Senders(session, urls)
        await senders.introduce()
        floors, seconds, hubs_s, server_s = [await _copied(address, backlog)], 0.0, 0.0, 0.0
        for first in range(0, NODES, AT_ONCE):  # in turn with the floors, so that whatever else goes on hits both
            used = sum(child.cpu_s() for child, _ in hubs), cpu_s(server.pid)
            seconds += await senders.send(nodes[first : first + AT_ONCE], backlog)
            hubs_s += sum(child.cpu_s() for child, _ in hubs) - used[0]
            server_s += cpu_s(server.pid) - used[1]
            floors.append(await _copied(address, backlog))
        live_s = await senders.send(nodes[:AT_ONCE], live)
    readings = NODES * TICKS * DEVICES * POINTS
    name = f"{NAME}, {processes} process{'es' if processes > 1 else ''}"
    copied: dict[str, float | None] = {
        "COPY": median(keyed for keyed, _ in floors), "COPY without a key": median(plain for _, plain in floors)
    }  # fmt: skip
    return [
        Figure(name, RATE, readings / seconds / MILLION, copied, "COPY", least=0.5 if processes == 1 else None),
        Figure("the same: CPU of the hubs", "s per million readings", hubs_s / readings * MILLION),
        Figure("the same: CPU of PostgreSQL", "s per million readings", server_s / readings * MILLION),
        Figure(f"the same: live, {DEVICES} records each", "batches a second", AT_ONCE * len(live) / live_s),
    ]


async def _copied(address: str, backlog: Sequence[Batch]) -> tuple[float, float]:
    """Million readings a second of bare COPY, batch by batch over one connection: with a key, and without."""
    series = {layout.id: index for index, layout in enumerate(LAYOUTS)}
    rows = [[(series[r.layout_id], r.ts, r.flags, r.row) for r in records_of(batch)] for batch in backlog]
    speeds = []
    connection = await asyncpg.connect(address)
    for made in (FLOOR, FLOOR_NO_KEY):
        await connection.execute(made)
        begun = time.perf_counter()
        for batch in rows:
            await connection.copy_records_to_table("floor", records=batch, columns=COLUMNS)
        speeds.append(sum(map(len, rows)) * POINTS / (time.perf_counter() - begun) / MILLION)
    await connection.close()
    return speeds[0], speeds[1]


if __name__ == "__main__":
    with tempfile.TemporaryDirectory(prefix="holdfast-hub-scale-") as made:
        print(table(asyncio.run(measure_hub_scale(Path(made)))))
    sys.exit(0)
