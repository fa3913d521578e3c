"""The grid of polls."""

from hypothesis import given
from hypothesis import strategies as st

from gateway.schedule import missed, next_due_ms

times = st.integers(0, 1 << 42)
intervals = st.integers(100, 3_600_000)


@given(times, intervals, times)
def test_the_next_poll_is_on_the_grid_and_at_most_one_interval_away(due: int, every: int, now: int) -> None:
    upcoming = next_due_ms(due, every, now)
    assert upcoming % every == 0
    assert now < upcoming or upcoming > due
    assert upcoming - now <= 2 * every


@given(st.integers(1, 1 << 30), intervals, st.integers(0, 99))
def test_due_times_do_not_drift_with_the_time_that_a_poll_takes(instant: int, every: int, took: int) -> None:
    due = instant * every
    assert next_due_ms(due, every, due + took) == due + every


def test_a_timer_that_fires_early_does_not_poll_twice() -> None:
    assert next_due_ms(10_000, 1000, 9_999) == 11_000


def test_after_the_clock_is_set_back_the_new_grid_is_taken_up() -> None:
    assert next_due_ms(3_610_000, 1000, 10_500) == 11_000


def test_what_was_missed_is_counted() -> None:
    assert missed(10_000, 1000, 10_900) == 0
    assert missed(10_000, 1000, 13_100) == 3
