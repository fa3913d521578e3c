"""After the clock was set back, its times come a second time: no two records of a layout may share one.

The hub tells records apart by layout and time, so what would share one is moved by a millisecond, or a few. The
times that are taken are looked up an hour at a time, and only while they come again; how long that is, the file
remembers.
"""

import asyncio
import contextlib
from collections.abc import Iterable

import msgspec

from gateway.core import codec
from gateway.core.database import Database
from gateway.core.errors import CodecError
from gateway.core.model import BACKFILLED, DATED, UNCERTAIN, Record

AHEAD_MS = 3_600_000
BACK_MS = 60_000  # what was stamped just before the step was noticed
NOT_OURS = DATED | BACKFILLED | UNCERTAIN  # dated by others, or corrected later

UNTIL = "SELECT value + 0 FROM meta WHERE key = 'overlap_until'"
KEEP_UNTIL = "INSERT OR REPLACE INTO meta (key, value) VALUES ('overlap_until', ?)"
FORGET = "DELETE FROM meta WHERE key = 'overlap_until'"
# Layout by layout, so that the index by time finds them: a commit waits for this. Blocks of more than a day are rare,
# and stand in an index of their own.
BLOCKS = """SELECT bytes FROM layout CROSS JOIN block ON layout = layout.id
    WHERE ts_max >= ?1 AND ts_max <= ?2 + 86400000 AND ts_min <= ?2
    UNION ALL SELECT bytes FROM layout CROSS JOIN block ON layout = layout.id
    WHERE ts_max - ts_min > 86400000 AND ts_max > ?2 + 86400000 AND ts_min <= ?2"""
FRAMES = "SELECT bytes FROM frame"

Taken = set[tuple[bytes, int]]
"""Layout and time of records."""


class Overlap:
    """Nothing to do, until `begin`."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._until_ms: int | None = None
        self._kept = False  # `_until_ms`, in the file
        self._looked = 0, -1  # the times of which `_taken` knows
        self._taken: Taken = set()

    async def load(self) -> None:
        """Go on where the last process was. Raises StorageError."""
        for (until_ms,) in await self._database.fetch(UNTIL):
            self._until_ms, self._kept = until_ms, True

    def begin(self, until_ms: int) -> None:
        """Times up to `until_ms` may come again."""
        if self._until_ms is None or until_ms > self._until_ms:
            self._until_ms, self._kept = until_ms, False

    async def apart(self, records: list[Record]) -> list[Record]:
        """`records`, each at a time that no other of its layout has. Raises StorageError."""
        ours = [record.ts for record in records if not record.flags & NOT_OURS]
        if self._until_ms is None or not ours:
            return records
        if min(ours) > self._until_ms:
            await self._end()
            return records
        await self._look(min(ours), max(ours))
        beside: Taken = set()
        moved = []
        for record in records:
            ts = record.ts
            while not record.flags & NOT_OURS and ((key := (record.layout_id, ts)) in self._taken or key in beside):
                ts += 1
            beside.add((record.layout_id, ts))
            moved.append(record if ts == record.ts else msgspec.structs.replace(record, ts=ts))
        return moved

    def took(self, records: Iterable[Record]) -> None:
        """`records` are on the disk."""
        if self._until_ms is not None:
            self._taken |= _keys(records)

    async def _look(self, first_ms: int, last_ms: int) -> None:
        if not self._kept:
            async with self._database.transaction() as db:
                await db.execute(KEEP_UNTIL, (str(self._until_ms),))
            self._kept = True
        if self._looked[0] <= first_ms and last_ms < self._looked[1]:
            return
        since_ms, until_ms = first_ms - BACK_MS, last_ms + AHEAD_MS
        rows = await self._database.fetch(FRAMES)  # first: what is sealed in between is seen twice, never not at all
        rows += await self._database.fetch(BLOCKS, (since_ms, until_ms))
        self._taken = await asyncio.to_thread(_taken, [pack for (pack,) in rows], since_ms, until_ms)
        self._looked = since_ms, until_ms

    async def _end(self) -> None:
        if self._kept:
            async with self._database.transaction() as db:
                await db.execute(FORGET)
        self._until_ms, self._taken, self._looked = None, set(), (0, -1)


def _keys(records: Iterable[Record]) -> Taken:
    return {(record.layout_id, record.ts) for record in records}


def _taken(packs: list[bytes], since_ms: int, until_ms: int) -> Taken:
    taken: Taken = set()
    for pack in packs:
        with contextlib.suppress(CodecError):  # a damaged one goes to nobody
            taken |= {key for key in _keys(codec.decode(pack)) if since_ms <= key[1] <= until_ms}
    return taken
