"""What the hub has not acknowledged, as spans; pure arithmetic.

Spans are the whole state of a stream: taking records lets the newest one grow, an acknowledgement
cuts a piece out, a re-send request puts one back. They are disjoint and in order.
"""

from collections.abc import Iterable

from gateway.core.span import Span

Spans = tuple[Span, ...]


def normal(spans: Iterable[Span]) -> Spans:
    """In order, none empty, those that touch or overlap merged."""
    merged: list[Span] = []
    for span in sorted(span for span in spans if span):
        if merged and span.lo <= merged[-1].hi:
            merged[-1] = Span(merged[-1].lo, max(merged[-1].hi, span.hi))
        else:
            merged.append(span)
    return tuple(merged)


def grown(spans: Spans, reached: int, head: int) -> Spans:
    """`spans` after the buffer's head has moved from `reached` to `head`."""
    return normal([*spans, Span(reached, head)])


def without(spans: Spans, done: Span) -> Spans:
    """`spans` after `done` was acknowledged."""
    return tuple(piece for span in spans for piece in span.without(done))


def within(spans: Spans, part: Span) -> Spans:
    """What of `spans` lies in `part`."""
    return tuple(piece for span in spans if (piece := span.within(part)))


def resent(spans: Spans, again: Span) -> Spans:
    """`spans` after the hub asked for `again`."""
    return normal([*spans, again])


def length(spans: Spans) -> int:
    """How many records are not acknowledged."""
    return sum(map(len, spans))


def newest(spans: Spans, most: int) -> Span:
    """The live lane's next piece: the newest end, at most `most` records. `spans` is not empty."""
    last = spans[-1]
    return Span(max(last.lo, last.hi - most), last.hi)


def oldest(spans: Spans) -> Span:
    """Where the backlog lane goes on. `spans` is not empty."""
    return spans[0]


def stored(spans: Spans, head: int) -> list[tuple[int, int | None]]:
    """As the buffer keeps them: what reaches to `head` is open, for it goes on growing."""
    closed: list[tuple[int, int | None]] = [(span.lo, span.hi) for span in spans if span.hi < head]
    growing = [span.lo for span in spans if span.hi >= head]
    return [*closed, (growing[0] if growing else head, None)]


def restored(rows: Iterable[tuple[int, int | None]], head: int) -> Spans:
    """The inverse of `stored`, at a head that may have moved since."""
    return normal(Span(lo, head if hi is None else min(hi, head)) for lo, hi in rows)
