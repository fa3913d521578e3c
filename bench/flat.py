"""Does it stay quick as the file grows? The same work at 1, 10 and 100 million readings in it, and charts of a year.

`python -m bench.flat` fills a file, in five minutes or so, and prints processor time at each size; the last beside
the first. The records' times are those of the reference work, one after the other; only the filling is in a hurry.
"""

import argparse
import asyncio
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from statistics import median
from typing import Any

from bench.measurements import BY_ID, LAYOUTS, START_MS, Measurements
from bench.progress import step
from bench.work import DEVICES, POINTS
from gateway.buffer.buffer import Buffer
from gateway.core.model import Record
from gateway.core.span import Span

MILLION = 1_000_000
SIZES = (1, 10, 100)  # million readings
CHART_SIZES = (4, 10, 100)  # the first holds a day of one device
TICKS_AT_ONCE = 300
TAIL_TICKS = 300
ROUNDS = 9
DAY_MS = 86_400_000
HOUR_MS = 3_600_000
YEAR_DEVICES = 4
CURSOR_RECORDS = 20_000


@dataclass(frozen=True, slots=True)
class Timed:
    """Processor milliseconds of the whole process, and how long it took."""

    cpu_ms: float
    wall_ms: float


class Filler:
    """Fills a buffer with ticks that are the same over and over, at times of their own."""

    def __init__(self, buffer: Buffer, step_ms: int, devices: int = DEVICES, start_ms: int = START_MS) -> None:
        source = Measurements()
        self._ticks = [[(r.layout_id, r.row) for r in source.tick()[:devices]] for _ in range(TICKS_AT_ONCE)]
        self._buffer = buffer
        self._step_ms = step_ms
        self._start_ms = start_ms
        self.ticks = 0

    @property
    def now_ms(self) -> int:
        return self._start_ms + self.ticks * self._step_ms

    def tick(self) -> list[Record]:
        rows = self._ticks[self.ticks % TICKS_AT_ONCE]
        self.ticks += 1
        return [Record(layout_id, self.now_ms + index % 4, row) for index, (layout_id, row) in enumerate(rows)]

    def put(self, records: list[Record]) -> None:
        for record in records:
            self._buffer.put(BY_ID[record.layout_id], [record])

    async def fill(self, ticks: int) -> None:
        """`ticks` more, sealed and rolled up, and a tail as it is between two rounds of upkeep."""
        until = self.ticks + ticks - TAIL_TICKS
        while self.ticks < until:
            self.put(list(chain.from_iterable(self.tick() for _ in range(min(TICKS_AT_ONCE, until - self.ticks)))))
            await self._buffer.flushed()
            await self._buffer.upkeep.round()
        for _ in range(TAIL_TICKS):
            await self.take()

    async def take(self) -> None:
        self.put(self.tick())
        await self._buffer.flushed()


async def timed(work: Callable[[], Awaitable[Any]]) -> Timed:
    """The median of some rounds."""
    rounds = []
    for _ in range(ROUNDS):
        cpu, wall = time.process_time(), time.perf_counter()
        await work()
        rounds.append((1000 * (time.process_time() - cpu), 1000 * (time.perf_counter() - wall)))
    return Timed(median(cpu for cpu, _ in rounds), median(wall for _, wall in rounds))


async def of_work(buffer: Buffer, filler: Filler) -> dict[str, Timed]:
    """What a gateway does all day, at the size that the file has."""

    async def acknowledge() -> None:
        buffer.keep_spans("records", [(0, 10), (buffer.head - 50, None)])
        await buffer.flushed()

    def cursor(lo: int) -> Callable[[], Awaitable[Any]]:
        return lambda: buffer.read(Span(lo, buffer.head), CURSOR_RECORDS)

    return {
        "taking a tick": await timed(filler.take),
        "cursor, oldest": await timed(cursor(0)),
        "cursor, sealed": await timed(cursor(buffer.head // 8)),
        "cursor, tail": await timed(cursor(buffer.head - 5000)),
        "acknowledging": await timed(acknowledge),
    }


async def of_charts(buffer: Buffer, filler: Filler) -> dict[str, Timed]:
    """Of one point, up to now."""

    def chart(span_ms: int) -> Callable[[], Awaitable[Any]]:
        return lambda: buffer.history(LAYOUTS[0].device, "point_2", filler.now_ms - span_ms, filler.now_ms)

    return {"chart of an hour": await timed(chart(HOUR_MS)), "chart of a day": await timed(chart(DAY_MS))}


Measure = Callable[[Buffer, Filler], Awaitable[dict[str, Timed]]]


async def flat(file: Path, sizes: Sequence[int], devices: int, measure: Measure) -> dict[int, dict[str, Timed]]:
    """By size in million readings."""
    buffer = await Buffer.open(file)
    filler, found = Filler(buffer, 1000, devices), {}
    for size in sizes:
        step(f"{devices} devices: filling up to {size} million readings")
        begun_s, had = time.process_time(), filler.ticks
        await filler.fill(size * MILLION // (devices * POINTS) - filler.ticks)
        filled = (filler.ticks - had) * devices * POINTS
        used = (time.process_time() - begun_s) / filled * MILLION
        step(f"  {used:.2f} s of processor time a million to pack, seal, roll up; {buffer.state().bytes / 1e6:.0f} MB")
        found[size] = await measure(buffer, filler)
    await buffer.close()
    return found


async def year(file: Path) -> Timed:
    """A chart of a year by hours; so that filling it takes seconds, of a few devices polled once an hour."""
    step("filling a year")
    buffer = await Buffer.open(file)
    filler = Filler(buffer, HOUR_MS, YEAR_DEVICES)
    await filler.fill(365 * DAY_MS // HOUR_MS)
    found = await timed(lambda: buffer.history(LAYOUTS[0].device, "point_2", START_MS, filler.now_ms))
    await buffer.close()
    return found


def table(found: dict[int, dict[str, Timed]]) -> str:
    """One line a kind of work, one column a size."""
    sizes = list(found)
    lines = ["".ljust(20) + "".join(f"{size} million".rjust(20) for size in sizes) + "last : first".rjust(16)]
    for name in found[sizes[0]]:
        row = [found[size][name] for size in sizes]
        cells = "".join(f"{one.cpu_ms:.2f} ({one.wall_ms:.2f})".rjust(20) for one in row)
        lines.append(f"{name.ljust(20)}{cells}{row[-1].cpu_ms / row[0].cpu_ms:15.2f}x")
    return "\n".join(lines)


async def measure_all(folder: Path, most: int) -> str:
    """`most`: million readings in the largest file."""
    work = await flat(folder / "work.db", [size for size in SIZES if size <= most], DEVICES, of_work)
    charts = await flat(folder / "charts.db", [size for size in CHART_SIZES if size <= most], 1, of_charts)
    of_year = await year(folder / "year.db")
    last = f"{'chart of a year'.ljust(20)}{f'{of_year.cpu_ms:.2f} ({of_year.wall_ms:.2f})'.rjust(20)}"
    return "\n\n".join([table(work), table(charts), last])


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.flat", description=__doc__)
    parser.add_argument("--most", type=int, default=SIZES[-1], help="million readings in the largest file")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="holdfast-flat-") as folder:
        found = asyncio.run(measure_all(Path(folder), max(CHART_SIZES[0], options.most)))
    print(f"processor ms (elapsed ms), medians of {ROUNDS}\n\n{found}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
