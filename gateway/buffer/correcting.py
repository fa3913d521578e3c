"""Moving estimates to the times that they stand for, a segment or some frames in one transaction."""

import asyncio
import logging
from collections.abc import Iterable

import msgspec

from gateway.core import codec
from gateway.core.database import Database
from gateway.core.errors import CodecError
from gateway.core.model import UNCERTAIN, Record

FRAMES_AT_ONCE = 200

SEGMENT = "SELECT lo FROM segment WHERE boot = ? ORDER BY lo LIMIT 1"
BLOCKS = "SELECT rowid, bytes FROM block WHERE segment = ?"
CORRECT_BLOCK = "UPDATE block SET ts_min = ?, ts_max = ?, bytes = ? WHERE rowid = ?"
CORRECT_SEGMENT = "UPDATE segment SET boot = NULL WHERE lo = ?"
FRAMES = "SELECT lo, bytes FROM frame WHERE boot = ? ORDER BY lo LIMIT ?"
CORRECT_FRAME = "UPDATE frame SET bytes = ? WHERE lo = ?"
LEAVE_FRAME = "UPDATE frame SET boot = NULL WHERE lo = ?"

log = logging.getLogger(__name__)


async def correct_segment(database: Database, layouts: codec.LayoutSource, boot: int, by_ms: int) -> bool:
    """The times of one segment that carries `boot`; whether there was one. Raises StorageError."""
    segments = await database.fetch(SEGMENT, (boot,))
    for (lo,) in segments:
        blocks = [tuple(row) for row in await database.fetch(BLOCKS, (lo,))]
        moved = await asyncio.to_thread(_moved, blocks, by_ms, layouts)
        async with database.transaction() as db:
            await db.executemany(CORRECT_BLOCK, moved)
            await db.execute(CORRECT_SEGMENT, (lo,))
    return bool(segments)


async def correct_frames(database: Database, layouts: codec.LayoutSource, boot: int, by_ms: int) -> bool:
    """The times of some frames that carry `boot`; whether there were any. Raises StorageError."""
    frames = [tuple(row) for row in await database.fetch(FRAMES, (boot, FRAMES_AT_ONCE))]
    if not frames:
        return False
    moved = await asyncio.to_thread(_moved, frames, by_ms, layouts)
    async with database.transaction() as db:
        await db.executemany(CORRECT_FRAME, [(pack, lo) for _, _, pack, lo in moved])
        await db.executemany(LEAVE_FRAME, [(lo,) for lo, _ in frames])
    return True


def corrected(records: Iterable[Record], by_ms: int) -> list[Record]:
    """Those whose times are estimates, with right ones."""
    return [
        msgspec.structs.replace(r, ts=r.ts + by_ms, flags=r.flags & ~UNCERTAIN) if r.flags & UNCERTAIN else r
        for r in records
    ]


def _moved(
    packs: list[tuple[int, bytes]], by_ms: int, layouts: codec.LayoutSource
) -> list[tuple[int, int, bytes, int]]:
    """From keys and packs: first and last time, pack and key, corrected. What is damaged is left out."""
    rows = []
    for key, pack in packs:
        try:
            records = corrected(codec.decode(pack), by_ms)
        except CodecError as error:
            log.warning("times not corrected", extra={"why": str(error)})
            continue
        times = [record.ts for record in records]
        rows.append((min(times), max(times), codec.encode(records, layouts), key))
    return rows
