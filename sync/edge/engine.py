"""The engine: empties the buffer's spans into the hub, the present first, the past beside it.

Records go in two lanes (recordlanes.py), events in one (eventlane.py); each has a backoff of its own,
so that what stops one of them stops no other.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping
from random import Random

from gateway.core.clock import Clock
from gateway.core.errors import PushError, StorageError
from gateway.core.span import Span
from gateway.core.status import StreamState, SyncState
from sync.edge import spans as span_math
from sync.edge.backoff import Backoff
from sync.edge.eventlane import EventLane
from sync.edge.layouts import LayoutSender
from sync.edge.link import Link
from sync.edge.outbox import Kind, Outbox
from sync.edge.recordlanes import RecordLanes
from sync.edge.rejected import Lane, Rejected
from sync.wire import Records

SILENCE_S = 60.0  # with a buffer that cannot be read the hub still hears of us
STORAGE_PAUSE_S = 2.0  # until a buffer that could not be read is asked again
QUIET_S = 60.0  # so often what is new goes over a line on which bytes are dear


class Engine:
    """Pushes one buffer to one hub."""

    def __init__(
        self, outbox: Outbox, link: Link, clock: Clock, random: Random, *, push_interval_s: float, quiet: bool = False
    ) -> None:
        self.storage_pause_s = STORAGE_PAUSE_S
        self._outbox = outbox
        self._link = link
        self._clock = clock
        layouts = LayoutSender(outbox, link)
        self._layouts = layouts
        interval_s = max(push_interval_s, QUIET_S) if quiet else push_interval_s
        self._records = RecordLanes(outbox, link, clock, layouts, interval_s)
        self._events = EventLane(outbox, link, clock)
        lanes: Mapping[Kind, Lane] = {"records": self._records, "events": self._events}
        self._rejected = Rejected(outbox, link, clock, layouts, lanes)
        link.hear(layouts.heard)
        link.hear(self._rejected.heard)

    async def run(self) -> None:
        """Push for ever. Run until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            records, events = self._records, self._events
            tasks.create_task(self._again_and_again(records.live_backoff, records.live), name="sync live")
            tasks.create_task(self._again_and_again(records.backlog_backoff, records.backlog), name="sync backlog")
            tasks.create_task(self._again_and_again(events.backoff, events.step), name="sync events")
            tasks.create_task(self._layouts.run(), name="sync layouts")
            tasks.create_task(self._rejected.run(), name="sync quarantine")
            tasks.create_task(self._link.meter.run(), name="sync meter")

    async def _again_and_again(self, backoff: Backoff, step: Callable[[], Awaitable[None]]) -> None:
        """One step after the other, after one that failed the pause that is due. Run until cancelled."""
        while True:
            try:
                await step()
            except PushError as error:
                await self._link.back_off(backoff, error)
            except StorageError:  # the buffer says so itself
                if self._clock.monotonic_s() >= self._link.heard_s + SILENCE_S:
                    await self._link.attempt(backoff, self._link.push("records", Span(0, 0), Records([])))
                await asyncio.sleep(self.storage_pause_s)
            else:
                backoff.succeeded()

    async def restored(self) -> None:
        """Until it is known which records the hub has. Raises StorageError."""
        await self._records.restore()

    def unsent(self) -> span_math.Spans:
        """The records that the hub has not acknowledged; all, until that was read."""
        return self._records.outgoing.spans

    def unsent_events(self) -> span_math.Spans:
        """Likewise."""
        return self._events.outgoing.spans

    def resend(self, spans: Iterable[Span]) -> None:
        """Send these records once more: the hub does not have them, or may not."""
        self._records.resend(list(spans))

    def resend_events(self, spans: Iterable[Span]) -> None:
        """Send these events once more."""
        self._events.resend(list(spans))

    async def acknowledged(self, epoch: str, records: Iterable[Span], events: Iterable[Span]) -> int:
        """The hub has these, of the buffer of this epoch, by another way; how many records are left.

        Raises StorageError.
        """
        await self._events.outgoing.acknowledged(epoch, events)
        return span_math.length(await self._records.outgoing.acknowledged(epoch, records))

    def state(self) -> SyncState:
        streams = (self._records_state(), self._events_state())
        link, meter = self._link, self._link.meter
        return SyncState(
            link.transport.name, link.connected, streams[0].backlog, link.acknowledged_at,
            link.error or next((stream.error for stream in streams if stream.error), ""), streams, link.transport.kind,
            quarantined=self._outbox.quarantine.count, bytes_today=meter.count, bytes_budget=meter.budget,
        )  # fmt: skip

    def _records_state(self) -> StreamState:
        lanes, now_s = self._records, self._clock.monotonic_s()
        spans = self.unsent()
        left_over = span_math.length(lanes.left_over)
        lane = lanes.backlog_backoff if left_over else lanes.live_backoff
        failing = [backoff for backoff in (lanes.backlog_backoff, lanes.live_backoff) if backoff.error]
        return StreamState(
            "records", self._outbox.committed.reached, span_math.length(spans), lanes.oldest if spans else 0,
            lanes.newest_sent, lanes.progress.per_s(now_s),
            None if spans and self._stopped(lane) else lanes.done_s(now_s),
            *_failure(failing, now_s),
        )  # fmt: skip

    def _events_state(self) -> StreamState:
        lane, now_s = self._events, self._clock.monotonic_s()
        left = span_math.length(lane.outgoing.spans)
        return StreamState(
            "events", self._outbox.events_committed.reached, left, lane.oldest if left else 0, lane.newest_sent,
            lane.progress.per_s(now_s),
            None if left and self._stopped(lane.backoff) else lane.progress.done_s(now_s, left),
            *_failure([lane.backoff] if lane.backoff.error else [], now_s),
        )  # fmt: skip

    def _stopped(self, lane: Backoff) -> bool:
        """Then the rate of the last minute says nothing of when all is sent."""
        return bool(self._link.error or lane.error)


def _failure(failing: list[Backoff], now_s: float) -> tuple[str, float]:
    """What went wrong, and the seconds until it is tried again."""
    if not failing:
        return "", 0.0
    return failing[0].error, max(0.0, min(backoff.next_at_s for backoff in failing) - now_s)
