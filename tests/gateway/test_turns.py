"""Whose turn it is: deadlines first, and a tenth of the bus for what is slow or dead (P7)."""

import pytest

from gateway.turns import PATIENCE_S, Turn, choose


def chosen(*turns: Turn, now_s: float = 100, alone: bool = False) -> str | None:
    turn, _ = choose(turns, now_s, alone=alone)
    return None if turn is None else turn.owner


def test_the_earliest_deadline_goes_first() -> None:
    assert chosen(Turn("late", 99), Turn("later", 98), Turn("not yet", 101)) == "later"


def test_where_nothing_is_due_it_says_how_long_to_wait() -> None:
    assert choose([Turn("soon", 101.5), Turn("later", 103)], 100, alone=False) == (None, 1.5)


@pytest.mark.P7
def test_a_slow_device_waits_until_it_has_cost_no_more_than_a_tenth() -> None:
    slow = Turn("slow", 99, took_s=0.8, ended_s=99)
    within_s = 99 + 9 * 0.8
    assert chosen(slow, Turn("quick", 100.5)) is None, "it would keep the quick one waiting"
    assert chosen(slow, Turn("quick", 100.9)) == "slow", "it is done before the other is due"
    assert chosen(slow, Turn("quick", within_s - 0.5), now_s=within_s - 0.1) == "quick"
    assert chosen(slow, Turn("quick", within_s + 0.5), now_s=within_s) == "slow", "it has had less than its tenth"


@pytest.mark.P7
def test_a_probe_waits_for_its_tenth_and_for_whoever_answers() -> None:
    probe = Turn("dead", 99, took_s=2, ended_s=97, probe=True)
    assert chosen(probe, Turn("well", 150), now_s=97 + 17.9) is None, "not even where nothing else is due"
    assert chosen(probe, Turn("well", 150), now_s=97 + 18.1) == "dead"
    assert chosen(probe, Turn("well", 110), now_s=97 + 18.1) == "well"


@pytest.mark.P7
def test_on_a_bus_that_is_never_idle_a_probe_that_waited_long_goes_first() -> None:
    probe = Turn("dead", 50, probe=True)
    busy = Turn("busy", 49)
    assert chosen(probe, busy, now_s=50 + PATIENCE_S - 1) == "busy"
    assert chosen(probe, Turn("busy", 51), now_s=50 + PATIENCE_S + 1) == "dead"


def test_who_is_alone_on_a_bus_keeps_nobody_waiting() -> None:
    assert chosen(Turn("slow", 99, took_s=5, ended_s=99), alone=True) == "slow"
    assert chosen(Turn("dead", 99, took_s=5, ended_s=99, probe=True), alone=True) == "dead"


def test_background_work_takes_only_time_that_nobody_wants() -> None:
    work = Turn("background", 0, took_s=0.3, ended_s=99.9)
    assert chosen(work, Turn("well", 100.2)) is None
    assert chosen(work, Turn("well", 100.4)) == "background"


def test_two_slow_devices_do_not_wait_for_each_other() -> None:
    assert chosen(Turn("one", 99.9, took_s=0.3, ended_s=99.3), Turn("two", 100, took_s=0.3, ended_s=99.6)) == "one"
