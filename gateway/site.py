"""The running site: what the buses bring goes to the buffer and to the live view, and from there to the page."""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Callable

from gateway import __version__
from gateway.buffer.buffer import Buffer
from gateway.core.clock import Clock
from gateway.core.errors import DeviceError
from gateway.core.model import Event, Layout, Record
from gateway.core.status import HistoryRow, SiteState, SyncState
from gateway.live import Live

REPEAT_S = 5  # buffer and sync change without a device, too
COALESCE_S = 0.05  # changes within this go to the page as one; the buses poll at the same instants

log = logging.getLogger(__name__)


class RunningSite:
    """Is told by the buses (`PollSink`), asked by the page (`local_ui.site.Site`)."""

    def __init__(
        self, name: str, buffer: Buffer, live: Live, clock: Clock, sync_state: Callable[[], SyncState]
    ) -> None:
        self._name = name
        self._buffer = buffer
        self._live = live
        self._clock = clock
        self._sync_state = sync_state

    def took(self, layout: Layout, record: Record) -> None:
        self._buffer.put(layout, [record])
        self._live.took(layout, record)

    def missed(self, device: str, polls: int) -> None:
        self._live.missed(device, polls)

    def lost(self, device: str, error: DeviceError) -> None:
        if self._live.lost(device, error):
            log.warning("device offline", extra={"device": device, "why": str(error)})
            self.event("device_offline", device, str(error))

    def found(self, device: str) -> None:
        if self._live.found(device):
            log.info("device online", extra={"device": device})
            self.event("device_online", device)

    def event(self, kind: str, device: str = "", detail: str = "") -> None:
        self._buffer.put_event(Event(self._clock.wall_ms(), kind, device, detail))

    def state(self) -> SiteState:
        """See `local_ui.site.Site`."""
        return self._state_since(-1)

    async def changes(self) -> AsyncIterator[SiteState]:
        """See `local_ui.site.Site`."""
        seen = -1
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(REPEAT_S):
                    await self._live.changed.wait_beyond(seen)
            if seen >= 0:
                await asyncio.sleep(COALESCE_S)
            reached = self._live.changed.reached
            state = self._state_since(seen)
            seen = reached
            yield state

    def _state_since(self, version: int) -> SiteState:
        return SiteState(
            site=self._name, version=__version__, now=self._clock.wall_ms(), devices=self._live.devices(version),
            buffer=self._buffer.state(), sync=self._sync_state(),
        )  # fmt: skip

    async def history(self, device: str, key: str, since_ms: int) -> list[HistoryRow]:
        """See `local_ui.site.Site`."""
        for layout in self._live.layouts(device):
            for index, point in enumerate(layout.points):
                if point.key == key:
                    records = await self._buffer.history(layout, since_ms)
                    values = ((record.ts, point.value(layout.rows.unpack(record.row)[index])) for record in records)
                    return [HistoryRow(ts, value if isinstance(value, int | float) else None) for ts, value in values]
        raise KeyError(f"{device} has no point {key}")
