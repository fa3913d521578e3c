"""What goes first, how records are thinned, and that the ledger adds up however often that is done; pure."""

from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.buffer import ledger, retention, thinning
from gateway.buffer.retention import LEVELS, QUARTER_MS, WHOLE, Limits, Segment, Sizes
from gateway.core.model import Record
from gateway.core.rollup import HOUR_MS, MINUTE_MS
from gateway.core.status import ThinnedRange

MB = 1_000_000
LAYOUTS = (b"layout_a", b"layout_b")


def segment(place: int, level: int = WHOLE, records: int = 100, **other: object) -> Segment:
    facts = {"boot": None, "rolled": True, "acknowledged": False} | other
    return Segment(place * 1000, place * 1000 + 1000, level, records, **facts)  # type: ignore[arg-type]  # by name


def places(run: object) -> list[int]:
    assert isinstance(run, list)
    return [one.lo // 1000 for one in run]


times = st.lists(st.integers(0, 5 * HOUR_MS), max_size=60)
pieces = st.lists(st.tuples(st.sampled_from(LAYOUTS), times), min_size=1, max_size=4)


@pytest.mark.P6
@settings(deadline=None)
@given(pieces, st.lists(st.sampled_from(LEVELS[1:]), min_size=1, max_size=4).map(sorted))
def test_the_ledger_is_exact_however_often_and_in_whatever_order_it_was_thinned(
    taken: list[tuple[bytes, list[int]]], levels: list[int]
) -> None:
    records = [Record(layout, ts, b"") for layout, of_layout in taken for ts in of_layout]
    records = [Record(r.layout_id, r.ts, b"", seq=seq) for seq, r in enumerate(records)]
    removed: Counter[tuple[bytes, int]] = Counter()
    kept: Counter[tuple[bytes, int]] = Counter()
    thinned: list[Record] = []
    share = len(records) // len(levels) + 1
    for number, level in enumerate(levels):  # each time some more whole ones join what is thin already
        whole = records[number * share : (number + 1) * share]
        left = thinning.thin([*thinned, *whole], level)
        for layout, hour, gone, stayed in thinning.entries(whole, thinned, left):
            removed[layout, hour] += gone
            kept[layout, hour] += stayed
        thinned = left
    assert +kept == thinning.by_hour(thinned)
    assert removed + kept == thinning.by_hour(records)
    assert thinning.by_hour(thinned).keys() == thinning.by_hour(records).keys()  # no hour is empty
    assert {(r.layout_id, r.ts // levels[-1]) for r in records} == {(r.layout_id, r.ts // levels[-1]) for r in thinned}


def test_the_last_record_of_each_piece_of_time_stays_though_it_came_first() -> None:
    records = [Record(b"a", ts, b"", seq=seq) for seq, ts in enumerate([59_999, 0, 30_000, 60_000, 60_000])]
    assert [(r.ts, r.seq) for r in thinning.thin(records, MINUTE_MS)] == [(59_999, 0), (60_000, 4)]


def test_thinning_begins_with_the_oldest_whole_ones() -> None:
    todo = retention.next_thinning([segment(n) for n in range(64)])
    assert todo is not None
    assert (places(todo.run), todo.level) == ([0, 1], MINUTE_MS)


def test_a_small_thin_neighbour_takes_the_next_ones_in() -> None:
    todo = retention.next_thinning([segment(0, MINUTE_MS, 5), *(segment(n) for n in range(1, 9))])
    assert todo is not None
    assert places(todo.run) == [0, 1]


@pytest.mark.parametrize(
    ("thin", "place", "level"), [(MINUTE_MS, 0, QUARTER_MS), (QUARTER_MS, 0, HOUR_MS), (HOUR_MS, 5, MINUTE_MS)]
)
def test_while_the_old_can_still_give_half_of_the_records_stay_whole(thin: int, place: int, level: int) -> None:
    segments = [*(segment(n, thin, 2000) for n in range(5)), *(segment(n, records=2000) for n in range(5, 10))]
    todo = retention.next_thinning(segments)
    assert todo is not None
    assert (places(todo.run)[0], todo.level) == (place, level)


def test_what_the_hub_has_or_is_not_rolled_up_is_not_thinned_and_parts_its_neighbours() -> None:
    segments = [segment(0, rolled=False), segment(1), segment(2, acknowledged=True), segment(3), segment(4, boot=7)]
    todo = retention.next_thinning(segments)
    assert todo is not None
    assert places(todo.run) == [1]


def test_what_is_at_one_an_hour_is_never_thinned_further() -> None:
    assert retention.next_thinning([segment(n, HOUR_MS) for n in range(9)]) is None


def test_no_more_is_deleted_than_is_needed() -> None:
    segments = [segment(n) for n in range(9)]
    assert len(retention.enough(segments, bytes_over=250, bytes_per_record=1.0)) == 3


@pytest.mark.parametrize(
    ("file", "used", "disk_free", "worth"),
    [
        (80, 10, 900, True), (80, 50, 900, False), (95, 40, 900, False), (80, 10, 15, False),
        (200, 90, 900, True), (200, 150, 900, False), (104, 90, 900, False),
    ],
)  # fmt: skip
def test_the_file_is_written_anew_where_that_gives_much_and_stays_within_the_budget(
    file: int, used: int, disk_free: int, worth: bool
) -> None:
    sizes = Sizes(file * MB, used * MB, 0, file * MB, disk_free * MB)
    assert retention.worth_compacting(sizes, Limits(budget=100 * MB)) is worth


def test_the_limit_is_the_budget_less_the_log_or_what_the_disk_has() -> None:
    limits = Limits(budget=100 * MB)
    roomy = Sizes(50 * MB, 0, 10 * MB, 50 * MB, 900 * MB)
    assert retention.limit(roomy, limits, grown=1 * MB) == 88 * MB
    full = Sizes(50 * MB, 0, 2 * MB, 48 * MB, 0)
    assert limits.reserve > 6 * MB, "an eighth of the file is less"
    assert retention.limit(full, limits, grown=0) == 42 * MB
    assert retention.limit(full, limits, grown=90 * MB) == 42 * MB - 42 * MB // 4


def test_hours_of_one_resolution_that_follow_each_other_are_one_range() -> None:
    rows = [
        (0, MINUTE_MS, 5, 1),
        (HOUR_MS, MINUTE_MS, 6, 2),
        (2 * HOUR_MS, HOUR_MS, 7, 3),
        (4 * HOUR_MS, HOUR_MS, 8, 4),
    ]
    assert ledger.joined(rows) == [
        ThinnedRange(0, 2 * HOUR_MS, MINUTE_MS, 11, 3),
        ThinnedRange(2 * HOUR_MS, 3 * HOUR_MS, HOUR_MS, 7, 3),
        ThinnedRange(4 * HOUR_MS, 5 * HOUR_MS, HOUR_MS, 8, 4),
    ]


def test_a_record_of_a_time_that_no_calendar_has_does_not_keep_thinning_from_being_told() -> None:
    told = ledger.sentence({MINUTE_MS: [0, 1 << 60, 59, 1]})
    assert told == "1970-01-01 00:00 to 9999-01-01 00:00 UTC: one record a minute, 59 records gone, 1 kept"
