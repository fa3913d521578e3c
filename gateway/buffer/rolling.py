"""Rolling up: what was sealed goes into the minutes, and minutes that have changed into their hours."""

import logging
import sqlite3
from itertools import groupby
from typing import NamedTuple

from gateway.buffer.buckets import LayoutReader, unpacked
from gateway.core import codec
from gateway.core.database import Database
from gateway.core.model import Layout
from gateway.core.picking import Columns
from gateway.core.rollup import CHUNK_MS, DAY_MS, HOUR_MS
from gateway.core.series import in_order

CHUNKS_MAX = 300  # about so many are written in one transaction
HOURS_MAX = 480

# Times that may yet be corrected are not rolled up.
OLDEST_SEGMENT = "SELECT lo, rolled_block FROM segment WHERE rolled = 0 AND boot IS NULL ORDER BY lo LIMIT 1"
BLOCKS = "SELECT rowid, layout, bytes FROM block WHERE segment = ? AND rowid > ? ORDER BY rowid"
PUT_MINUTES = "INSERT OR REPLACE INTO rollup_1m (layout, ts, bytes) VALUES (?, ?, ?)"
PUT_HOURS = "INSERT OR REPLACE INTO rollup_1h (layout, ts, bytes) VALUES (?, ?, ?)"
MARK_STALE = "INSERT OR IGNORE INTO stale_hour (layout, hour) VALUES (?, ?)"
ROLLED_SO_FAR = "UPDATE segment SET rolled_block = ? WHERE lo = ?"
ROLLED = "UPDATE segment SET rolled = 1 WHERE lo = ?"
# The newest hour of all goes on; until it is over, charts make it of its minutes.
STALE = """SELECT layout, hour FROM stale_hour WHERE hour < (SELECT max(hour) FROM stale_hour)
    ORDER BY layout, hour LIMIT ?"""
NO_LONGER_STALE = "DELETE FROM stale_hour WHERE layout = ? AND hour = ?"

log = logging.getLogger(__name__)
ChunkRow = tuple[bytes, int, bytes]


class _Minutes(NamedTuple):
    segment: int
    last_block: int | None  # None: these are the last ones
    chunks: list[ChunkRow]


class _Hours(NamedTuple):
    stale: list[tuple[bytes, int]]
    chunks: list[ChunkRow]


class Rolling:
    """Two steps of the upkeep. A crash between two transactions leaves nothing half done, and nothing twice."""

    def __init__(self, database: Database, layouts: codec.LayoutSource) -> None:
        self.chunks_max, self.hours_max = CHUNKS_MAX, HOURS_MAX
        self._database = database
        self._layouts = layouts

    async def step_minutes(self) -> bool:
        """Roll up the oldest segment that is not, or some of its blocks; whether there was one."""
        found = await self._database.look(self._minutes)
        if found is None:
            return False
        hours = {(layout_id, ts // HOUR_MS * HOUR_MS) for layout_id, ts, _ in found.chunks}
        async with self._database.transaction() as db:
            await db.executemany(PUT_MINUTES, found.chunks)
            await db.executemany(MARK_STALE, sorted(hours))
            if found.last_block is None:
                await db.execute(ROLLED, (found.segment,))
            else:
                await db.execute(ROLLED_SO_FAR, (found.last_block, found.segment))
        return True

    async def step_hours(self) -> bool:
        """Make hours anew that are over and whose minutes have changed; whether there were any."""
        found = await self._database.look(self._hours)
        if not found.stale:
            return False
        async with self._database.transaction() as db:
            await db.executemany(PUT_HOURS, found.chunks)
            await db.executemany(NO_LONGER_STALE, found.stale)
        return True

    def _minutes(self, connection: sqlite3.Connection) -> _Minutes | None:
        segment = connection.execute(OLDEST_SEGMENT).fetchone()
        if segment is None:
            return None
        chunks: list[ChunkRow] = []
        for rowid, layout_id, pack in connection.execute(BLOCKS, segment):
            if layout_id not in self._layouts:  # a spoilt row must not keep all after it from being rolled up
                log.error("a block is of no known layout", extra={"segment": segment[0], "layout": layout_id.hex()})
                continue
            chunks += self._rolled_up(connection, self._layouts[layout_id], pack)
            if len(chunks) >= self.chunks_max:
                return _Minutes(segment[0], rowid, chunks)
        return _Minutes(segment[0], None, chunks)

    def _rolled_up(self, connection: sqlite3.Connection, layout: Layout, pack: bytes) -> list[ChunkRow]:
        wanted = layout, range(len(layout.points))
        new = in_order(unpacked(pack, [wanted]))
        if not new.times:
            log.error("a block cannot be read and is missing in charts", extra={"device": layout.device})
        reader = LayoutReader(connection, wanted, new)
        begins = sorted({ts // CHUNK_MS * CHUNK_MS for ts in new.times})
        return [(layout.id, ts, reader.chunk(ts)) for ts in begins]

    def _hours(self, connection: sqlite3.Connection) -> _Hours:
        stale = connection.execute(STALE, (self.hours_max,)).fetchall()
        chunks: list[ChunkRow] = []
        for (layout_id, day), hours in groupby(stale, key=lambda row: (row[0], row[1] // DAY_MS * DAY_MS)):
            if layout_id not in self._layouts:
                continue
            layout = self._layouts[layout_id]
            reader = LayoutReader(connection, (layout, range(len(layout.points))), Columns([], [], []))
            if chunk := reader.day(day, [ts for _, ts in hours]):
                chunks.append((layout_id, day, chunk))
        return _Hours(stale, chunks)
