"""What goes into the next batch: whatever a hub refuses, and of whatever size, nothing is lost or invented."""

from hypothesis import given
from hypothesis import strategies as st

from gateway.core.span import Span
from sync.edge import spans as span_math
from sync.edge.portions import AIM_S, LEAST, Portion

HEAD = 80
seqs = st.sets(st.integers(0, HEAD - 1))


class Hub:
    """Takes batches of at most `most` records, unless one of them is bad; counts them."""

    def __init__(self, most: int, bad: set[int]) -> None:
        self.most, self.bad = most, bad
        self.batches = 0
        self.taken: list[int] = []

    def says(self, records: list[int]) -> str:
        self.batches += 1
        if len(records) > self.most:
            return "too large"
        if self.bad & set(records):
            return "refused"
        self.taken += records
        return "taken"


def drain(hub: Hub, there: set[int], again: dict[int, Span], portion: Portion) -> tuple[set[int], Portion]:
    """As the backlog lane does it, over the records `there`; after batch number n `again[n]` is asked for once more.

    Returns what went into quarantine.
    """
    left: span_math.Spans = (Span(0, HEAD),)
    condemned: set[int] = set()
    while left:
        suspects = span_math.within(left, portion.suspect) if portion.suspect else ()
        if not suspects:
            portion = portion.cleared()
        wanted = (suspects or left)[0]
        records = sorted(seq for seq in there if wanted.lo <= seq < wanted.hi)
        chosen = portion.of(len(records))
        covered = Span(wanted.lo, records[chosen] if chosen < len(records) else wanted.hi)
        records = records[:chosen]
        answer = hub.says(records) if records else "taken"
        if answer == "taken":
            left, portion = span_math.without(left, covered), portion.done(covered, len(records))
        elif len(records) == 1:
            condemned |= set(records)
            left, portion = span_math.without(left, covered), portion.cleared()
        elif answer == "refused":
            portion = portion.refused(covered)
        else:
            portion = portion.too_large(len(records))
        left = span_math.resent(left, again.pop(hub.batches, Span(0, 0)))
    return condemned, portion


@given(
    seqs, seqs, st.integers(1, HEAD), st.dictionaries(st.integers(1, 30), st.builds(Span, *2 * [st.integers(0, HEAD)]))
)
def test_all_good_records_are_taken_and_all_bad_ones_and_no_others_put_aside(
    there: set[int], bad: set[int], most: int, again: dict[int, Span]
) -> None:
    hub = Hub(most, bad)
    condemned, _ = drain(hub, there, dict(again), Portion(HEAD))
    assert set(hub.taken) == there - bad
    assert condemned == there & bad
    if not again:
        assert len(hub.taken) == len(set(hub.taken)), "none twice"


@given(st.integers(0, HEAD - 1))
def test_one_bad_record_is_found_by_halving(bad: int) -> None:
    hub = Hub(HEAD, {bad})
    drain(hub, set(range(HEAD)), {}, Portion(HEAD))
    assert hub.batches <= 2 * 7 + 2


@given(st.integers(1, HEAD))
def test_a_batch_that_is_too_large_is_halved_and_grows_again(most: int) -> None:
    hub = Hub(most, set())
    _, portion = drain(hub, set(range(HEAD)), {}, Portion(HEAD))
    assert hub.taken == list(range(HEAD))
    assert hub.batches <= 4 * HEAD / most + 7
    for _ in range(100):
        portion = portion.done(Span(0, 1), 1)
    assert portion.limit == HEAD


@given(st.integers(LEAST, 20_000), st.floats(2 * AIM_S + 0.1, 1000))
def test_what_took_long_is_followed_by_less_and_what_is_quick_by_more(count: int, took_s: float) -> None:
    slowed = Portion(20_000, count).done(Span(0, count), count, took_s)
    assert LEAST <= slowed.limit <= max(LEAST, count // 2)
    assert slowed.done(Span(0, 1), 1, 0.1).limit > slowed.limit
