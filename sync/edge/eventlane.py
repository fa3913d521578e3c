"""The events' lane: the oldest first, in a stream of its own beside the records."""

import asyncio

from gateway.core.clock import Clock
from gateway.core.span import Span
from sync.edge import spans as span_math
from sync.edge.condemning import Condemning
from sync.edge.link import Link
from sync.edge.metering import LIVE_SHARE
from sync.edge.outbox import Outbox
from sync.edge.outgoing import Outgoing
from sync.edge.portions import Portion
from sync.edge.progress import Progress
from sync.edge.transport import BatchRefused, BatchTooLarge
from sync.wire import Events

EVENTS_MAX = 1_000
LOOK_S = 60.0  # so often it is looked at whether the buffer's file has become another


class EventLane:
    """`step` sends one batch."""

    def __init__(self, outbox: Outbox, link: Link, clock: Clock) -> None:
        self.outgoing = Outgoing("events", outbox)
        self.backoff = link.backoff()
        self.progress = Progress()
        self.oldest = 0  # ts of the oldest that is left, as far as it was looked at
        self.newest_sent = 0  # ts
        self._outbox = outbox
        self._link = link
        self._clock = clock
        self._portion = Portion(EVENTS_MAX)
        self.condemning = Condemning("events", outbox, link, clock)
        self._asked = asyncio.Event()

    def resend(self, again: list[Span]) -> None:
        self.outgoing.resend(again)
        self._asked.set()

    def divide(self, span: Span, at: int) -> None:
        self.outgoing.divide(span, at)
        self._asked.set()

    async def step(self) -> None:
        """Raises PushError, StorageError."""
        await self._restore()  # what waits is known, though nothing may be sent yet
        await self._outbox.released()
        await self._restore()
        left = self.outgoing.spans
        if not left:
            self.oldest = 0
            await self._wait()
            return
        self.condemning.check()
        self._link.meter.check(LIVE_SHARE)
        suspects = span_math.within(left, self._portion.suspect) if self._portion.suspect else ()
        if not suspects:
            self._portion = self._portion.cleared()
        wanted, _ = self.outgoing.front(suspects or left)
        await self._push(wanted)

    async def _restore(self) -> None:
        if await self.outgoing.restore():
            self._portion = self._portion.cleared()

    async def _wait(self) -> None:
        """Until there is more, or something is to be sent again."""
        self._asked.clear()
        more = asyncio.ensure_future(self.outgoing.head.wait_beyond(self.outgoing.reached))
        asked = asyncio.ensure_future(self._asked.wait())
        try:
            await asyncio.wait((more, asked), timeout=LOOK_S, return_when=asyncio.FIRST_COMPLETED)
        finally:
            more.cancel()
            asked.cancel()

    async def _push(self, wanted: Span) -> None:
        events = await self._outbox.read_events(wanted, self._portion.limit)
        if self._outbox.held or not self.outgoing.is_current:
            return
        take = self._portion.of(len(events))
        whole = take == len(events) < self._portion.limit
        events = events[:take]
        covered = wanted if whole else Span(wanted.lo, events[-1].seq + 1)
        self.oldest = events[0].ts if events else 0
        try:
            if events:
                await self._link.push("events", covered, Events(events), live=True)
                self.condemning.taken()
        except (BatchRefused, BatchTooLarge) as error:
            if len(events) == 1:
                await self.condemning.condemn(events[0], error)
                self.outgoing.done(covered)
                self._portion = self._portion.cleared()
            elif isinstance(error, BatchRefused):
                self._portion = self._portion.refused(covered)
            else:
                self._portion = self._portion.too_large(len(events))
            return
        self.outgoing.done(covered)
        self._portion = self._portion.done(covered, len(events))
        self.progress.add(self._clock.monotonic_s(), len(events))
        self.newest_sent = max(self.newest_sent, *(event.ts for event in events), 0)
