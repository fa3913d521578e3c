"""Points of one layout from one snapshot of the file: records, minutes, hours; what is not rolled up yet is in all."""

import logging
import sqlite3
from collections.abc import Iterable, Sequence
from functools import lru_cache

from gateway.core import picking
from gateway.core.chunk import ChunkFormat
from gateway.core.errors import CodecError
from gateway.core.model import Layout
from gateway.core.picking import Columns
from gateway.core.rollup import CHUNK_MS, DAY_MS, HOUR_MS, MINUTE_MS, Bucket, hour, renewed
from gateway.core.series import between, in_order

BLOCKS_KEPT = 4  # unpacked: neighbouring chunks touch the same ones

# Blocks of more than a day are rare, and stand in an index of their own: so a day long ago is found at once.
ROLLED_BLOCKS = """SELECT block.rowid FROM block CROSS JOIN segment ON segment.lo = block.segment
    WHERE layout = :layout AND ts_max >= :lo AND ts_max < :hi + 86400000 AND ts_min < :hi
        AND (rolled = 1 OR block.rowid <= rolled_block)
    UNION ALL SELECT block.rowid FROM block CROSS JOIN segment ON segment.lo = block.segment
    WHERE layout = :layout AND ts_max - ts_min > 86400000 AND ts_max >= :hi + 86400000 AND ts_min < :hi
        AND (rolled = 1 OR block.rowid <= rolled_block)"""
BLOCK = "SELECT bytes FROM block WHERE rowid = ?"
FRESH_BLOCKS = """SELECT bytes FROM segment CROSS JOIN block ON block.segment = segment.lo
    WHERE rolled = 0 AND block.rowid > rolled_block AND layout = ? AND ts_max >= ? AND ts_min < ?"""
TAIL = "SELECT bytes FROM frame ORDER BY lo"
MINUTES = "SELECT ts, bytes FROM rollup_1m WHERE layout = ? AND ts >= ? AND ts < ? ORDER BY ts"
HOURS = "SELECT ts, bytes FROM rollup_1h WHERE layout = ? AND ts >= ? AND ts < ? ORDER BY ts"
STALE_HOURS = "SELECT hour FROM stale_hour WHERE layout = ? AND hour >= ? AND hour < ?"
NEWEST_MINUTES = "SELECT ts FROM rollup_1m WHERE layout = ? AND ts < ? ORDER BY ts DESC LIMIT 1"

log = logging.getLogger(__name__)
Wanted = tuple[Layout, Sequence[int]]


def fresh(connection: sqlite3.Connection, wanted: Sequence[Wanted], lo: int, hi: int) -> list[Columns]:
    """What is not rolled up yet of the points of each layout, in order: sealed blocks, and the tail."""
    parts: list[list[Columns]] = [[] for _ in wanted]
    for (pack,) in connection.execute(TAIL):
        for of_layout, columns in zip(parts, unpacked(pack, wanted), strict=True):
            of_layout.append(columns)
    for of_layout, one in zip(parts, wanted, strict=True):
        for (pack,) in connection.execute(FRESH_BLOCKS, (one[0].id, lo, hi)):
            of_layout.extend(unpacked(pack, [one]))
    return [between(in_order(of_layout), lo, hi) for of_layout in parts]


def unpacked(pack: bytes, wanted: Sequence[Wanted]) -> list[Columns]:
    """The points of each layout; nothing where the pack is corrupt."""
    try:
        return picking.columns(pack, wanted)
    except CodecError as error:
        log.debug("a block or frame cannot be read", extra={"why": str(error)})  # with each chart that is drawn
        return [Columns([], [], []) for _ in wanted]


class LayoutReader:
    """The points at `indexes` of one layout; times are ts in ms, ranges lo <= ts < hi."""

    def __init__(self, connection: sqlite3.Connection, wanted: Wanted, new: Columns) -> None:
        """`new`: what is not rolled up yet, in order."""
        self.layout, self._indexes = wanted
        self.points = [self.layout.points[index] for index in self._indexes]
        self._connection = connection
        self._new = new
        self._by_minute = ChunkFormat(self.layout, MINUTE_MS)
        self._by_hour = ChunkFormat(self.layout, HOUR_MS)
        self._block = lru_cache(BLOCKS_KEPT)(self._read_block)

    def records(self, lo: int, hi: int) -> Columns:
        """The records themselves."""
        return in_order([self._rolled(lo, hi), between(self._new, lo, hi)])

    def minutes(self, lo: int, hi: int) -> list[Bucket]:
        """The minutes that begin in the range."""
        first = lo // CHUNK_MS * CHUNK_MS
        touched = {ts // CHUNK_MS * CHUNK_MS for ts in between(self._new, first, hi).times}
        buckets: list[Bucket] = []
        for day in range(first, hi, DAY_MS):  # chunks have all points of the layout: two months of them are too many
            end = min(day + DAY_MS, hi)
            stored = dict(self._connection.execute(MINUTES, (self.layout.id, day, end)))
            for ts in sorted(stored.keys() | {ts for ts in touched if day <= ts < end}):
                found = self._decoded(self._by_minute, ts, stored.get(ts))
                buckets += self._renewed(ts, found) if ts in touched else found
        return [bucket for bucket in buckets if lo <= bucket.ts < hi]

    def chunk(self, ts: int) -> bytes:
        """The minutes of the chunk that begins at `ts`, as they are stored once `new` is rolled up."""
        ((_, stored),) = self._connection.execute(MINUTES, (self.layout.id, ts, ts + 1)).fetchall() or [(ts, None)]
        return self._by_minute.encode(ts, self._renewed(ts, self._decoded(self._by_minute, ts, stored)))

    def hours(self, lo: int, hi: int) -> list[Bucket]:
        """The hours that begin in the range."""
        found = self._stored_hours(lo, hi)
        touched = {ts // HOUR_MS * HOUR_MS for ts in between(self._new, lo, hi).times}
        touched |= {ts for (ts,) in self._connection.execute(STALE_HOURS, (self.layout.id, lo, hi))}
        found |= self._made_hours(touched, found)
        return [found[ts] for ts in sorted(found) if lo <= ts < hi]

    def day(self, ts: int, stale: Iterable[int]) -> bytes:
        """The hours of the day that begins at `ts`, as they are stored once those that are `stale` are made anew."""
        found = self._stored_hours(ts, ts + DAY_MS)
        found |= self._made_hours(stale, found)
        return self._by_hour.encode(ts, [found[ts] for ts in sorted(found)]) if found else b""

    def newest_before(self, ts: int) -> int | None:
        """When the newest chunk of minutes begins that has something before `ts`."""
        new = between(self._new, 0, ts).times[-1:]
        begins = [begin for (begin,) in self._connection.execute(NEWEST_MINUTES, (self.layout.id, ts))]
        return max(begins + [newest // CHUNK_MS * CHUNK_MS for newest in new], default=None)

    def _renewed(self, ts: int, stored: Sequence[Bucket]) -> list[Bucket]:
        new = between(self._new, ts, ts + CHUNK_MS)
        return renewed(stored, self._rolled(ts, ts + CHUNK_MS), new, self.points)

    def _rolled(self, lo: int, hi: int) -> Columns:
        """The records that are rolled up already."""
        found = self._connection.execute(ROLLED_BLOCKS, {"layout": self.layout.id, "lo": lo, "hi": hi}).fetchall()
        return in_order([between(self._block(rowid), lo, hi) for (rowid,) in found])

    def _read_block(self, rowid: int) -> Columns:
        ((pack,),) = self._connection.execute(BLOCK, (rowid,))
        return in_order(unpacked(pack, [(self.layout, self._indexes)]))

    def _stored_hours(self, lo: int, hi: int) -> dict[int, Bucket]:
        chunks = self._connection.execute(HOURS, (self.layout.id, lo // DAY_MS * DAY_MS, hi))
        return {bucket.ts: bucket for ts, chunk in chunks for bucket in self._decoded(self._by_hour, ts, chunk)}

    def _made_hours(self, wanted: Iterable[int], stored: dict[int, Bucket]) -> dict[int, Bucket]:
        """The hours made of their minutes; where minutes have gone since, what is stored knows more."""
        made = {}
        for ts in wanted:
            minutes = self.minutes(ts, ts + HOUR_MS)
            if minutes and (ts not in stored or sum(bucket.records for bucket in minutes) >= stored[ts].records):
                made[ts] = hour(minutes, self.points)
        return made

    def _decoded(self, form: ChunkFormat, ts: int, chunk: bytes | None) -> list[Bucket]:
        if chunk is None:
            return []
        try:
            return form.decode(ts, chunk, self._indexes)
        except CodecError as error:
            log.debug("a roll-up cannot be read", extra={"layout": self.layout.id.hex(), "ts": ts, "why": str(error)})
            return []
