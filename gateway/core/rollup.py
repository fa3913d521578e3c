"""Roll-ups: what the records of one layout come to by minute and by hour.

They are a function of the set of records alone, whatever the order in which these came: of records with
the same time only the first counts, sums are exact before they are rounded once (`math.fsum`), and an
hour is made of its minutes. All values are as the device holds them; scales stay in the layout.
"""

from bisect import bisect_left
from collections import Counter
from collections.abc import Sequence
from itertools import pairwise
from math import isfinite
from typing import NamedTuple, cast

from gateway.core.cells import Cell, State, cell_maker, crossed, follow, lagging, whole
from gateway.core.counters import Counted
from gateway.core.model import Point, Raw
from gateway.core.picking import Columns
from gateway.core.series import beside, between, in_order

MINUTE_MS, HOUR_MS, DAY_MS = 60_000, 3_600_000, 86_400_000
CHUNK_MS = 5 * MINUTE_MS  # of minutes that are stored together; hours are by the day, all in UTC
GAP_MIN_MS = 5 * MINUTE_MS  # no readings for longer than this, and for some of their intervals: a downtime
INTERVALS_MISSED = 2.5


class Bucket(NamedTuple):
    """A minute or an hour of one layout that has records."""

    ts: int  # when it begins
    records: int
    first: int  # ts of the first and of the last record
    last: int
    cells: list[Cell]


def minutes(series: Columns, points: Sequence[Point]) -> list[Bucket]:
    """The minutes of `series`, whose values are those of `points`."""
    times = series.times
    if not times:
        return []
    cuts, start = [], 0
    while start < len(times):
        ts = times[start] // MINUTE_MS * MINUTE_MS
        stop = bisect_left(times, ts + MINUTE_MS, start)
        cuts.append((ts, start, stop))
        start = stop
    columns = [_cells(point, times, column, cuts) for point, column in zip(points, series.values, strict=True)]
    return [
        Bucket(ts, stop - start, times[start], times[stop - 1], list(cells))
        for (ts, start, stop), *cells in zip(cuts, *columns, strict=True)
    ]


def _cells(
    point: Point, times: Sequence[int], column: list[Raw | None], cuts: Sequence[tuple[int, int, int]]
) -> list[Cell]:
    cell = cell_maker(point)
    pieces = (column[start:stop] for _, start, stop in cuts)
    if None in column:
        pieces = ([value for value in piece if value is not None] for piece in pieces)
    cells = [cell(cast(list[float], piece)) for piece in pieces]  # a text is None in every record
    return [
        made if made is None or made.readings == stop - start else _late(made, times, column, start, stop)
        for made, (_, start, stop) in zip(cells, cuts, strict=True)
    ]


def _late(cell: Cell, times: Sequence[int], column: list[Raw | None], start: int, stop: int) -> Cell:
    """`cell` with how far its last value is behind the last record: some records lack the point."""
    if isinstance(cell, Counted):
        return cell
    last = stop - 1
    while last > start and not _counts(cell, column[last]):
        last -= 1
    return lagging(cell, times[stop - 1] - times[last])


def _counts(cell: Cell, value: Raw | None) -> bool:
    return value is not None and (isinstance(cell, State) or isfinite(cast(float, value)))


def hour(buckets: Sequence[Bucket], points: Sequence[Point]) -> Bucket:
    """The hour that its minutes, at least one, make."""
    gaps = gaps_before(buckets)
    columns = zip(*(bucket.cells for bucket in buckets), strict=True)
    cells = [whole(point, column, gaps) for point, column in zip(points, columns, strict=True)]
    first, last = buckets[0], buckets[-1]
    count = sum(bucket.records for bucket in buckets)
    return Bucket(first.ts // HOUR_MS * HOUR_MS, count, first.first, last.last, cells)


def gaps_before(buckets: Sequence[Bucket]) -> list[bool]:
    """Of each bucket whether there were no readings before it for longer than usual; the first: no."""
    intervals = [(bucket.last - bucket.first) / (bucket.records - 1) for bucket in buckets if bucket.records > 1]
    silences = [after.first - before.last for before, after in pairwise(buckets)]
    usual = min(intervals or silences, default=0)
    return [False, *(silence > max(GAP_MIN_MS, INTERVALS_MISSED * usual) for silence in silences)][: len(buckets)]


def renewed(stored: Sequence[Bucket], old: Columns, new: Columns, points: Sequence[Point]) -> list[Bucket]:
    """The minutes once `new` has come: `stored` is what was rolled up before, `old` what is left of its records.

    A minute is made anew of all its records. But where some of them have gone since (thinned, or
    deleted), what is new is added to what is stored. `old` and `new` are in order.
    """
    left = Counter(ts // MINUTE_MS * MINUTE_MS for ts in old.times)
    made = {bucket.ts: bucket for bucket in minutes(in_order([old, new]), points)}
    for bucket in stored:
        if bucket.records > left[bucket.ts]:
            extra = minutes(beside(between(new, bucket.ts, bucket.ts + MINUTE_MS), old), points)
            made[bucket.ts] = _added(bucket, extra[0], points) if extra else bucket
    return [made[ts] for ts in sorted(made)]


def _added(bucket: Bucket, extra: Bucket, points: Sequence[Point]) -> Bucket:
    """Both of the same minute. What a counter did between its stored ends is known already."""
    first, last = min(bucket.first, extra.first), max(bucket.last, extra.last)
    stored = [lagging(cell, last - bucket.last) for cell in bucket.cells]
    ends = zip(points, stored, [lagging(cell, last - extra.last) for cell in extra.cells], strict=True)
    if extra.first > bucket.last:
        cells = [follow(point, cell, more, False) for point, cell, more in ends]
    elif extra.last < bucket.first:
        cells = [follow(point, more, cell, False) for point, cell, more in ends]
    else:
        cells = [crossed(point, cell, more) for point, cell, more in ends]
    return Bucket(bucket.ts, bucket.records + extra.records, first, last, cells)
