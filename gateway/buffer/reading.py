"""What is in the buffer by seq, for the hub; by time, for charts: charts.py."""

import asyncio

from gateway.core import codec
from gateway.core.database import Database
from gateway.core.model import Record
from gateway.core.span import Span

EPOCH = "SELECT value FROM meta WHERE key = 'epoch'"
HEAD = """SELECT max(coalesce((SELECT hi FROM frame ORDER BY lo DESC LIMIT 1), 0),
          coalesce((SELECT hi FROM segment ORDER BY lo DESC LIMIT 1), 0),
          coalesce((SELECT value + 0 FROM meta WHERE key = 'head'), 0))"""
# Both begin at the row that holds the seq asked for, by the primary key alone. One statement, for it is one snapshot:
# blocks asked for later might have gone, with their segment, into a thinner one. What no known layout explains stays
# here, and holds up nothing: a damaged file may lose a layout, and the device brings it again with its next poll.
SEGMENT_AT = """SELECT at.lo, at.hi, block.bytes FROM (SELECT lo, hi FROM segment
        WHERE lo >= coalesce((SELECT max(lo) FROM segment WHERE lo <= ?), 0) AND hi > ? AND lo < ?
        ORDER BY lo LIMIT 1) AS at
    LEFT JOIN block ON block.segment = at.lo AND EXISTS (SELECT 1 FROM layout WHERE id = block.layout)"""
FRAMES_AT = """SELECT lo, hi, bytes FROM frame
    WHERE lo >= coalesce((SELECT max(lo) FROM frame WHERE lo <= ?), 0) AND hi > ? AND lo < ? ORDER BY lo LIMIT ?"""
FRAMES_AT_ONCE = 600
SEALED_WITH = """SELECT min(block.ts_min) FROM block JOIN segment ON block.segment = segment.lo
    WHERE segment.lo = (SELECT max(lo) FROM segment WHERE lo <= ?) AND segment.hi > ?"""


async def packs(
    database: Database, layouts: codec.LayoutSource, wanted: Span, records_max: int
) -> tuple[Span, list[bytes]]:
    """The front of `wanted` as packs, and the part of it that they cover; where nothing is left that is all.

    A sealed segment goes out block by block as it is stored, whole even where `wanted` begins
    inside it: the hub knows a reading that it has. A block that a disk has spoilt goes along, for the hub looks at
    each checksum anyway: it refuses the batch, and who then cuts that to measure leaves out what cannot be read.
    Frames are merged into one pack of at most about `records_max` records.
    """
    at = (wanted.lo, wanted.lo, wanted.hi)
    # Frames first: what is sealed between the two queries is then seen twice, never not at all.
    first = await database.fetch(FRAMES_AT, (*at, 1))
    rows = await database.fetch(SEGMENT_AT, at)
    if rows and (not first or rows[0][0] <= first[0][0]):
        return Span(wanted.lo, min(rows[0][1], wanted.hi)), [block for _, _, block in rows if block is not None]
    if not first:
        return wanted, []
    frames = await database.fetch(FRAMES_AT, (*at, FRAMES_AT_ONCE))
    if not frames or frames[0][0] != first[0][0]:
        return await packs(database, layouts, wanted, records_max)  # sealed meanwhile
    return await asyncio.to_thread(_merged, [tuple(frame) for frame in frames], layouts, wanted, records_max)


async def measured_at(database: Database, seq: int) -> int:
    """The ts of the oldest record of those that were stored together with `seq`; 0 where they are gone.

    Raises StorageError.
    """
    ((oldest,),) = await database.fetch(SEALED_WITH, (seq, seq))
    if oldest is None:
        frames = await database.fetch(FRAMES_AT, (seq, seq, seq + 1, 1))
        oldest = min((record.ts for _, _, pack in frames for record in codec.readable(pack)), default=0)
    return int(oldest)


def _merged(
    frames: list[tuple[int, int, bytes]], layouts: codec.LayoutSource, wanted: Span, records_max: int
) -> tuple[Span, list[bytes]]:
    records: list[Record] = []
    reached = max(wanted.lo, frames[0][0])
    for lo, hi, pack in frames:
        # One that could not be read stayed behind when those after it were sealed: these are no frames any more.
        if lo > reached or (records and len(records) >= records_max):
            break
        found = (record for record in codec.readable(pack) if record.layout_id in layouts)
        records += [record for record in found if wanted.lo <= record.seq < wanted.hi]
        reached = min(hi, wanted.hi)
    return Span(wanted.lo, reached), [codec.encode(records, layouts)] if records else []
