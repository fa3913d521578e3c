"""Minutes and hours are what their records come to, and come back from their bytes."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.cells import Cell, Gauge, State
from gateway.core.chunk import ChunkFormat
from gateway.core.counters import Counted
from gateway.core.model import Layout, Point, Raw
from gateway.core.picking import Columns
from gateway.core.rollup import HOUR_MS, MINUTE_MS, Bucket, hour, minutes, renewed
from gateway.core.series import in_order

POINTS = (
    Point("power", "f32"), Point("energy", "u32", kind="counter"), Point("mode", "u16", kind="enum"),
    Point("alarms", "u16", kind="bitfield"), Point("on", "bit"), Point("name", "text:4", kind="text"),
)  # fmt: skip
LAYOUT = Layout("meter", "live", POINTS)


def rows(*records: tuple[int, list[Raw | None]]) -> Columns:
    """Records of `POINTS` but the text, taken in this order; in order of time."""
    values = [[*row, None] for _, row in records]
    columns = [list(column) for column in zip(*values, strict=True)] if values else [[] for _ in POINTS]
    return in_order([Columns(list(range(len(records))), [ts for ts, _ in records], columns)])


def test_a_minute_has_of_each_kind_what_a_chart_needs() -> None:
    series = rows(
        (1000, [2.0, 100, 1, 4, 0]), (2000, [None, 103, 2, None, 1]), (3000, [4.0, None, None, 6, 1]),
        (61_000, [None, 110, 3, 1, 0]),
    )  # fmt: skip
    first, second = minutes(series, POINTS)
    assert first == Bucket(0, 3, 1000, 3000, [
        Gauge(2, 2.0, 4.0, 6.0, 4.0), Counted(2, 100, 103, 3.0), State(2, 2, lag=1000), State(2, 6),
        Gauge(3, 0, 1, 2.0, 1), None,
    ])  # fmt: skip
    assert second.cells[0] is None, "a missing value is not 0"
    whole = hour([first, second], POINTS)
    assert (whole.ts, whole.records, whole.first, whole.last) == (0, 4, 1000, 61_000)
    assert whole.cells[0] == Gauge(2, 2.0, 4.0, 6.0, 4.0)
    assert whole.cells[1] == Counted(3, 100, 110, 10.0)
    assert whole.cells[2] == State(3, 3)


def test_records_of_one_time_count_once_and_the_first_that_was_taken() -> None:
    late = rows((5000, [3.0, 1, 1, 1, 1]), (4000, [1.0, 1, 1, 1, 1]), (5000, [9.0, 1, 1, 1, 1]))
    (bucket,) = minutes(late, POINTS)
    assert bucket.records == 2
    assert bucket.cells[0] == Gauge(2, 1.0, 3.0, 4.0, 3.0)


def test_what_is_not_finite_counts_as_missing_and_sums_stay_finite() -> None:
    point = Point("p", "f64")
    values: list[Raw | None] = [math.inf, 1.0, -math.inf, 1.7e308, 1.7e308]
    (bucket,) = minutes(in_order([Columns([0, 1, 2, 3, 4], [0, 1, 2, 3, 4], [values])]), [point])
    (cell,) = bucket.cells
    assert isinstance(cell, Gauge)
    assert (cell.readings, cell.low, cell.high) == (3, 1.0, 1.7e308)
    assert math.isfinite(cell.total)
    assert hour([bucket, bucket], [point]).cells[0] is not None


def test_an_increase_across_a_downtime_is_flagged() -> None:
    point = Point("energy", "u32", kind="counter")
    series = [Columns([i], [ts], [[value]]) for i, (ts, value) in enumerate([(0, 10), (1000, 11), (600_000, 50)])]
    assert hour(minutes(in_order(series), [point]), [point]).cells == [Counted(3, 10, 50, 40.0, recovered=39.0)]


def test_a_slow_poll_is_no_downtime() -> None:
    point = Point("energy", "u32", kind="counter")
    series = [Columns([i], [i * 900_000], [[i]]) for i in range(1, 4)]
    (cell,) = hour(minutes(in_order(series), [point]), [point]).cells
    assert isinstance(cell, Counted)
    assert cell.recovered == 0


def test_what_comes_for_a_thinned_minute_is_added_to_what_is_known_of_it() -> None:
    whole = rows(*((1000 * s, [float(s), 100 + s, s % 3, 1, 1]) for s in range(0, 60, 2)))
    stored = minutes(whole, POINTS)
    left = rows((0, [0.0, 100, 0, 1, 1]))
    late = rows((0, [0.0, 100, 0, 1, 1]), (1000, [500.0, 101, 2, 1, 1]), (59_000, [1.0, 161, 1, 0, 0]))
    (bucket,) = renewed(stored, left, late, POINTS)
    assert (bucket.records, bucket.first, bucket.last) == (32, 0, 59_000), "the one that is still there counts once"
    assert bucket.cells[0] == Gauge(32, 0.0, 500.0, sum(range(0, 60, 2)) + 501.0, 1.0)
    assert bucket.cells[2] == State(32, 1)
    after = rows((59_500, [1.0, 170, 1, 0, 0]))
    assert renewed(stored, left, after, POINTS)[0].cells[1] == Counted(31, 100, 170, 70.0)
    assert renewed(stored, left, rows(), POINTS) == stored


@pytest.mark.P3
def test_the_last_value_is_the_same_when_what_lacks_the_point_came_first() -> None:
    records: list[tuple[int, list[Raw | None]]] = [
        (5000, [1.0, 1, 1, 1, 1]), (9000, [None, 1, None, 1, 1]), (20_000, [3.0, 1, 3, 1, 1]),
        (30_000, [None, 1, None, 1, 1]), (40_000, [math.nan, 1, None, 1, 1]), (50_000, [None, 1, None, 1, 1]),
    ]  # fmt: skip
    (in_time,) = minutes(rows(*records), POINTS)
    form = ChunkFormat(LAYOUT, MINUTE_MS)
    for chosen in range(1, 1 << len(records)):
        first = rows(*(record for index, record in enumerate(records) if chosen >> index & 1))
        late = rows(*(record for index, record in enumerate(records) if not chosen >> index & 1))
        stored = form.decode(0, form.encode(0, minutes(first, POINTS)), range(len(POINTS)))
        (bucket,) = renewed(stored, rows(), late, POINTS)
        assert (bucket.cells[0], bucket.cells[2]) == (in_time.cells[0], in_time.cells[2]), chosen


def test_a_thinned_minute_does_not_keep_its_neighbours_from_being_made_anew() -> None:
    stored = minutes(rows((0, [1.0, 1, 1, 1, 1]), (1000, [2.0, 2, 1, 1, 1]), (61_000, [5.0, 3, 1, 1, 1])), POINTS)
    left = rows((0, [1.0, 1, 1, 1, 1]), (61_000, [5.0, 3, 1, 1, 1]))
    late = rows((60_500, [4.0, 3, 1, 1, 1]))
    first, second = renewed(stored, left, late, POINTS)
    assert first == stored[0]
    assert second == minutes(rows((60_500, [4.0, 3, 1, 1, 1]), (61_000, [5.0, 3, 1, 1, 1])), POINTS)[0]


u32s, counts, lags = st.integers(0, (1 << 32) - 1), st.integers(1, 60), st.integers(0, HOUR_MS)
f32s = st.floats(width=32, allow_nan=False, allow_infinity=False)
f64s = st.floats(allow_nan=False, allow_infinity=False)
cells: st.SearchStrategy[tuple[Cell, ...]] = st.tuples(
    st.none() | st.builds(Gauge, counts, f32s, f32s, f64s, f32s, lags),
    st.none() | st.builds(Counted, counts, u32s, u32s, f64s, f64s),
    st.none() | st.builds(State, counts, st.integers(0, 65535), lags),
    st.none() | st.builds(State, counts, st.integers(0, 65535), lags),
    st.none() | st.builds(Gauge, counts, *[st.integers(0, 1)] * 2, f64s, st.integers(0, 1), lags),
    st.none(),
)


@given(st.dictionaries(st.integers(0, 23), cells, min_size=1), st.sampled_from([MINUTE_MS, HOUR_MS]))
def test_buckets_come_back_from_their_bytes_whole_or_a_point_alone(
    slots: dict[int, tuple[Cell, ...]], bucket_ms: int
) -> None:
    begin = 86_400_000 * 20_000
    buckets = [
        Bucket(ts := begin + slot * bucket_ms, 60, ts + slot, ts + bucket_ms - 1, list(of_slot))
        for slot, of_slot in sorted(slots.items())
    ]
    form = ChunkFormat(LAYOUT, bucket_ms)
    chunk = form.encode(begin, buckets)
    assert form.decode(begin, chunk, range(len(POINTS))) == buckets
    for index in range(len(POINTS)):
        alone = form.decode(begin, chunk, [index])
        assert [bucket.cells for bucket in alone] == [[bucket.cells[index]] for bucket in buckets]
