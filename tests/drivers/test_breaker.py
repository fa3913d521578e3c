"""Who failed too often is left alone, and let back in by one trial."""

from drivers.selectlive.breaker import Breaker
from tests.drivers.manual_clock import ManualClock


def failing(breaker: Breaker, times: int) -> None:
    for _ in range(times):
        assert breaker.may_call()
        breaker.failed()


def opened() -> tuple[ManualClock, Breaker]:
    clock = ManualClock()
    breaker = Breaker(clock)
    failing(breaker, 5)
    return clock, breaker


def test_five_failures_in_a_row_open_it_for_a_minute() -> None:
    clock, breaker = opened()
    assert (breaker.state, breaker.may_call(), breaker.wait_s) == ("open", False, 60)
    clock.go_on(59)
    assert (breaker.may_call(), breaker.wait_s) == (False, 1)


def test_four_failures_and_a_success_begin_anew() -> None:
    breaker = Breaker(ManualClock())
    failing(breaker, 4)
    breaker.succeeded()
    failing(breaker, 4)
    assert (breaker.state, breaker.may_call()) == ("closed", True)


def test_after_the_pause_one_trial_goes_through_and_no_second() -> None:
    clock, breaker = opened()
    clock.go_on(60)
    assert [breaker.may_call(), breaker.may_call()] == [True, False]
    assert breaker.state == "half-open"


def test_a_trial_that_succeeds_closes_it() -> None:
    clock, breaker = opened()
    clock.go_on(60)
    assert breaker.may_call()
    breaker.succeeded()
    assert (breaker.state, breaker.failures, breaker.may_call(), breaker.may_call()) == ("closed", 0, True, True)


def test_a_trial_that_fails_opens_it_for_another_minute() -> None:
    clock, breaker = opened()
    clock.go_on(60)
    assert breaker.may_call()
    clock.go_on(7)
    breaker.failed()
    assert (breaker.state, breaker.may_call(), breaker.wait_s, breaker.failures) == ("open", False, 60, 6)


def test_a_trial_that_was_cancelled_does_not_keep_it_shut_for_ever() -> None:
    clock, breaker = opened()
    clock.go_on(60)
    assert breaker.may_call()  # and then nothing is told
    clock.go_on(60)
    assert breaker.may_call()
