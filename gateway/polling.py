"""One task owns a bus: commands first, then the polls that are due, then probes of what is dead.

A device whose first group failed twice in a row is offline. It is then probed with growing pauses.
`turns.py` decides who goes first; a slow or dead device costs its neighbours at most a tenth of the
bus's time (P7).
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeVar

from gateway.core.clock import Clock
from gateway.core.errors import DeviceError
from gateway.core.model import Layout, Record
from gateway.schedule import missed, next_due_ms
from gateway.turns import Turn, choose

T = TypeVar("T")
FAILURES_TO_OFFLINE = 2
PROBE_PAUSE_MAX_S = 30.0
CLOCK_STEP_S = 0.5  # wall time that goes on so much more or less than it should was set
STEP_PAUSE_S = 30.0  # until a background job that had nothing to do is asked again

log = logging.getLogger(__name__)
Step = Callable[[], Awaitable[bool]]
"""A piece of background work on the bus; whether there is more to do at once."""


class Device(Protocol):
    """What can be polled."""

    @property
    def name(self) -> str: ...
    @property
    def intervals(self) -> Mapping[str, float]:
        """Seconds between polls, by group; the first is the one that a probe reads."""
        ...

    async def read(self, group: str) -> tuple[Layout, Record] | None:
        """Read one group; None where there is nothing in it. Raises DeviceError."""
        ...

    def wait_s(self) -> float:
        """So long it should be left alone: a late answer may still come, or it wants a pause."""
        ...


class PollSink(Protocol):
    """Who is told what the buses bring."""

    def took(self, layout: Layout, record: Record) -> None: ...
    def missed(self, device: str, polls: int) -> None: ...
    def lost(self, device: str, error: DeviceError) -> None: ...
    def found(self, device: str) -> None: ...


@dataclass(slots=True)
class _Health:
    """How a device has answered lately."""

    failures: int = 0
    offline: bool = False
    probe_at_s: float = 0  # monotonic


@dataclass(slots=True)
class _Slot:
    """A group of a device, and when it is due next."""

    device: Device
    group: str
    every_ms: int
    health: _Health
    turn: Turn
    is_first: bool  # of its device's groups: the one that a probe reads
    due_ms: int = 0


@dataclass(slots=True)
class _Background:
    """A job that runs when nothing else wants the bus."""

    step: Step
    turn: Turn = field(default_factory=lambda: Turn("background", 0))


class BusPoller:
    """Polls the devices of one bus."""

    def __init__(self, devices: Sequence[Device], sink: PollSink, clock: Clock) -> None:
        self._sink = sink
        self._clock = clock
        self._health = {device.name: _Health() for device in devices}
        self._slots = [
            _Slot(device, group, round(every_s * 1000), self._health[device.name], Turn(device.name, 0), not index)
            for device in devices
            for index, (group, every_s) in enumerate(device.intervals.items())
        ]
        self._probing = Turn("probes", 0, probe=True)  # all probes of the bus share one tenth
        self._background: list[_Background] = []
        self._commands: list[tuple[Callable[[], Awaitable[Any]], asyncio.Future[Any]]] = []
        self._resting: asyncio.Future[None] | None = None
        self._clock_offset_s = self._offset_s()

    async def run(self) -> None:
        """Poll for ever. Run until cancelled."""
        while True:
            while self._commands:
                await self._command(*self._commands.pop(0))
            self._watch_clock()
            work, wait_s = self._next()
            if isinstance(work, _Slot):
                await self._take_turn(work)
            elif work is not None:
                await self._run_step(work)
            else:
                await self._rest(wait_s)

    async def first(self, job: Callable[[], Awaitable[T]]) -> T:
        """Run `job` on the bus before anything else that waits; for commands. Raises what the job raises."""
        done: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self._commands.append((job, done))
        self._end_rest()
        return await done

    def aside(self, step: Step) -> None:
        """Run `step` again and again while nothing else wants the bus."""
        self._background.append(_Background(step))
        self._end_rest()

    def wake(self) -> None:
        """Probe what is dead at once: the network or an adapter is back."""
        for health in self._health.values():
            health.probe_at_s = 0
        self._probing.took_s = 0
        self._end_rest()

    async def _rest(self, wait_s: float) -> None:
        """Until `wait_s` are over, or `_end_rest` is called."""
        loop = asyncio.get_running_loop()
        self._resting = loop.create_future()
        timer = loop.call_later(wait_s, self._end_rest)
        try:
            await self._resting
        finally:
            timer.cancel()
            self._resting = None

    def _end_rest(self) -> None:
        if self._resting is not None and not self._resting.done():
            self._resting.set_result(None)

    async def _command(self, job: Callable[[], Awaitable[Any]], done: asyncio.Future[Any]) -> None:
        if done.cancelled():  # whoever asked has gone: a command is not done for nobody
            return
        try:
            result = await job()
        except asyncio.CancelledError:
            done.cancel()
            raise
        except Exception as error:  # the asker's to handle; the bus goes on
            if not done.done():
                done.set_exception(error)
        else:
            if not done.done():
                done.set_result(result)

    def _next(self) -> tuple[_Slot | _Background | None, float]:
        """What has the next turn; where nothing has, how long to wait."""
        now_ms, now_s = self._clock.wall_ms(), self._clock.monotonic_s()
        by_turn = {id(work.turn): work for work in self._wanting(now_ms, now_s)}
        alone = len(self._health) == 1 or all(health.offline for health in self._health.values())
        turn, wait_s = choose((work.turn for work in by_turn.values()), now_s, alone=alone)
        return (None if turn is None else by_turn[id(turn)]), wait_s

    def _wanting(self, now_ms: int, now_s: float) -> Iterator[_Slot | _Background]:
        for slot in self._slots:
            turn, health = slot.turn, slot.health
            turn.probe = health.offline
            if not health.offline:
                turn.due_s = now_s + (slot.due_ms - now_ms) / 1000
            elif slot.is_first:
                turn.due_s = health.probe_at_s
                turn.took_s, turn.ended_s = self._probing.took_s, self._probing.ended_s
            else:
                continue
            if wait_s := slot.device.wait_s():
                turn.due_s = max(turn.due_s, now_s + wait_s)
            yield slot
        yield from self._background

    async def _take_turn(self, slot: _Slot) -> None:
        was_offline = slot.health.offline
        begun_s = self._clock.monotonic_s()
        answered = await self._poll(slot)
        now_s, now_ms = self._clock.monotonic_s(), self._clock.wall_ms()
        slot.turn.took_s, slot.turn.ended_s = now_s - begun_s, now_s
        if slot.health.offline:
            self._probing.took_s, self._probing.ended_s = now_s - begun_s, now_s
            pause_s = 2.0 ** min(slot.health.failures - FAILURES_TO_OFFLINE, 10)
            slot.health.probe_at_s = now_s + min(PROBE_PAUSE_MAX_S, pause_s)
        if self._watch_clock():
            return
        if answered and slot.due_ms and not was_offline and (late := missed(slot.due_ms, slot.every_ms, now_ms)):
            self._sink.missed(slot.device.name, late)
        slot.due_ms = next_due_ms(slot.due_ms, slot.every_ms, now_ms)

    async def _run_step(self, work: _Background) -> None:
        begun_s = self._clock.monotonic_s()
        more = False
        try:
            more = await work.step()
        except DeviceError as error:
            log.info("background work put off", extra={"why": str(error)})
        except Exception:  # the bulkhead, as for polls
            log.exception("background work failed")
        now_s = self._clock.monotonic_s()
        work.turn.took_s, work.turn.ended_s = now_s - begun_s, now_s
        work.turn.due_s = now_s if more else now_s + STEP_PAUSE_S

    async def _poll(self, slot: _Slot) -> bool:
        """Read the slot's group and tell the sink; whether the device answered."""
        name = slot.device.name
        try:
            taken = await slot.device.read(slot.group)
            self._sink.found(name)
            if taken is not None:
                self._sink.took(*taken)
        except DeviceError as error:
            self._failed(slot, error)
            return False
        except Exception as error:  # the bulkhead: a driver's bug must not silence its neighbours
            log.exception("driver failed", extra={"device": name})
            self._failed(slot, DeviceError(f"the driver failed: {error!r}", hint="report this, with the log"))
            return False
        if slot.is_first:
            slot.health.failures = 0
        if slot.health.offline:
            slot.health.offline = False
            self._resume(name)
        return True

    def _failed(self, slot: _Slot, error: DeviceError) -> None:
        """Count it where it is the first group: one that fails beside it says nothing about the device."""
        if not slot.is_first:
            log.info("group not read", extra={"device": slot.device.name, "group": slot.group, "why": str(error)})
            return
        slot.health.failures += 1
        if slot.health.failures >= FAILURES_TO_OFFLINE:
            slot.health.offline = True
            self._sink.lost(slot.device.name, error)

    def _resume(self, name: str) -> None:
        """Poll a device that is back from now on, without what it missed."""
        now_ms = self._clock.wall_ms()
        for slot in self._slots:
            if slot.device.name == name:
                slot.due_ms = next_due_ms(now_ms, slot.every_ms, now_ms)

    def _watch_clock(self) -> bool:
        """Where the wall clock was set, take up the grid of the new time: nothing was missed. Whether it was."""
        offset_s = self._offset_s()
        if abs(offset_s - self._clock_offset_s) < CLOCK_STEP_S:
            return False
        self._clock_offset_s = offset_s
        now_ms = self._clock.wall_ms()
        for slot in self._slots:
            slot.due_ms = next_due_ms(now_ms, slot.every_ms, now_ms)
        return True

    def _offset_s(self) -> float:
        return self._clock.wall_ms() / 1000 - self._clock.monotonic_s()
