"""Records of one layout by time, column by column, however they came."""

from bisect import bisect_left
from collections.abc import Iterable, Sequence
from itertools import chain
from operator import lt

from gateway.core.picking import Columns


def in_order(parts: Iterable[Columns]) -> Columns:
    """All records of `parts`, which have the same columns, by time; of those with one time the first that was taken."""
    pieces = [part for part in parts if part.times]
    if not pieces:
        return Columns([], [], [])
    whole = pieces[0] if len(pieces) == 1 else _chained(pieces)
    times, seqs = whole.times, whole.seqs
    if all(map(lt, times, times[1:])):
        return whole
    order = sorted(range(len(times)), key=lambda i: (times[i], seqs[i]))
    return _picked(whole, [i for n, i in enumerate(order) if not n or times[order[n - 1]] != times[i]])


def between(series: Columns, lo: int, hi: int) -> Columns:
    """The part of lo <= ts < hi; `series` is in order."""
    start, stop = bisect_left(series.times, lo), bisect_left(series.times, hi)
    if stop - start == len(series.times):
        return series
    return Columns(series.seqs[start:stop], series.times[start:stop], [values[start:stop] for values in series.values])


def beside(series: Columns, others: Columns) -> Columns:
    """What `series` has at times that `others` does not have."""
    known = set(others.times)
    return _picked(series, [i for i, ts in enumerate(series.times) if ts not in known])


def _chained(pieces: Sequence[Columns]) -> Columns:
    return Columns(
        list(chain.from_iterable(piece.seqs for piece in pieces)),
        list(chain.from_iterable(piece.times for piece in pieces)),
        [list(chain.from_iterable(parts)) for parts in zip(*(piece.values for piece in pieces), strict=True)],
    )


def _picked(series: Columns, at: Sequence[int]) -> Columns:
    values = [[column[i] for i in at] for column in series.values]
    return Columns([series.seqs[i] for i in at], [series.times[i] for i in at], values)
