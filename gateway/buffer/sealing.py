"""Sealing: the frames of a few minutes become one block a layout, smaller and quick to chart."""

import asyncio
import logging

from gateway.core import codec
from gateway.core.database import Database
from gateway.core.errors import StorageError
from gateway.core.model import Record

SEAL_EVERY_S = 300
FEW_FRAMES = 50  # fewer left wait for the next time
FRAMES_MAX = 1000  # of one segment
RECORDS_MAX = 50_000  # of one segment: it goes to the hub whole, in one batch

OLDEST_FRAMES = "SELECT lo, hi, bytes FROM frame ORDER BY lo LIMIT ?"
APPEND_SEGMENT = "INSERT INTO segment (lo, hi) VALUES (?, ?)"
APPEND_BLOCK = "INSERT INTO block (segment, layout, ts_min, ts_max, count, bytes) VALUES (?, ?, ?, ?, ?, ?)"
DELETE_FRAMES = "DELETE FROM frame WHERE lo >= ? AND lo < ?"

log = logging.getLogger(__name__)
BlockRow = tuple[int, bytes, int, int, int, bytes]


async def run(database: Database, layouts: codec.LayoutSource, committing: asyncio.Lock) -> None:
    """Seal every few minutes. Run until cancelled."""
    while True:
        await asyncio.sleep(SEAL_EVERY_S)
        try:
            while await seal(database, layouts, committing) > FEW_FRAMES:
                pass
        except StorageError as error:
            log.warning("sealing failed", extra={"why": str(error)})


async def seal(database: Database, layouts: codec.LayoutSource, committing: asyncio.Lock) -> int:
    """Seal the oldest frames into one segment, in one transaction; how many frames that were.

    `committing` is held while writing: the writer has one transaction at a time.
    """
    rows = await database.fetch(OLDEST_FRAMES, (FRAMES_MAX,))
    frames = [tuple(row) for row in rows]
    if not frames:
        return 0
    lo = frames[0][0]
    frames = [frame for frame in frames if frame[1] - lo <= RECORDS_MAX] or frames[:1]
    hi = frames[-1][1]
    blocks = await asyncio.to_thread(_blocks, lo, [frame[2] for frame in frames], layouts)
    async with committing, database.transaction() as db:
        await db.execute(APPEND_SEGMENT, (lo, hi))
        await db.executemany(APPEND_BLOCK, blocks)
        await db.execute(DELETE_FRAMES, (lo, hi))
    return len(frames)


def _blocks(segment: int, frames: list[bytes], layouts: codec.LayoutSource) -> list[BlockRow]:
    by_layout: dict[bytes, list[Record]] = {}
    for frame in frames:
        for record in codec.decode(frame):
            by_layout.setdefault(record.layout_id, []).append(record)
    rows: list[BlockRow] = []
    for layout_id, records in by_layout.items():
        times = [record.ts for record in records]
        rows.append((segment, layout_id, min(times), max(times), len(records), codec.encode(records, layouts)))
    return rows
