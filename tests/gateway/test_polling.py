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

    def wait_s(self) -> float:
        return 0.0


class Told:
    """What the bus told, and who waits for it."""

    poller: BusPoller

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
    told.poller = BusPoller(devices, told, clock or SystemClock())
    task = asyncio.ensure_future(told.poller.run())
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


@pytest.mark.P7
async def test_whoever_is_told_may_fail_and_the_bus_goes_on(caplog: pytest.LogCaptureFixture) -> None:
    class Confused(Told):
        def took(self, layout: Layout, record: Record) -> None:
            if layout.device == "unknown":
                raise KeyError("unknown")
            super().took(layout, record)

    told = Confused()
    task = asyncio.ensure_future(BusPoller([FakeDevice("unknown"), FakeDevice("well")], told, SystemClock()).run())
    await told.until("lost unknown: the driver failed")
    await told.until("took well", 10)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
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
    def come_back(reads: int) -> None:
        clock.now_ms += 60_000
        if reads == 5:
            device.trouble = None

    clock = ManualClock(wall_ms=60_300)
    device = FakeDevice("back", DeviceError("no answer"), intervals={"live": 1, "slow": 4}, during=come_back)
    async with polling(device, clock=clock) as told:
        while len(told.lines) < 3:
            await asyncio.sleep(0)
            clock.now_ms += 100
            told.poller._end_rest()
    assert [line for line in told.lines if "lost" not in line][:2] == ["found back", "took back"]
    assert not any(line.startswith("missed") for line in told.lines[: told.lines.index("took back") + 1])


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


async def test_a_side_group_that_fails_does_not_put_a_live_device_offline() -> None:
    class HalfDeaf(FakeDevice):
        async def read(self, group: str) -> tuple[Layout, Record]:
            self.trouble = DeviceError("no answer") if group != "live" else None
            return await super().read(group)

    device = HalfDeaf("half", intervals={"live": 0.01, "info": 0.01, "detail": 0.01})
    async with polling(device) as told:
        await told.until("took half", 10)
    assert not any(line.startswith("lost") for line in told.lines)


async def test_a_step_of_the_clock_forwards_is_not_counted_as_missed_polls() -> None:
    def set_forward(reads: int) -> None:
        if reads == 5:
            clock.set_by_ms = 3_600_000

    clock = ManualClock(wall_ms=86_400_000, tick_ms=3)
    async with polling(FakeDevice("steady", during=set_forward), clock=clock) as told:
        await told.until("took steady", 10)
    assert not any(line.startswith("missed steady") and int(line.split()[-1]) > 1000 for line in told.lines)


async def test_a_command_goes_before_all_polls_that_wait() -> None:
    reads_then: list[int] = []

    async def command() -> str:
        reads_then.append(sum(device.reads for device in devices))
        return "done"

    class Asking(FakeDevice):
        async def read(self, group: str) -> tuple[Layout, Record]:
            taken = await super().read(group)
            if not asked:
                asked.append(asyncio.ensure_future(poller.first(command)))
                await asyncio.sleep(0)
            return taken

    asked: list[asyncio.Future[str]] = []
    devices = [Asking(f"device {n}") for n in range(5)]
    poller = BusPoller(devices, Told(), SystemClock())
    task = asyncio.ensure_future(poller.run())
    while not asked:
        await asyncio.sleep(0)
    assert await asked[0] == "done"
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert reads_then == [1], "only the poll that was under way came before it"


async def test_a_command_that_fails_is_the_askers_and_the_bus_goes_on() -> None:
    async def command() -> None:
        raise DeviceError("refused")

    device = FakeDevice("well")
    told = Told()
    poller = BusPoller([device], told, SystemClock())
    task = asyncio.ensure_future(poller.run())
    with pytest.raises(DeviceError, match="refused"):
        await poller.first(command)
    await told.until("took well", 2)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


@pytest.mark.P8
async def test_a_command_whose_asker_has_gone_is_not_done() -> None:
    done: list[str] = []

    async def command() -> None:
        done.append("unlocked")

    told = Told()
    poller = BusPoller([FakeDevice("well")], told, SystemClock())
    asked = asyncio.ensure_future(poller.first(command))
    await asyncio.sleep(0)
    asked.cancel()
    task = asyncio.ensure_future(poller.run())
    await told.until("took well", 2)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert done == []


async def test_background_work_runs_while_nothing_is_due() -> None:
    steps: list[int] = []

    async def step() -> bool:
        steps.append(len(steps))
        if len(steps) == 3:
            done.set()
        return len(steps) < 3

    done = asyncio.Event()
    poller = BusPoller([FakeDevice("well", intervals={"live": 60})], Told(), SystemClock())
    poller.aside(step)
    task = asyncio.ensure_future(poller.run())
    async with asyncio.timeout(20):
        await done.wait()
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_when_the_network_is_back_a_dead_device_is_probed_at_once() -> None:
    dead = FakeDevice("dead", DeviceError("no answer"))
    told = Told()
    poller = BusPoller([dead, FakeDevice("well")], told, SystemClock())
    task = asyncio.ensure_future(poller.run())
    await told.until("lost dead")
    poller._health["dead"].probe_at_s = poller._clock.monotonic_s() + 1000
    poller._probing.took_s, poller._probing.ended_s = 100, poller._clock.monotonic_s()
    dead.trouble = None
    poller.wake()
    await told.until("took dead")
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
