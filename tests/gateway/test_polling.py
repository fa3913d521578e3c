"""One bus: neighbours do not suffer from each other (P7)."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

import pytest

from gateway.core.clock import SystemClock
from gateway.core.errors import DeviceError
from gateway.core.model import Layout, Record
from gateway.polling import BusPoller
from tests.values import meter, power


class FakeDevice:
    """Does at each read what its script says; an exception is raised, None is a good answer."""

    intervals: Mapping[str, float] = {"live": 0.01}

    def __init__(self, name: str, trouble: Exception | None = None) -> None:
        self.name = name
        self.trouble = trouble
        self.reads = 0

    async def read(self, group: str) -> tuple[Layout, Record]:
        self.reads += 1
        if self.trouble is not None:
            raise self.trouble
        return meter(self.name), power(self.reads, layout=meter(self.name))


class Told:
    """What the bus told, and who waits for it."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self._news = asyncio.Event()

    def _tell(self, line: str) -> None:
        self.lines.append(line)
        self._news.set()

    def took(self, layout: Layout, record: Record) -> None:
        self._tell(f"took {layout.device}")

    def missed(self, device: str, polls: int) -> None:
        self._tell(f"missed {device}")

    def lost(self, device: str, error: DeviceError) -> None:
        self._tell(f"lost {device}: {error}")

    def found(self, device: str) -> None:
        self._tell(f"found {device}")

    async def until(self, line: str, times: int = 1) -> None:
        async with asyncio.timeout(20):
            while sum(told.startswith(line) for told in self.lines) < times:
                self._news.clear()
                await self._news.wait()


@asynccontextmanager
async def polling(*devices: FakeDevice) -> AsyncIterator[Told]:
    told = Told()
    task = asyncio.ensure_future(BusPoller(devices, told, SystemClock()).run())
    yield told
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


@pytest.mark.P7
async def test_a_dead_device_is_told_once_it_failed_twice_and_its_neighbour_goes_on() -> None:
    dead = FakeDevice("dead", DeviceError("no answer"))
    async with polling(dead, FakeDevice("well")) as told:
        await told.until("lost dead: no answer")
        await told.until("took well", 20)
        assert dead.reads < 20, "a dead device is only probed"


@pytest.mark.P7
async def test_a_drivers_bug_does_not_silence_its_neighbour(caplog: pytest.LogCaptureFixture) -> None:
    async with polling(FakeDevice("buggy", ZeroDivisionError("a bug")), FakeDevice("well")) as told:
        await told.until("lost buggy: the driver failed")
        await told.until("took well", 10)
    assert "driver failed" in caplog.text


async def test_a_device_that_comes_back_is_polled_again() -> None:
    device = FakeDevice("away", DeviceError("no answer"))
    async with polling(device) as told:
        await told.until("lost away")
        device.trouble = None
        await told.until("took away", 5)


@pytest.mark.P7
def test_probes_of_a_bus_take_at_most_a_tenth_of_its_time() -> None:
    class Manual:
        now_s = 100.0

        def wall_ms(self) -> int:
            return 0

        def monotonic_s(self) -> float:
            return self.now_s

    poller = BusPoller([FakeDevice("dead")], Told(), clock := Manual())
    health = poller._health["dead"]
    health.offline, health.failures = True, 2
    poller._put_off_probes(health, took_s=2)
    (slot,) = poller._slots
    assert poller._wait_s(slot, 0, clock.now_s) == pytest.approx(18)
