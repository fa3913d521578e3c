"""Sealing: the frames of a few minutes become one block a layout, smaller and quick to chart."""

import logging
import sqlite3
from collections.abc import Sequence
from statistics import median_low
from typing import NamedTuple

from gateway.core import codec, packing
from gateway.core.database import Database
from gateway.core.errors import CodecError
from gateway.core.model import Record
from gateway.core.rollup import CHUNK_MS, DAY_MS

# Of one segment: it goes to the hub whole, in one batch.
FRAMES_MAX = 1000
RECORDS_MAX = 50_000
BYTES_MAX = 8 * 1024 * 1024  # unpacked
# Fewer wait for more of their kind, however old they are.
FRAMES_WORTH = 100
RECORDS_WORTH = 2000

OLDEST_FRAMES = "SELECT lo, hi, boot, bytes FROM frame ORDER BY lo"
APPEND_SEGMENT = "INSERT INTO segment (lo, hi, boot) VALUES (?, ?, ?)"
APPEND_BLOCK = "INSERT INTO block (segment, layout, ts_min, ts_max, count, bytes) VALUES (?, ?, ?, ?, ?, ?)"
DELETE_FRAMES = "DELETE FROM frame WHERE lo >= ? AND lo < ?"

log = logging.getLogger(__name__)
BlockRow = tuple[int, bytes, int, int, int, bytes]


class Frame(NamedTuple):
    lo: int
    hi: int
    boot: int | None
    pack: bytes
    begin: int  # when the five minutes begin in which it was taken


class Sealed(NamedTuple):
    """What takes the place of `frames` frames."""

    frames: int
    segments: list[tuple[int, int, int | None]]
    blocks: list[BlockRow]


class Sealing:
    """A step of the upkeep."""

    def __init__(self, database: Database, layouts: codec.LayoutSource) -> None:
        self._database = database
        self._layouts = layouts
        self._unreadable = 0  # frames; each is said once

    async def step(self) -> bool:
        """Seal the oldest frames up to a whole five minutes of the clock, if it is worth it; whether it was."""
        return await self._seal(everything=False) > 0

    async def seal(self) -> int:
        """Seal the oldest frames, as many as one segment takes; how many these were. Raises StorageError."""
        return await self._seal(everything=True)

    async def _seal(self, *, everything: bool) -> int:
        sealed = await self._database.look(lambda connection: self._sealed(connection, everything=everything))
        if not sealed.frames:
            return 0
        async with self._database.transaction() as db:
            span = sealed.segments[0][0], sealed.segments[-1][1]
            await db.execute(DELETE_FRAMES, span)  # first: the blocks then take the pages of the frames
            await db.executemany(APPEND_SEGMENT, sealed.segments)
            await db.executemany(APPEND_BLOCK, sealed.blocks)
        return sealed.frames

    def _sealed(self, connection: sqlite3.Connection, *, everything: bool) -> Sealed:
        frames, full = self._oldest(connection)
        count = len(frames) if everything else worth(frames, full=full)
        return sealed_from(frames[:count], self._layouts) if count else Sealed(0, [], [])

    def _oldest(self, connection: sqlite3.Connection) -> tuple[list[Frame], bool]:
        """The oldest frames that may be one segment, all of the same boot: it is corrected as a whole.

        And whether there are more behind them. What cannot be read stays where it is: another release may know it.
        """
        frames: list[Frame] = []
        size = unreadable = 0
        for lo, hi, boot, pack in connection.execute(OLDEST_FRAMES):
            try:
                frame = Frame(lo, hi, boot, pack, _begin(pack))
                size += packing.unpacked_size(pack)
            except CodecError as error:
                if frames:
                    return frames, True
                unreadable += 1
                if unreadable > self._unreadable:
                    self._unreadable = unreadable
                    log.error(
                        "a frame cannot be read and stays unsealed", extra={"lo": lo, "hi": hi, "why": str(error)}
                    )
                continue
            if frames:
                records = hi - frames[0].lo
                if boot != frames[0].boot or records > RECORDS_MAX or size > BYTES_MAX or len(frames) == FRAMES_MAX:
                    return frames, True
            frames.append(frame)
        return frames, False


def worth(frames: Sequence[Frame], *, full: bool) -> int:
    """How many of the oldest frames to seal now; 0: none yet.

    Up to where five minutes of the clock begin, so that a roll-up is written once. `full`: there
    will never be more of them that go together.
    """
    if not frames:
        return 0
    newest, cut = frames[0].begin, 0
    for index, frame in enumerate(frames):
        if frame.begin > newest:
            newest, cut = frame.begin, index
    if cut and (cut >= FRAMES_WORTH or frames[cut - 1].hi - frames[0].lo >= RECORDS_WORTH):
        return cut
    return len(frames) if full else 0


def _begin(pack: bytes) -> int:
    """When the five minutes begin in which it was taken; late records, and wrong times, are the fewer."""
    return median_low(codec.times(pack) or [0]) // CHUNK_MS * CHUNK_MS


def sealed_from(frames: Sequence[Frame], layouts: codec.LayoutSource) -> Sealed:
    """Mostly one segment; several where one frame is larger than a segment may be, as after a time without a disk."""
    records = [record for frame in frames for record in codec.decode(frame.pack)]
    size = sum(len(record.row) for record in records)
    parts = 1 + max((len(records) - 1) // RECORDS_MAX, size // BYTES_MAX)
    each = max(1, -(-len(records) // parts))
    lo, end, boot = frames[0].lo, frames[-1].hi, frames[0].boot
    sealed = Sealed(len(frames), [], [])
    for start in range(0, max(1, len(records)), each):
        part = records[start : start + each]
        hi = records[start + each].seq if start + each < len(records) else end
        sealed.segments.append((lo, hi, boot))
        sealed.blocks.extend(block_rows(lo, part, layouts))
        lo = hi
    return sealed


def block_rows(segment: int, records: Sequence[Record], layouts: codec.LayoutSource) -> list[BlockRow]:
    """A block a layout; a block a day where a device brought its log: a chart reads whole blocks."""
    groups: dict[tuple[bytes, int], list[Record]] = {}
    for record in records:
        groups.setdefault((record.layout_id, record.ts // DAY_MS), []).append(record)
    rows: list[BlockRow] = []
    for (layout_id, _), group in groups.items():
        times = [record.ts for record in group]
        rows.append((segment, layout_id, min(times), max(times), len(group), codec.encode(group, layouts)))
    return rows
