"""What a counter counted, by hours or days: sums over its buckets and of the steps between them."""

import sqlite3
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from gateway.buffer.buckets import LayoutReader
from gateway.buffer.charts import readers_of
from gateway.core.cells import size_of
from gateway.core.counters import Counted, joined
from gateway.core.history import Found
from gateway.core.model import Point
from gateway.core.rollup import CHUNK_MS, HOUR_MS, Bucket, gaps_before
from gateway.core.status import EnergyRow

LOOK_BACK = 100  # chunks of minutes in which the point may be missing before the first bucket


class _Piece(NamedTuple):
    bucket: Bucket
    counted: Counted  # in the point's unit, without its offset
    size: float


def energy(connection: sqlite3.Connection, found: Sequence[Found], bounds: Sequence[int]) -> tuple[EnergyRow, ...]:
    """What the counter counted between neighbouring `bounds`, which rise and are whole minutes; in its unit.

    What it counted since the last value before a period belongs to the period: nothing is lost between two.
    """
    pieces: list[_Piece] = []
    for reader in readers_of(connection, found, 0, -(-bounds[-1] // HOUR_MS) * HOUR_MS):
        pieces += _scaled(reader.points[0], [*_before(reader, bounds[0]), *_within(reader, bounds)])
    pieces.sort(key=lambda piece: piece.bucket.first)
    return _periods(pieces, bounds)


def _within(reader: LayoutReader, bounds: Sequence[int]) -> Iterator[Bucket]:
    """Its hours; of one that a bound parts, as where a zone is half an hour off, the minutes, while they are kept."""
    lo, hi = bounds[0], bounds[-1]
    parted = {bound // HOUR_MS * HOUR_MS for bound in bounds if bound % HOUR_MS}
    for hour in reader.hours(lo // HOUR_MS * HOUR_MS, hi):
        minutes = reader.minutes(hour.ts, hour.ts + HOUR_MS) if hour.ts in parted else []
        if minutes:
            yield from (minute for minute in minutes if lo <= minute.ts < hi)
        else:
            yield hour


def _before(reader: LayoutReader, lo: int) -> list[Bucket]:
    """The newest minute before `lo` in which the point has a value, if it is to be found."""
    begin: int | None = lo
    for _ in range(LOOK_BACK):
        begin = None if begin is None else reader.newest_before(begin)
        if begin is None:
            break
        minutes = [bucket for bucket in reader.minutes(begin, min(begin + CHUNK_MS, lo)) if bucket.cells[0]]
        if minutes:
            return minutes[-1:]
    return []


def _scaled(point: Point, buckets: Iterable[Bucket]) -> list[_Piece]:
    numerator, denominator = point.conversion[0].as_integer_ratio() if point.conversion else (1, 1)
    pieces = []
    for bucket in buckets:
        if isinstance(cell := bucket.cells[0], Counted):
            first, last, increase, recovered = (raw * numerator / denominator for raw in cell[1:])
            counted = Counted(cell.readings, first, last, increase, recovered)
            pieces.append(_Piece(bucket, counted, size_of(point) * numerator / denominator))
    return pieces


def _periods(pieces: Sequence[_Piece], bounds: Sequence[int]) -> tuple[EnergyRow, ...]:
    gaps = gaps_before([piece.bucket for piece in pieces])
    sums: list[tuple[float | None, float]] = [(None, 0.0)] * (len(bounds) - 1)
    carry: float | None = None
    for piece, gap in zip(pieces, gaps, strict=True):
        counted = piece.counted
        if carry is not None:
            counted = joined(Counted(0, carry, carry, 0.0), counted, piece.size, gap=gap)
        carry = counted.last
        period = bisect_right(bounds, piece.bucket.ts) - 1
        if 0 <= period < len(sums):
            increase, recovered = sums[period]
            sums[period] = (increase or 0.0) + counted.increase, recovered + counted.recovered
    return tuple(EnergyRow(ts, *of_period) for ts, of_period in zip(bounds, sums, strict=False))
