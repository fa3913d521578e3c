"""One bus: neighbours do not suffer from each other (P7)."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from itertools import pairwise

import pytest

from gateway.core.clock import Clock, SystemClock
from gateway.core.errors import DeviceError
from gateway.core.model import Layout, Record
from gateway.polling import BusPoller
from tests.values import meter, power


class ManualClock:
    """Stands still unless it is moved; with `tick_ms`, it also goes on a little at each look."""

    def __init__(self, wall_ms: int = 10_300, tick_ms: int = 0) -> None:
        self.now_ms = wall_ms
        self.set_by_ms = 0
        self._tick_ms = tick_ms

    def wall_ms(self) -> int:
        self.now_ms += self._tick_ms
        return self.now_ms + self.set_by_ms

    def monotonic_s(self) -> float:
        return self.now_ms / 1000


class FakeDevice:
    """Answers, or raises its `trouble`; `during` is called in each read."""

    def __init__(
        self, name: str, trouble: Exception | None = None, *, intervals: Mapping[str, float] | None = None,
        during: Callable[[int], None] = lambda reads: None,
    ) -> None:  # fmt: skip
        self.name = name
        self.intervals = intervals or {"live": 0.01}
        self.trouble = trouble
        self.reads = 0
        self._during = during

    async def read(self, group: str) -> tuple[Layout, Record]:
        await asyncio.sleep(0)
        self.reads += 1
        self._during(self.reads)
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
        self._tell(f"missed {device} {polls}")

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
async def polling(*devices: FakeDevice, clock: Clock | None = None) -> AsyncIterator[Told]:
    told = Told()
    task = asyncio.ensure_future(BusPoller(devices, told, clock or SystemClock()).run())
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
        assert told.lines[told.lines.index("lost away: no answer") + 1] == "found away"


async def test_a_failure_between_good_answers_is_not_an_outage() -> None:
    def now_and_then(reads: int) -> None:
        flaky.trouble = DeviceError("no answer") if reads % 2 else None

    flaky = FakeDevice("flaky", during=now_and_then)
    async with polling(flaky) as told:
        await told.until("took flaky", 4)
    assert not any(line.startswith("lost") for line in told.lines)


async def test_a_device_that_is_back_is_polled_from_the_next_instant_on_without_what_it_missed() -> None:
    told, device = Told(), FakeDevice("back", intervals={"live": 1, "slow": 4})
    poller = BusPoller([device], told, ManualClock(wall_ms=60_300))
    poller._health["back"].offline = True
    for slot in poller._slots:
        slot.due_ms = 8_000  # when it fell silent
    task = asyncio.ensure_future(poller.run())
    await told.until("took back")
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert told.lines == ["found back", "took back"]
    assert [slot.due_ms for slot in poller._slots] == [61_000, 64_000]


async def test_polls_that_a_slow_answer_kept_from_happening_are_counted() -> None:
    def dawdle(reads: int) -> None:
        clock.now_ms += 350 if reads == 2 else 0

    clock = ManualClock(wall_ms=10_000)
    async with polling(FakeDevice("slow", during=dawdle, intervals={"live": 0.1}), clock=clock) as told:
        await told.until("took slow")
        clock.now_ms = 10_100
        await told.until("missed slow")
    assert told.lines == ["found slow", "took slow"] * 2 + ["missed slow 3"]


async def test_a_clock_that_is_set_back_does_not_stop_the_polls() -> None:
    def set_back(reads: int) -> None:
        if reads == 5:
            clock.set_by_ms = -3_600_000

    clock = ManualClock(wall_ms=86_400_000, tick_ms=3)
    async with polling(FakeDevice("steady", during=set_back), clock=clock) as told:
        await told.until("took steady", 10)
        clock.set_by_ms = -7_200_000  # while it waits for the next instant
        await told.until("took steady", 20)


@pytest.mark.P7
async def test_after_a_probe_the_bus_is_the_neighbours_for_nine_times_as_long() -> None:
    probes: list[tuple[int, int]] = []

    def time_out(reads: int) -> None:
        begun_ms = clock.now_ms
        clock.now_ms += 2_000
        probes.append((begun_ms, clock.now_ms))
        if reads == 6:
            done.set()

    clock, done = ManualClock(tick_ms=20), asyncio.Event()
    dead = FakeDevice("dead", DeviceError("no answer"), during=time_out)
    async with polling(dead, FakeDevice("well"), clock=clock) as told, asyncio.timeout(20):
        await done.wait()
    pauses = [after[0] - before[1] for before, after in pairwise(probes)]
    assert all(pause >= 9 * 2_000 for pause in pauses[1:]), "from when it is known to be dead"
    assert told.lines.count("took well") > 1_000


@pytest.mark.P7
async def test_a_device_that_answers_goes_before_a_probe_unless_that_waits_too_long() -> None:
    poller = BusPoller([FakeDevice("dead"), FakeDevice("well")], Told(), clock := ManualClock())
    dead, well = poller._slots
    health = poller._health["dead"]
    health.offline, health.probe_at_s = True, clock.monotonic_s() - 1
    dead.due_ms, well.due_ms = 5_000, 10_000
    assert await poller._due() is well
    well.due_ms = 10_301
    assert await poller._due() is dead, "nobody else is due"
    well.due_ms = 10_000
    clock.now_ms += 10_000
    assert await poller._due() is dead, "it was due for 11 s"


@pytest.mark.parametrize(("failures", "pause_s"), [(2, 1), (3, 2), (5, 8), (9, 60), (5000, 60)])
def test_the_longer_a_device_is_away_the_less_often_it_is_probed_up_to_once_a_minute(
    failures: int, pause_s: float
) -> None:
    poller = BusPoller([FakeDevice("dead", intervals={"live": 1, "slow": 60})], Told(), clock := ManualClock())
    health = poller._health["dead"]
    health.offline, health.failures = True, failures
    poller._put_off_probes(health, took_s=0)
    live, slow = poller._slots
    assert poller._wait_s(live, clock.now_ms, clock.monotonic_s()) == pytest.approx(pause_s)
    clock.now_ms += 100_000
    assert poller._wait_s(live, clock.now_ms, clock.monotonic_s()) <= 0
    assert poller._wait_s(slow, clock.now_ms, clock.monotonic_s()) > 0, "a probe reads the first group only"


@pytest.mark.P7
def test_probes_of_a_bus_take_at_most_a_tenth_of_its_time() -> None:
    poller = BusPoller([FakeDevice("dead")], Told(), clock := ManualClock())
    health = poller._health["dead"]
    health.offline, health.failures = True, 2
    poller._put_off_probes(health, took_s=2)
    (slot,) = poller._slots
    assert poller._wait_s(slot, 0, clock.monotonic_s()) == pytest.approx(18)
