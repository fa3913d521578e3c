"""What flowed when, from a counter's buckets: nothing twice, nothing made up."""

from collections.abc import Sequence
from fractions import Fraction

from hypothesis import given
from hypothesis import strategies as st

from gateway.core.localtime import QUARTER_MS
from gateway.core.metering import Flow, flow
from gateway.core.model import Point
from gateway.core.picking import Columns
from gateway.core.rollup import HOUR_MS, MINUTE_MS, Bucket, hour, minutes

POINT = Point("import_energy_total", "u32", unit="Wh", kind="counter", quantity="energy")
DAY_MS = 24 * HOUR_MS


def buckets(times: Sequence[int], values: Sequence[int]) -> list[Bucket]:
    return minutes(Columns(list(range(len(times))), list(times), [list(values)]), [POINT])


def whole(found: Flow) -> Fraction:
    return sum((one.kwh or Fraction(0) for one in (*found.steps, *found.gaps)), Fraction(0))


@given(st.lists(st.integers(0, 24 * 60 - 1), min_size=2, max_size=80, unique=True), st.data())
def test_steps_and_gaps_together_are_all_that_the_counter_counted(at: list[int], data: st.DataObject) -> None:
    times = [n * MINUTE_MS for n in sorted(at)]
    grown = [1000]
    for _ in times[1:]:
        grown.append(grown[-1] + data.draw(st.integers(0, 5000)))
    found = flow([(POINT, buckets(times, grown))], QUARTER_MS, 0, DAY_MS)
    assert whole(found) == Fraction(grown[-1] - grown[0], 1000)
    assert all(before.until <= after.ts for before, after in zip(found.steps, found.steps[1:], strict=False))


@given(st.lists(st.integers(0, 24 * 60 - 1), min_size=2, max_size=80, unique=True))
def test_hours_and_minutes_come_to_the_same(at: list[int]) -> None:
    times = [n * MINUTE_MS for n in sorted(at)]
    of = buckets(times, [1000 + n for n in range(len(times))])
    hours = [
        hour([one for one in of if one.ts // HOUR_MS == n], [POINT]) for n in sorted({o.ts // HOUR_MS for o in of})
    ]
    assert whole(flow([(POINT, hours)], HOUR_MS, 0, DAY_MS)) == whole(flow([(POINT, of)], QUARTER_MS, 0, DAY_MS))


def test_a_gap_has_what_was_counted_meanwhile() -> None:
    times = [*range(0, HOUR_MS, MINUTE_MS), *range(5 * HOUR_MS, 6 * HOUR_MS, MINUTE_MS)]
    values = [1000] * 60 + [9000] * 60
    found = flow([(POINT, buckets(times, values))], QUARTER_MS, 0, 6 * HOUR_MS)
    assert [(gap.ts, gap.until, gap.kwh) for gap in found.gaps] == [(3 * QUARTER_MS, 5 * HOUR_MS, 8)]
    assert {step.kwh for step in found.steps} == {0}


def test_without_readings_nothing_is_known() -> None:
    assert flow([], QUARTER_MS, 0, DAY_MS).gaps == ((0, DAY_MS, None),)
    late = flow([(POINT, buckets([6 * HOUR_MS, 7 * HOUR_MS], [1000, 1000]))], QUARTER_MS, 0, 12 * HOUR_MS)
    assert [(gap.ts, gap.until) for gap in late.gaps if gap.kwh is None] == [
        (0, 6 * HOUR_MS), (7 * HOUR_MS, 12 * HOUR_MS),
    ]  # fmt: skip


def test_readings_around_the_time_bound_its_gaps() -> None:
    parts = [(POINT, buckets([0, MINUTE_MS, 48 * HOUR_MS], [1000, 1000, 49000]))]
    found = flow(parts, QUARTER_MS, 12 * HOUR_MS, 24 * HOUR_MS)
    assert [(gap.ts, gap.until, gap.kwh) for gap in found.gaps] == [(0, 48 * HOUR_MS, 48)]


def test_a_meter_that_is_read_each_quarter_has_each_quarters_energy() -> None:
    times = [n * QUARTER_MS for n in range(5)]
    found = flow([(POINT, buckets(times, [1000, 2000, 4000, 4000, 5000]))], QUARTER_MS, 0, HOUR_MS)
    assert [step.kwh for step in found.steps] == [1, 2, 0, 1]


def test_a_counter_of_two_layouts_is_one() -> None:
    in_kwh = Point("import_energy_total", "u32", unit="kWh", kind="counter", quantity="energy", scale="0.1")
    first = buckets([0, MINUTE_MS], [1000, 2000])
    later = minutes(Columns([0, 1], [2 * MINUTE_MS, 3 * MINUTE_MS], [[25, 30]]), [in_kwh])
    assert whole(flow([(POINT, first), (in_kwh, later)], QUARTER_MS, 0, QUARTER_MS)) == 2
