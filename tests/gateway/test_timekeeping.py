"""What time it is, and whether that is known (P5)."""

import pytest

from gateway.buffer.boots import Boot, first_seen
from gateway.timekeeping import Timekeeper
from tests.machine import TRUE_MS, Machine

pytestmark = pytest.mark.P5


class Told:
    """What became of the time."""

    def __init__(self) -> None:
        self.known: list[Boot] = []
        self.steps: list[int] = []

    def clock_known(self, boot: Boot, until_ms: int) -> None:
        self.known.append(boot)

    def clock_stepped(self, by_ms: int) -> None:
        self.steps.append(by_ms)


def started(machine: Machine, newest_ms: int = 0, boot: Boot | None = None) -> tuple[Timekeeper, Told]:
    keeper, told = Timekeeper(machine, boot or first_seen(machine, newest_ms)), Told()
    keeper.listener = told
    return keeper, told


def source(keeper: Timekeeper) -> str:
    keeper.look()
    return keeper.state().source


def test_without_any_word_of_the_time_it_is_an_estimate_that_goes_on_evenly() -> None:
    machine = Machine()
    keeper, told = started(machine, newest_ms=TRUE_MS - 500_000)
    machine.go_on(40)
    machine.set_by(0.4)
    assert source(keeper) == "estimate"
    assert not keeper.known
    assert keeper.wall_ms() == TRUE_MS - 500_000 + 40_000
    assert not told.known


def test_a_plausible_kernel_is_the_estimate_unless_readings_are_later() -> None:
    machine = Machine()
    machine.boot(wall_ms=TRUE_MS - 60_000)
    assert started(machine, newest_ms=TRUE_MS - 61_000)[0].wall_ms() == TRUE_MS - 60_000
    assert started(machine, newest_ms=TRUE_MS - 59_000)[0].wall_ms() == TRUE_MS - 59_000


def test_a_kernel_that_is_synchronised_is_followed() -> None:
    machine = Machine()
    keeper, told = started(machine)
    machine.go_on(60)
    machine.synchronise()
    assert source(keeper) == "kernel"
    assert keeper.wall_ms() == machine.true_ms
    assert [boot.correction for boot in told.known] == [TRUE_MS]
    assert keeper.state().offset_ms == TRUE_MS
    assert keeper.state().since == machine.true_ms


def test_a_clock_that_is_set_by_hand_is_believed_where_that_is_plausible() -> None:
    machine = Machine()
    keeper, _ = started(machine)
    machine.set_by(86_400)
    assert source(keeper) == "estimate", "a day in 1970"
    machine.set_by(TRUE_MS / 1000)
    assert source(keeper) == "set"
    assert keeper.wall_ms() == machine.wall_ms()


def test_a_clock_that_was_set_while_no_gateway_ran_is_believed_too() -> None:
    machine = Machine()
    boot = first_seen(machine, 0)
    machine.set_by(TRUE_MS / 1000)
    keeper, _ = started(machine, boot=boot)
    assert source(keeper) == "set"


def test_the_hubs_time_is_taken_where_the_kernel_knows_none() -> None:
    machine = Machine()
    keeper, told = started(machine)
    machine.go_on(30)
    keeper.hub_says(machine.true_ms + 20, 30)
    machine.go_on(30)
    assert source(keeper) == "hub"
    assert keeper.wall_ms() == machine.true_ms + 20
    assert len(told.known) == 1


def test_a_kernel_that_agrees_with_the_hub_is_taken_for_its_milliseconds() -> None:
    machine = Machine()
    machine.boot(wall_ms=TRUE_MS - 700)
    keeper, told = started(machine)
    keeper.hub_says(machine.true_ms, 10)
    assert source(keeper) == "hub"
    assert keeper.wall_ms() == machine.wall_ms()
    assert told.known[0].correction == 0


def test_a_kernel_that_is_synchronised_later_takes_over_from_the_hub() -> None:
    machine = Machine()
    keeper, told = started(machine)
    keeper.hub_says(machine.true_ms + 900, 10)
    machine.synchronise()
    assert source(keeper) == "kernel"
    assert keeper.wall_ms() == machine.true_ms
    assert told.steps == [-900]
    keeper.hub_says(machine.true_ms + 3_600_000, 10)
    assert (source(keeper), keeper.wall_ms()) == ("kernel", machine.true_ms)


def test_a_kernel_that_was_synchronised_once_is_believed_against_the_hub() -> None:
    machine = Machine()
    machine.synchronise()
    keeper, told = started(machine)
    keeper.look()
    machine.is_synchronised = False
    keeper.hub_says(machine.true_ms + 3_600_000, 10)
    assert (source(keeper), keeper.wall_ms(), told.steps) == ("kernel", machine.true_ms, [])


def test_a_clock_by_the_hub_follows_the_hub_when_it_has_drifted_away() -> None:
    machine = Machine()
    keeper, told = started(machine)
    keeper.hub_says(machine.true_ms, 10)
    machine.true_ms += 1500  # the crystal is slow
    keeper.hub_says(machine.true_ms, 10)
    assert told.steps == []
    machine.true_ms += 1500
    keeper.hub_says(machine.true_ms, 10)
    assert told.steps == [3000]
    assert keeper.wall_ms() == machine.true_ms


@pytest.mark.parametrize("wall_ms", [0, 1_500_000_000_000, 5_000_000_000_000])
def test_a_hub_that_does_not_know_the_time_itself_is_not_believed(wall_ms: int) -> None:
    machine = Machine()
    keeper, _ = started(machine)
    keeper.hub_says(wall_ms, 10)
    assert source(keeper) == "estimate"


def test_a_vague_word_of_the_hub_is_asked_for_again_but_not_for_ever() -> None:
    machine = Machine()
    keeper, _ = started(machine)
    for _ in range(3):
        keeper.hub_says(machine.true_ms + 900, 1000)
        assert not keeper.known
    keeper.hub_says(machine.true_ms + 300, 1000)
    assert keeper.known


@pytest.mark.parametrize("by_s", [3600, -3600, 0.6, -0.6])
def test_a_step_of_a_known_clock_is_told_and_counted(by_s: float) -> None:
    machine = Machine()
    machine.synchronise()
    keeper, told = started(machine)
    keeper.look()
    machine.set_by(by_s)
    keeper.look()
    keeper.look()
    assert told.steps == [round(by_s * 1000)]
    assert keeper.state().steps == 1


def test_a_leap_second_that_is_smeared_over_a_day_is_no_step() -> None:
    machine = Machine()
    machine.synchronise()
    keeper, told = started(machine)
    for second in range(86_400):
        machine.go_on(1)
        if second % 86 == 0:
            machine.set_by(-0.001)
        keeper.look()
    assert told.steps == []
    assert keeper.wall_ms() == machine.wall_ms()


def test_a_process_that_starts_in_a_boot_whose_time_the_hub_told_goes_on_with_that() -> None:
    machine = Machine()
    keeper, told = started(machine)
    keeper.hub_says(machine.true_ms, 10)
    machine.go_on(60)
    keeper, _ = started(machine, boot=told.known[0])
    assert keeper.known
    assert keeper.wall_ms() == machine.true_ms
