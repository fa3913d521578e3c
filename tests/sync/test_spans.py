"""Span arithmetic loses and invents nothing, whatever is taken, acknowledged and asked for again."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.span import Span
from sync.edge import spans as math

seqs = st.integers(0, 60)
spans = st.builds(Span, seqs, seqs)
steps = st.lists(st.tuples(st.sampled_from(["take", "acknowledge", "resend", "restart"]), spans), max_size=40)


def members(of: math.Spans) -> set[int]:
    return {seq for span in of for seq in range(span.lo, span.hi)}


@pytest.mark.P1
@given(steps)
def test_what_is_left_is_what_was_taken_less_what_was_acknowledged(sequence: list[tuple[str, Span]]) -> None:
    left: math.Spans = ()
    expected: set[int] = set()
    head = 0
    for action, span in sequence:
        if action == "take":
            taken = head + len(span)
            left, expected, head = math.grown(left, head, taken), expected | set(range(head, taken)), taken
        elif action == "acknowledge":
            left, expected = math.without(left, span), expected - set(range(span.lo, span.hi))
        elif action == "resend":
            again = span.within(Span(0, head))
            left, expected = math.resent(left, again), expected | set(range(again.lo, again.hi))
        else:
            left = math.restored(math.stored(left, head), head)
        assert members(left) == expected
        assert left == math.normal(left), "in order, disjoint, none empty"
        assert math.length(left) == len(expected)


@given(st.lists(spans, min_size=1, max_size=10).map(math.normal).filter(bool), st.integers(1, 50))
def test_the_live_lane_takes_the_newest_and_the_backlog_lane_the_oldest(left: math.Spans, most: int) -> None:
    newest = math.newest(left, most)
    assert newest.hi == max(members(left)) + 1
    assert 0 < len(newest) <= most
    assert set(range(newest.lo, newest.hi)) <= members(left)
    assert math.oldest(left).lo == min(members(left))


def test_spans_kept_before_more_was_taken_grow_when_they_are_restored() -> None:
    kept = math.stored((Span(0, 3), Span(7, 10)), 10)
    assert kept == [(0, 3), (7, None)]
    assert math.restored(kept, 25) == (Span(0, 3), Span(7, 25))
    assert math.restored(math.stored((), 10), 12) == (Span(10, 12),)
