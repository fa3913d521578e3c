"""One task owns a bus: it polls each group of each device when it is due, and probes what is dead.

A device that failed twice in a row is offline. It is then probed with growing pauses, and all
probes of a bus together take at most a tenth of its time (P7): after one that took t, none starts
for 9 t.
"""

import asyncio
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from gateway.core.clock import Clock
from gateway.core.errors import DeviceError
from gateway.core.model import Layout, Record
from gateway.schedule import missed, next_due_ms

FAILURES_TO_OFFLINE = 2
PROBE_PAUSE_MAX_S = 60.0
PROBE_SHARE = 0.1
PROBE_PATIENCE_S = 10.0  # on a bus that is never idle, a probe that waited longer goes first

log = logging.getLogger(__name__)


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


class PollSink(Protocol):
    """Who is told what the buses bring."""

    def took(self, layout: Layout, record: Record) -> None: ...
    def missed(self, device: str, polls: int) -> None: ...
    def lost(self, device: str, error: DeviceError) -> None: ...
    def found(self, device: str) -> None: ...


@dataclass(slots=True)
class _Slot:
    """A group of a device, and when it is due next."""

    device: Device
    group: str
    every_ms: int
    due_ms: int


@dataclass(slots=True)
class _Health:
    """How a device has answered lately."""

    failures: int = 0
    offline: bool = False
    probe_at_s: float = 0  # monotonic


class BusPoller:
    """Polls the devices of one bus."""

    def __init__(self, devices: Sequence[Device], sink: PollSink, clock: Clock) -> None:
        self._sink = sink
        self._clock = clock
        self._slots = [
            _Slot(device, group, round(every_s * 1000), 0)
            for device in devices
            for group, every_s in device.intervals.items()
        ]
        self._health = {device.name: _Health() for device in devices}
        self._next_probe_s = 0.0

    async def run(self) -> None:
        """Poll for ever. Run until cancelled."""
        while True:
            slot = await self._due()
            health = self._health[slot.device.name]
            begun_s = self._clock.monotonic_s()
            answered = await self._poll(slot, health)
            if not answered and health.offline:
                self._put_off_probes(health, self._clock.monotonic_s() - begun_s)
            now_ms = self._clock.wall_ms()
            if answered and slot.due_ms and (late := missed(slot.due_ms, slot.every_ms, now_ms)):
                self._sink.missed(slot.device.name, late)
            slot.due_ms = next_due_ms(slot.due_ms, slot.every_ms, now_ms)

    async def _due(self) -> _Slot:
        """The next slot to poll, when its time has come; devices that answer go before probes, but not for ever."""
        while True:
            now_ms, now_s = self._clock.wall_ms(), self._clock.monotonic_s()
            waits = [
                (self._wait_s(slot, now_ms, now_s), self._health[slot.device.name].offline, slot)
                for slot in self._slots
            ]
            ready = [
                (offline and wait_s > -PROBE_PATIENCE_S, slot.due_ms, slot)
                for wait_s, offline, slot in waits
                if wait_s <= 0
            ]
            if ready:
                return min(ready, key=lambda entry: entry[:2])[2]
            await asyncio.sleep(min(wait_s for wait_s, _, _ in waits))

    def _wait_s(self, slot: _Slot, now_ms: int, now_s: float) -> float:
        health = self._health[slot.device.name]
        if health.offline:
            is_probe = slot.group == next(iter(slot.device.intervals))
            return max(health.probe_at_s, self._next_probe_s) - now_s if is_probe else PROBE_PAUSE_MAX_S
        wait_ms = slot.due_ms - now_ms
        if wait_ms > slot.every_ms:  # the clock was set back
            slot.due_ms = next_due_ms(slot.due_ms, slot.every_ms, now_ms)
            wait_ms = slot.due_ms - now_ms
        return wait_ms / 1000

    async def _poll(self, slot: _Slot, health: _Health) -> bool:
        """Read the slot's group and tell the sink; whether the device answered."""
        name = slot.device.name
        try:
            taken = await slot.device.read(slot.group)
        except DeviceError as error:
            self._failed(name, health, error)
            return False
        except Exception as error:  # the bulkhead: a driver's bug must not silence its neighbours
            log.exception("driver failed", extra={"device": name})
            self._failed(name, health, DeviceError(f"the driver failed: {error!r}", hint="report this, with the log"))
            return False
        health.failures = 0
        if health.offline:
            health.offline = False
            self._resume(name)
        self._sink.found(name)
        if taken is not None:
            self._sink.took(*taken)
        return True

    def _failed(self, name: str, health: _Health, error: DeviceError) -> None:
        health.failures += 1
        if health.failures >= FAILURES_TO_OFFLINE:
            health.offline = True
            self._sink.lost(name, error)

    def _put_off_probes(self, health: _Health, took_s: float) -> None:
        now_s = self._clock.monotonic_s()
        self._next_probe_s = now_s + took_s * (1 / PROBE_SHARE - 1)
        health.probe_at_s = now_s + min(PROBE_PAUSE_MAX_S, 2.0 ** min(health.failures - FAILURES_TO_OFFLINE, 10))

    def _resume(self, name: str) -> None:
        """Poll a device that is back from now on, without what it missed."""
        now_ms = self._clock.wall_ms()
        for slot in self._slots:
            if slot.device.name == name:
                slot.due_ms = next_due_ms(now_ms, slot.every_ms, now_ms)
