"""What a batch weighs beside lzma of the same columns: live ones and those of a backlog, noisy and believable."""

from collections.abc import Callable, Mapping
from pathlib import Path

import msgspec

from bench import believable, measurements
from bench.figures import Figure
from bench.pushed import packed_by_lzma
from bench.work import PUSH_S
from gateway.buffer.buffer import Buffer
from gateway.core import codec
from gateway.core.model import Layout, Record
from gateway.core.span import Span
from sync import wire
from sync.edge.pieces import RECORDS_MAX

SEALED_TICKS = 300
LIVE_MOST, BACKLOG_MOST = 2.0, 1.15


async def measure_wire(state: Path) -> list[Figure]:
    """Bodies alone, without headers and TLS."""
    noisy, site = measurements.Measurements(), believable.Believable()
    return [
        *await _of(state / "noisy.db", "noisy float32", measurements.BY_ID, noisy.tick),
        *await _of(state / "believable.db", "a believable site", believable.BY_ID, site.tick),
    ]


async def _of(file: Path, name: str, layouts: Mapping[bytes, Layout], tick: Callable[[], list[Record]]) -> list[Figure]:
    buffer = await Buffer.open(file)

    async def take(ticks: int) -> None:
        for _ in range(ticks):
            for record in tick():
                buffer.put(layouts[record.layout_id], [record])
            await buffer.flushed()

    await take(PUSH_S)
    live = await _weighed(buffer, layouts)
    await take(SEALED_TICKS - PUSH_S)
    await buffer.sealing.seal()
    backlog = await _weighed(buffer, layouts)
    await buffer.close()
    unit = "bytes per reading"
    return [
        Figure(f"wire, {PUSH_S} s live, {name}", unit, live[0], {"lzma": live[1]}, "lzma", LIVE_MOST),
        Figure(f"wire, backlog, {name}", unit, backlog[0], {"lzma": backlog[1]}, "lzma", BACKLOG_MOST),
    ]


async def _weighed(buffer: Buffer, layouts: Mapping[bytes, Layout]) -> tuple[float, float]:
    """Bytes a reading of the batch with all that is there: as it is sent, and by lzma."""
    _, packs = await buffer.read(Span(0, buffer.head), RECORDS_MAX)
    records = [record for pack in packs for record in codec.decode(pack)]
    readings = sum(len(layouts[record.layout_id].points) for record in records)
    body = msgspec.msgpack.encode(wire.Records(packs))
    return len(body) / readings, len(packed_by_lzma(records, layouts)) / readings
