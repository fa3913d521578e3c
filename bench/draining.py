"""A gateway's way to its hub, without the rest of a gateway: drains what is in a buffer, as a process of its own."""

import asyncio
import json
import time
from argparse import ArgumentParser
from collections.abc import Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from zoneinfo import ZoneInfo

import msgspec

from bench.flat import Filler
from bench.site import NODE, SECRET
from bench.work import PUSH_S
from gateway.buffer.boots import Boot
from gateway.buffer.buffer import Buffer
from gateway.config import HubLink
from gateway.core.clock import SystemClock
from gateway.core.model import Record
from gateway.hubfile import HubFile
from gateway.timekeeping import Timekeeper
from gateway.uplink import Uplink

TICK_S = 1.0


async def drain(file: Path, url: str, *, rounds: int, live: bool) -> None:
    """Prints the seconds that it took to have the hub acknowledge everything, `rounds` times over.

    `live`: meanwhile a tick of the reference work is taken each second, as of now.
    """
    link = msgspec.convert({"url": url, "node_id": NODE, "secret": SECRET, "push_interval_s": PUSH_S}, HubLink)
    seconds, records = 0.0, 0
    machine = SystemClock()
    now = machine.wall_ms() - machine.boottime_ms()
    async with AsyncExitStack() as opened:
        buffer = await Buffer.open(file)
        opened.push_async_callback(buffer.close)
        clock = Timekeeper(machine, Boot(machine.boot_id, now, now, offset=now, source="set"))
        for _ in range(rounds):
            buffer.keep_spans("records", [(0, None)])
            await buffer.flushed()
            async with AsyncExitStack() as stack:
                uplink = Uplink(link, Path(), buffer, clock, ZoneInfo("UTC"), stack, HubFile(Path("site.yaml")))
                begun = time.perf_counter()
                tasks = [asyncio.ensure_future(job) for job in uplink.jobs().values()]
                if live:
                    tasks.append(asyncio.ensure_future(_take(buffer)))
                await _drained(uplink, buffer, tasks, live=live)
                seconds += time.perf_counter() - begun
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)
            records += buffer.head
    print(json.dumps({"seconds": seconds, "records": records, "cpu_s": time.process_time()}))


async def _drained(uplink: Uplink, buffer: Buffer, tasks: Sequence[asyncio.Future[None]], *, live: bool) -> None:
    """Until nothing is left, or with `live` no more than the live lane's. Raises what ended one of `tasks`."""
    rest = PUSH_S * 2 * 20 if live else 0
    while True:
        state = uplink.state()
        if state.acknowledged_at and state.backlog <= rest:
            return
        for task in tasks:
            if task.done():
                task.result()
        await asyncio.sleep(0.002)


async def _take(buffer: Buffer) -> None:
    """Run until cancelled."""
    filler = Filler(buffer, 0)
    while True:
        now_ms = time.time_ns() // 1_000_000
        filler.put([Record(record.layout_id, now_ms, record.row) for record in filler.tick()])
        await buffer.flushed()
        await asyncio.sleep(TICK_S)


if __name__ == "__main__":
    parser = ArgumentParser(description=__doc__)
    parser.add_argument("file", type=Path, help="a buffer that nobody has open")
    parser.add_argument("url", help="of the hub")
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--live", action="store_true")
    options = parser.parse_args()
    asyncio.run(drain(options.file, options.url, rounds=options.rounds, live=options.live))
