"""Polls go on through whatever is done to the clock (P5)."""

import asyncio
from collections.abc import Callable, Mapping
from itertools import pairwise

import pytest

from gateway.buffer.boots import first_seen
from gateway.core.errors import DeviceError
from gateway.core.model import Layout, Record
from gateway.polling import BusPoller
from gateway.timekeeping import Timekeeper
from tests.machine import Machine
from tests.values import METER, power
from tests.virtual import START_S, go_on, run_virtually

pytestmark = pytest.mark.P5
SECONDS = 600


class VirtualMachine(Machine):
    """Its time is that of the virtual loop."""

    def boottime_ms(self) -> int:
        return round(1000 * (asyncio.get_running_loop().time() - START_S))


class Polled:
    """A device that is read each second, and who is told of it."""

    name = "meter"
    intervals: Mapping[str, float] = {"live": 1.0}

    def __init__(self, keeper: Timekeeper) -> None:
        self.records: list[Record] = []
        self.at_ms: list[int] = []  # monotonic
        self.missed_polls = 0
        self._keeper = keeper

    async def read(self, group: str) -> tuple[Layout, Record]:
        await go_on(0.03)
        return METER, power(self._keeper.wall_ms(), len(self.records))

    def wait_s(self) -> float:
        return 0.0

    def took(self, layout: Layout, record: Record) -> None:
        self.records.append(self._keeper.stamped(record))
        self.at_ms.append(round(self._keeper.monotonic_s() * 1000))

    def missed(self, device: str, polls: int) -> None:
        self.missed_polls += polls

    def lost(self, device: str, error: DeviceError) -> None:
        raise AssertionError(error)

    def found(self, device: str) -> None: ...


async def polled(machine: Machine, happens: Mapping[int, Callable[[], None]]) -> Polled:
    """Ten minutes of polls; `happens`: at which second what is done to the clock."""
    keeper = Timekeeper(machine, first_seen(machine, 0))
    device = Polled(keeper)
    running = [asyncio.ensure_future(job) for job in (keeper.run(), BusPoller([device], device, keeper).run())]
    for second in range(SECONDS):
        happens.get(second, lambda: None)()
        await go_on(1)
    for task in running:
        task.cancel()
    await asyncio.gather(*running, return_exceptions=True)
    return device


@pytest.mark.parametrize("by_s", [3600, -3600, 3600.4, -3600.4])
def test_a_step_of_the_clock_neither_misses_nor_piles_up_polls(by_s: float) -> None:
    async def run() -> Polled:
        machine = VirtualMachine()
        machine.synchronise()
        return await polled(machine, {100: lambda: machine.set_by(by_s), 300: lambda: machine.set_by(-by_s)})

    device = run_virtually(run())
    assert device.missed_polls == 0
    assert all(400 <= after - before <= 2000 for before, after in pairwise(device.at_ms))
    assert SECONDS - 3 <= len(device.records) <= SECONDS + 3


def test_learning_the_time_neither_misses_nor_piles_up_polls() -> None:
    async def run() -> Polled:
        machine = VirtualMachine()
        return await polled(machine, {100: machine.synchronise})

    device = run_virtually(run())
    assert device.missed_polls == 0
    assert all(400 <= after - before <= 2000 for before, after in pairwise(device.at_ms))
    assert SECONDS - 3 <= len(device.records) <= SECONDS + 3


def test_a_leap_second_that_is_smeared_over_a_day_leaves_the_polls_alone() -> None:
    async def run() -> Polled:
        machine = VirtualMachine()
        machine.synchronise()
        smear = {second: lambda: machine.set_by(-0.001) for second in range(0, SECONDS, 86)}
        return await polled(machine, smear)

    device = run_virtually(run())
    assert device.missed_polls == 0
    assert all(999 <= after - before <= 1002 for before, after in pairwise(device.at_ms))
