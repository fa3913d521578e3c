"""A buffer with history in it, sealed and rolled up, as the tests of retention want it."""

import hashlib
from pathlib import Path

from gateway.buffer.buffer import Buffer
from gateway.buffer.retention import Limits
from gateway.core.clock import Clock
from gateway.core.model import Layout, Record
from gateway.core.rollup import HOUR_MS
from tests.values import METER

START_MS = 1_800_000_000_000 // HOUR_MS * HOUR_MS


class StandingClock:
    """Wall time that goes on only when it is told to."""

    def __init__(self) -> None:
        self.now_ms = START_MS

    def wall_ms(self) -> int:
        return self.now_ms

    def monotonic_s(self) -> float:
        return self.now_ms / 1000


def watts(ts: int, *, layout: Layout = METER) -> Record:
    """A record whose power cannot be compressed."""
    noise = hashlib.blake2b(f"{ts} {layout.device}".encode(), digest_size=6).digest()
    return Record(layout.id, ts, bytes(1) + noise)


async def opened(folder: Path, limits: Limits | None = None, clock: Clock | None = None) -> Buffer:
    return await Buffer.open(folder / "b.db", limits=limits, clock=clock or StandingClock())


async def store(buffer: Buffer, times: range, *, layout: Layout = METER, rolled: bool = True) -> None:
    """One segment with a record at each of `times`; when it is there, the time is that of the last."""
    buffer.put(layout, [watts(ts, layout=layout) for ts in times])
    await buffer.flushed()
    await buffer.sealing.seal()
    if isinstance(clock := buffer.keeping.clock, StandingClock):
        clock.now_ms = max(clock.now_ms, times[-1])
    if rolled:
        await roll_up(buffer)


async def roll_up(buffer: Buffer) -> None:
    """As if the roll-ups were made."""
    async with buffer._database.transaction() as db:
        await db.execute("UPDATE segment SET rolled = 1 WHERE boot IS NULL")


async def upkeep(buffer: Buffer) -> None:
    """A round."""
    await buffer.upkeep.round()


async def acknowledge(buffer: Buffer, lo: int) -> None:
    """The hub has everything below `lo`, and the buffer knows."""
    buffer.keep_spans("records", [(lo, None)])
    await buffer.flushed()
