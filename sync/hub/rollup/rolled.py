"""Roll-ups of the hub, with the arithmetic of the edge (gateway/core/rollup.py); pure, some takes long."""

import logging
import struct
from collections.abc import Sequence
from itertools import accumulate

from gateway.core.chunk import ChunkFormat
from gateway.core.errors import CodecError
from gateway.core.model import Layout, Raw
from gateway.core.picking import Columns
from gateway.core.rollup import HOUR_MS, MINUTE_MS, Bucket, hour, renewed
from gateway.core.row import Place

NOTHING = Columns([], [], [])

log = logging.getLogger(__name__)


def columns(layout: Layout, rows: Sequence[tuple[int, bytes]], indexes: Sequence[int]) -> Columns:
    """Of records (ts, row), which are in order, the points at `indexes`; of a text all is None.

    A row that a disk has spoilt is left out: it must not stop all others.
    """
    size, starts = layout.rows.size, list(accumulate(layout.rows.widths, initial=0))
    rows = [one for one in rows if len(one[1]) == size]
    joined = b"".join([row for _, row in rows])

    def words(column: int) -> bytes:
        width = layout.rows.widths[column]
        found = bytearray(len(rows) * width)
        for weight in range(width):
            found[weight::width] = joined[starts[column] + weight :: size]
        return bytes(found)

    def values(place: Place) -> list[Raw | None]:
        if place.code.endswith("s"):
            return [None] * len(rows)
        missing = words(place.bitmap)
        found: list[Raw | None] = list(struct.unpack(f">{len(rows)}{place.code}", words(place.column)))
        if missing.count(0) == len(missing):
            return found
        return [None if bits & place.bit else value for bits, value in zip(missing, found, strict=True)]

    times = [ts for ts, _ in rows]
    return Columns(list(range(len(times))), times, [values(layout.rows.places[index]) for index in indexes])


def minutes(
    layout: Layout, begin: int, base: bytes | None, rows: Sequence[tuple[int, bytes]], indexes: Sequence[int]
) -> list[Bucket]:
    """The minutes of the hour from `begin` on: those of its records (ts, row) that are here, added to `base`.

    `base`: the chunk of what the records come to that have gone; None where none have.
    """
    points = [layout.points[index] for index in indexes]
    gone = decoded(ChunkFormat(layout, MINUTE_MS), begin, base, indexes)
    return renewed(gone, NOTHING, columns(layout, rows, indexes), points)


def chunks(
    layout: Layout, begin: int, base: bytes | None, rows: Sequence[tuple[int, bytes]], day: int, hours: bytes | None
) -> tuple[bytes, bytes]:
    """The minutes of an hour that has records, and the hours of its day with this one in its place, to be stored."""
    indexes = range(len(layout.points))
    made = minutes(layout, begin, base, rows, indexes)
    by_hour = ChunkFormat(layout, HOUR_MS)
    of_day = {bucket.ts: bucket for bucket in decoded(by_hour, day, hours, indexes)} | {
        begin: hour(made, layout.points)
    }
    packed = by_hour.encode(day, [of_day[ts] for ts in sorted(of_day)])
    return ChunkFormat(layout, MINUTE_MS).encode(begin, made), packed


def decoded(form: ChunkFormat, ts: int, chunk: bytes | None, indexes: Sequence[int]) -> list[Bucket]:
    """The buckets of a chunk that begins at `ts`; none where it is spoilt, which must not stop all others."""
    if chunk is None:
        return []
    try:
        return form.decode(ts, chunk, indexes)
    except CodecError as error:
        log.error("a roll-up cannot be read", extra={"ts": ts, "why": str(error)})
        return []
