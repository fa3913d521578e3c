"""How much flowed when, from a counter's buckets: what a bill is made of; pure.

What was counted from one reading to the next is spread evenly over the quarters of an hour between them. Where that is
longer than usual, as where nobody read for a while, it is told as a gap, too. What was never counted, as where the
counter started anew, is not made up.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from fractions import Fraction
from typing import NamedTuple

from gateway.core.cells import size_of
from gateway.core.counters import Counted, joined
from gateway.core.localtime import QUARTER_MS
from gateway.core.model import Point
from gateway.core.rollup import Bucket, gaps_before

KWH = {"Wh": 0.001, "kWh": 1.0, "MWh": 1000.0}
PER_KWH = 10**9  # energy is counted in whole microwatt-hours


class Stretch(NamedTuple):
    """Energy that flowed between two instants, kWh; None: nobody knows."""

    ts: int
    until: int
    kwh: Fraction | None


class Flow(NamedTuple):
    """`steps`: between readings, by time. `gaps`: without readings; what of them is known is not in the steps."""

    steps: tuple[Stretch, ...]
    gaps: tuple[Stretch, ...]


class _Piece(NamedTuple):
    bucket: Bucket
    counted: Counted  # kWh
    size: float


def flow(parts: Iterable[tuple[Point, Sequence[Bucket]]], step_ms: int, since: int, until: int) -> Flow:
    """What a counter of energy counted in since <= ts < until, in steps of `step_ms`, whole quarters of an hour.

    Each part has one layout's buckets with the one point's cell, none longer than a step; some of them before
    `since` and after `until`, so that the gaps there are bounded.
    """
    pieces = [piece for point, buckets in parts for piece in _pieces(point, buckets)]
    pieces.sort(key=lambda piece: piece.bucket.first)
    if not pieces:
        return Flow((), (Stretch(since, until, None),))
    steps: dict[int, Fraction] = defaultdict(Fraction)
    gaps: list[Stretch] = []
    before: _Piece | None = None
    for piece, is_gap in zip(pieces, gaps_before([piece.bucket for piece in pieces]), strict=True):
        inside, last = piece.counted.increase, piece.counted.last
        if before is not None:
            carry = before.counted.last
            whole = joined(Counted(0, carry, carry, 0.0), piece.counted, piece.size, gap=is_gap)
            between = _between(before.bucket.last, piece.bucket.first, _exact(max(0.0, whole.increase - inside)))
            if is_gap:
                gaps.append(between)
            else:
                _spread(between, step_ms, steps)
            inside, last = min(inside, whole.increase), whole.last
        steps[piece.bucket.ts // step_ms * step_ms] += _exact(inside)
        before = piece._replace(counted=piece.counted._replace(last=last))
    gaps += _open_ends(pieces, step_ms, since, until)
    within = sorted(ts for ts in steps if ts + step_ms > since and ts < until)
    return Flow(
        tuple(Stretch(ts, ts + step_ms, steps[ts]) for ts in within),
        tuple(gap for gap in sorted(gaps, key=lambda gap: gap.ts) if gap.ts < until and gap.until > since),
    )


def _pieces(point: Point, buckets: Iterable[Bucket]) -> Iterable[_Piece]:
    scale = point.conversion[0] if point.conversion else Fraction(1)
    times = float(scale) * KWH[point.unit]
    for bucket in buckets:
        if isinstance(cell := bucket.cells[0], Counted):
            first, last, increase, recovered = (raw * times for raw in cell[1:])
            yield _Piece(bucket, Counted(cell.readings, first, last, increase, recovered), size_of(point) * times)


def _between(last: int, first: int, kwh: Fraction) -> Stretch:
    """What was counted from one reading to the next, over the quarters of an hour that this touches."""
    begin = last // QUARTER_MS * QUARTER_MS
    return Stretch(begin, max(begin + QUARTER_MS, -(-first // QUARTER_MS) * QUARTER_MS), kwh)


def _spread(between: Stretch, step_ms: int, steps: dict[int, Fraction]) -> None:
    quarters = range(between.ts, between.until, QUARTER_MS)
    if between.kwh:
        for ts in quarters:
            steps[ts // step_ms * step_ms] += between.kwh / len(quarters)


def _open_ends(pieces: Sequence[_Piece], step_ms: int, since: int, until: int) -> list[Stretch]:
    """Before the first reading ever, and after the last."""
    first, last = pieces[0].bucket.first, pieces[-1].bucket.last
    ends = []
    if first >= since + step_ms:
        ends.append(Stretch(since, first // QUARTER_MS * QUARTER_MS, None))
    if last < until - step_ms:
        ends.append(Stretch(-(-last // QUARTER_MS) * QUARTER_MS, until, None))
    return ends


def _exact(kwh: float) -> Fraction:
    return Fraction(round(kwh * PER_KWH), PER_KWH)
