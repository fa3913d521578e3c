"""Sealing: the frames of a few minutes become one block a layout, smaller and quick to chart."""

import asyncio
from itertools import takewhile

from gateway.core import codec
from gateway.core.database import Database
from gateway.core.model import Record

FEW_FRAMES = 50  # fewer left wait for the next time
FRAMES_MAX = 1000  # of one segment
RECORDS_MAX = 50_000  # of one segment: it goes to the hub whole, in one batch

OLDEST_FRAMES = "SELECT lo, hi, boot, bytes FROM frame ORDER BY lo LIMIT ?"
APPEND_SEGMENT = "INSERT INTO segment (lo, hi, boot) VALUES (?, ?, ?)"
APPEND_BLOCK = "INSERT INTO block (segment, layout, ts_min, ts_max, count, bytes) VALUES (?, ?, ?, ?, ?, ?)"
DELETE_FRAMES = "DELETE FROM frame WHERE lo >= ? AND lo < ?"

BlockRow = tuple[int, bytes, int, int, int, bytes]


class Sealing:
    """A step of the upkeep."""

    def __init__(self, database: Database, layouts: codec.LayoutSource) -> None:
        self._database = database
        self._layouts = layouts

    async def step(self) -> bool:
        """Seal the oldest frames into one segment; whether enough are left for another."""
        return await self.seal() > FEW_FRAMES

    async def seal(self) -> int:
        """How many frames were sealed, in one transaction. Raises StorageError.

        All frames of a segment have the same `boot`: it is corrected as a whole.
        """
        rows = await self._database.fetch(OLDEST_FRAMES, (FRAMES_MAX,))
        if not rows:
            return 0
        lo, boot = rows[0][0], rows[0][2]
        alike = list(takewhile(lambda row: row[2] == boot, rows))
        frames = [row for row in alike if row[1] - lo <= RECORDS_MAX] or alike[:1]
        hi = frames[-1][1]
        blocks = await asyncio.to_thread(_blocks, lo, [row[3] for row in frames], self._layouts)
        async with self._database.transaction() as db:
            await db.execute(DELETE_FRAMES, (lo, hi))  # first: the blocks then take the pages of the frames
            await db.execute(APPEND_SEGMENT, (lo, hi, boot))
            await db.executemany(APPEND_BLOCK, blocks)
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
