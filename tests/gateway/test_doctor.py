"""The bus doctor says what is wrong, and nothing where all is well."""

import msgspec
import pytest

from gateway.busstate import BusWatch
from gateway.core.statistics import BusStatistics
from gateway.core.status import BusState, UnitState
from gateway.doctor import advice

WELL = UnitState(1, "Meter", 1000, 1000, 0, 0, 0, 0, {}, 30.0, 40.0, 0.1, 0.0)
BUS = BusState("cabinet", "ttyUSB0", "serial", 1, 0, 0, 0, 0.2, ())


def said(*units: UnitState, **bus: object) -> str:
    return " | ".join(advice(msgspec.structs.replace(BUS, units=units, **bus)))


def unit(**changes: object) -> UnitState:
    return msgspec.structs.replace(WELL, **({"unit_id": 2, "device": "Pump"} | changes))


def test_where_all_is_well_nothing_is_said() -> None:
    assert said(WELL, unit()) == ""


def test_nothing_is_said_of_what_was_hardly_asked() -> None:
    assert said(WELL, unit(asked=5, answered=0, timeouts=5)) == ""


@pytest.mark.parametrize(
    ("ill", "words"),
    [
        (unit(answered=0, timeouts=1000, lost_share=0.07), "Pump (unit 2) never answered, while others on the bus do"),
        (unit(answered=0, timeouts=1000, lost_share=0.07), "costs 7% of the bus"),
        (unit(answered=900, timeouts=100), "left 100 of 1000 questions unanswered; it usually takes 30 ms"),
        (unit(answered=900, garbled=100), "two devices may share its unit id"),
        (unit(answered=900, foreign=100), "answered something else"),
        (unit(late=100), "answered 100 times after its timeout: raise its timeout"),
        (unit(exceptions={"6": 100}), "was busy or failed 100 times"),
        (unit(exceptions={"11": 100}), "check the line behind it"),
        (unit(exceptions={"1": 100}), "the profile does not fit"),
    ],
)
def test_what_is_wrong_with_a_unit_is_said_with_what_to_try(ill: UnitState, words: str) -> None:
    assert words in said(WELL, ill)


def test_a_bus_on_which_nothing_is_whole_has_another_rate_or_parity() -> None:
    assert "baud rate or parity" in said(unit(answered=0, garbled=1000))


def test_a_bus_on_which_nothing_comes_may_be_swapped() -> None:
    assert "A and B are not swapped" in said(unit(answered=0, timeouts=1000))
    assert "framing" in said(unit(answered=0, timeouts=1000), kind="tcp")


def test_what_the_bus_itself_lacks_is_said() -> None:
    assert "could never be opened (7 times tried)" in said(connect_failures=7)
    assert "busy 90% of the time, most of it with Pump (unit 2)" in said(WELL, unit(load=0.7), load=0.9)
    assert "serve only one" in said(WELL, disconnects=20)
    assert "termination" in said(WELL, noise_bytes=5000)


class Clock:
    now_s = 100.0

    def monotonic_s(self) -> float:
        return self.now_s

    def wall_ms(self) -> int:
        return 0


def test_the_load_is_that_of_the_last_minute() -> None:
    clock, statistics = Clock(), BusStatistics()
    watch = BusWatch("cabinet", "ttyUSB0", "serial", {2: "Pump"}, statistics, clock)
    for _ in range(60):  # five minutes at a fifth, then one at four fifths
        clock.now_s += 5
        statistics.busy_s += 1
        statistics.unit(2).busy_s += 1
        watch.mark()
    for _ in range(12):
        clock.now_s += 5
        statistics.busy_s += 4
        statistics.unit(2).busy_s += 4
        watch.mark()
    state = watch.state()
    assert state.load == pytest.approx(0.8)
    assert state.units[0].load == pytest.approx(0.8)
    assert state.units[0].device == "Pump"


def test_what_was_mended_hours_ago_is_no_longer_spoken_of() -> None:
    clock, statistics = Clock(), BusStatistics()
    watch = BusWatch("cabinet", "ttyUSB0", "serial", {2: "Pump"}, statistics, clock)
    unit_2 = statistics.unit(2)
    unit_2.asked, unit_2.answered, unit_2.timeouts = 1000, 500, 500
    assert "left 500 of 1000" in " ".join(watch.state().advice)
    for _ in range(3):
        clock.now_s += 3601
        unit_2.asked += 1000
        unit_2.answered += 1000
        state = watch.state()
    assert state.advice == ()
    assert state.units[0].timeouts == 500, "the count itself stays"


def test_median_and_95th_percentile_are_those_of_the_last_answers() -> None:
    statistics = BusStatistics()
    statistics.unit(2).latencies.extend(n / 1000 for n in range(1, 101))
    (unit_2,) = BusWatch("cabinet", "ttyUSB0", "serial", {}, statistics, Clock()).state().units
    assert unit_2.median_ms == pytest.approx(50.5)
    assert unit_2.p95_ms == pytest.approx(95.95)
