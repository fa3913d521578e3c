"""The running site: what the buses bring goes to the buffer and to the live view, and from there to the page."""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from datetime import UTC, tzinfo
from typing import Protocol

import msgspec

from gateway import __version__
from gateway.buffer.boots import Boot
from gateway.buffer.buffer import Buffer
from gateway.busstate import BusWatch
from gateway.contacts import ContactLog
from gateway.core.clock import Clock
from gateway.core.errors import DeviceError
from gateway.core.model import Event, Layout, Record, Role
from gateway.core.status import (
    BufferState,
    ClockState,
    Contact,
    DeviceState,
    EnergyRow,
    History,
    Resolution,
    SiteState,
    SyncState,
    ThinnedRange,
)
from gateway.core.wording import span_text
from gateway.live import Live
from gateway.timekeeping import Timekeeper
from gateway.wear import Wear

WATCH_S = 5.0  # a burst of changes is one write of the connection log
REPEAT_S = 5  # buffer and sync change without a device, too
KNOWN_BY = {
    "kernel": "the machine's clock is synchronised", "hub": "the hub told the time", "set": "the clock was set by hand",
    "estimate": "",
}  # fmt: skip
COALESCE_S = 0.05  # changes within this go to the page as one; the buses poll at the same instants

log = logging.getLogger(__name__)


class Polled(Protocol):
    """A device on a bus, as the site shows it."""

    @property
    def name(self) -> str: ...
    @property
    def role(self) -> Role: ...
    @property
    def profile_name(self) -> str: ...
    @property
    def unit_id(self) -> int: ...
    @property
    def why_missing(self) -> Mapping[str, str]: ...


class RunningSite:
    """Is told by the buses (`PollSink`), asked by the page (`local_ui.site.Site`)."""

    def __init__(
        self, name: str, buffer: Buffer, live: Live, clock: Clock, sync_state: Callable[[], SyncState],
        zone: tzinfo = UTC, timekeeper: Timekeeper | None = None, wear: Wear | None = None,
        repeat_s: float = REPEAT_S,
    ) -> None:  # fmt: skip
        """Without a `timekeeper`, what `clock` says is right."""
        self._name = name
        self._zone = zone
        self._buffer = buffer
        self._live = live
        self._clock = clock
        self._sync_state = sync_state
        self._timekeeper = timekeeper
        self._wear = wear
        self._repeat_s = repeat_s
        self._buses: list[BusWatch] = []
        self._polled: dict[str, tuple[Polled, BusWatch]] = {}
        self._contact_log = ContactLog(buffer.notebook, clock)
        self._watching: dict[str, tuple[Callable[[], None], Callable[[], None]]] = {}

    def add_bus(self, watch: BusWatch, devices: Sequence[Polled]) -> None:
        """Show a bus and its devices."""
        self._buses.append(watch)
        for device in devices:
            self._live.add(device.name, device.role, device.profile_name, bus=watch.name, unit_id=device.unit_id)
            self._polled[device.name] = device, watch

    def watch_presence(self, device: str, *, found: Callable[[], None], lost: Callable[[], None]) -> None:
        """Call `found` when the device begins to answer, and `lost` when it no longer does."""
        self._watching[device] = found, lost

    def took(self, layout: Layout, record: Record) -> None:
        if self._timekeeper is not None:
            record = self._timekeeper.stamped(record)
        self._buffer.put(layout, [record])
        self._live.took(layout, record)

    def missed(self, device: str, polls: int) -> None:
        self._live.missed(device, polls)

    def lost(self, device: str, error: DeviceError) -> None:
        if self._live.lost(device, error):
            log.warning("device offline", extra={"device": device, "why": str(error)})
            self._note_contact(device, "offline", str(error))
            if device in self._watching:
                self._watching[device][1]()
            self.event("device_offline", device, str(error))

    def found(self, device: str) -> None:
        if self._live.found(device):
            log.info("device online", extra={"device": device})
            self._note_contact(device, "online")
            if device in self._watching:
                self._watching[device][0]()
            self.event("device_online", device)

    def event(self, kind: str, device: str = "", detail: str = "") -> None:
        self._buffer.put_event(Event(self._clock.wall_ms(), kind, device, detail))

    @property
    def time_known(self) -> bool:
        """Whether what others say of the time can be judged."""
        return self._timekeeper is None or self._timekeeper.known

    def clock_known(self, boot: Boot, until_ms: int) -> None:
        """See `gateway.timekeeping.Listener`."""
        by_ms = boot.correction
        self._buffer.time_known(boot, until_ms)
        self._live.retimed(by_ms)
        self._contact_log.retimed(by_ms)
        moved = f"{span_text(by_ms)} {'later' if by_ms > 0 else 'earlier'} than they were" if by_ms else "as they were"
        self.event("clock_known", detail=f"{KNOWN_BY[boot.source]}; the times of this start are {moved}")

    def clock_stepped(self, by_ms: int) -> None:
        """See `gateway.timekeeping.Listener`."""
        if by_ms < 0:
            self._buffer.overlap.begin(self._clock.wall_ms() - by_ms)
        self.event("clock_stepped", detail=f"it was set {'forward' if by_ms > 0 else 'back'} by {span_text(by_ms)}")

    def _note_contact(self, device: str, status: str, error: str = "") -> None:
        self._contact_log.note(device, status, error, self._response_ms(device))

    def _response_ms(self, device: str) -> float | None:
        polled, watch = self._polled.get(device, (None, None))
        return None if polled is None or watch is None else watch.response_ms(polled.unit_id)

    async def watch_buses(self) -> None:
        """Count the loads, and write the connection log. Run until cancelled."""
        while True:
            await asyncio.sleep(WATCH_S)
            await self.look_at_buses()

    async def look_at_buses(self) -> None:
        """Once what `watch_buses` does again and again."""
        for bus in self._buses:
            bus.mark()
        known = (state for state in self._live.devices() if state.name in self._polled and state.presence != "starting")
        await self._contact_log.write((s.name, s.presence, s.reason, self._response_ms(s.name)) for s in known)

    async def contacts(self, device: str) -> list[Contact]:
        """See `local_ui.site.Site`."""
        if device not in self._polled:
            raise KeyError(f"there is no device {device}")
        return await self._buffer.notebook.contacts(device)

    def state(self) -> SiteState:
        """See `local_ui.site.Site`."""
        buses = tuple(bus.state() for bus in self._buses)
        return msgspec.structs.replace(self._state_since(-1), buses=buses)

    async def changes(self) -> AsyncIterator[SiteState]:
        """See `local_ui.site.Site`."""
        seen = -1
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._repeat_s):
                    await self._live.changed.wait_beyond(seen)
            if seen >= 0:
                await asyncio.sleep(COALESCE_S)
            reached = self._live.changed.reached
            state = self._state_since(seen)
            seen = reached
            yield state

    def _state_since(self, version: int) -> SiteState:
        return SiteState(
            site=self._name, version=__version__, now=self._clock.wall_ms(),
            devices=tuple(map(self._with_reasons, self._live.devices(version))),
            buffer=self._buffer_state(), sync=self._sync_state(), clock=self._clock_state(),
        )  # fmt: skip

    def _clock_state(self) -> ClockState:
        return ClockState(True, "set") if self._timekeeper is None else self._timekeeper.state()

    def _buffer_state(self) -> BufferState:
        state = self._buffer.state()
        if self._wear is None:
            return state
        per_day = self._wear.bytes_per_day()
        return msgspec.structs.replace(state, written_per_day=per_day, card_years=self._wear.years(per_day))

    def thinned(self) -> list[ThinnedRange]:
        """See `local_ui.site.Site`."""
        return self._buffer.keeping.thinned

    async def set_pace(self, commit_s: float | None) -> None:
        """See `local_ui.site.Site`."""
        await self._buffer.pace.choose(commit_s)
        self.event("commit_interval_changed", detail=f"a commit every {self._buffer.pace.commit_s:g} s")

    def _with_reasons(self, state: DeviceState) -> DeviceState:
        polled = self._polled.get(state.name)
        if polled is None or not (reasons := polled[0].why_missing):
            return state
        return msgspec.structs.replace(state, why_missing=dict(reasons))

    @property
    def zone(self) -> tzinfo:
        """See `local_ui.site.Site`."""
        return self._zone

    async def history(
        self, device: str, key: str, since_ms: int, until_ms: int, resolution: Resolution | None = None
    ) -> History:
        """See `local_ui.site.Site`."""
        return await self._buffer.history(device, key, since_ms, until_ms, resolution)

    async def energy(self, device: str, key: str, bounds_ms: Sequence[int]) -> tuple[EnergyRow, ...]:
        """See `local_ui.site.Site`."""
        return await self._buffer.energy(device, key, bounds_ms)
