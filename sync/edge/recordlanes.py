"""The records' two lanes: the live lane sends the newest end of what is new, the backlog lane the oldest of the rest.

Below `live_hi` everything is the backlog lane's, from there on the live lane's. They share one
connection; while the live lane has something to send, the backlog lane waits for it, but not while
the live lane waits for a hub that refuses it.
"""

import asyncio
import contextlib

from gateway.core.clock import Clock
from gateway.core.errors import PushError
from gateway.core.model import Record
from gateway.core.span import Span
from sync.edge import pieces
from sync.edge import spans as span_math
from sync.edge.condemning import Condemning
from sync.edge.layouts import LayoutSender
from sync.edge.link import Link
from sync.edge.metering import BACKLOG_SHARE, LIVE_SHARE
from sync.edge.outbox import Outbox
from sync.edge.outgoing import Outgoing
from sync.edge.portions import Portion
from sync.edge.progress import Progress
from sync.edge.transport import BatchRefused, BatchTooLarge
from sync.wire import Records

LIVE_RECORDS_MAX = 5_000
OLDEST_S = 1.0  # how often, while the backlog drains, it is looked how old the oldest is
LOOK_S = 60.0  # so often it is looked at whether the buffer's file has become another


class RecordLanes:
    """Both lanes; `live` and `backlog` make one step each."""

    def __init__(self, outbox: Outbox, link: Link, clock: Clock, layouts: LayoutSender, interval_s: float) -> None:
        self.outgoing = Outgoing("records", outbox)
        self.live_backoff, self.backlog_backoff = link.backoff(), link.backoff()
        self.progress, self.backlog_progress = Progress(), Progress()
        self.live_hi = 0
        self.newest_sent = 0  # ts
        self.oldest = 0  # ts of the oldest that is left
        self._oldest_of = -1  # its seq
        self._oldest_at_s = -1e9  # monotonic, when that was looked at
        self._outbox = outbox
        self._link = link
        self._clock = clock
        self._layouts = layouts
        self._interval_s = interval_s
        self.condemning = Condemning("records", outbox, link, clock)
        self._live_portion, self._portion = Portion(LIVE_RECORDS_MAX), Portion(pieces.RECORDS_MAX)
        self._live_at_s = -1e9  # monotonic, of the live lane's last push
        self._live_idle = asyncio.Event()  # the backlog lane may go
        self._more = asyncio.Event()  # for the backlog lane

    @property
    def left_over(self) -> span_math.Spans:
        """What is the backlog lane's."""
        return span_math.within(self.outgoing.spans, Span(0, self.live_hi))

    def done_s(self, now_s: float) -> float | None:
        """Until all that is here now is sent, for what is new waits for the live lane's turn; None: nobody knows."""
        left = self.backlog_progress.done_s(now_s, span_math.length(self.left_over))
        if left is None or not self.outgoing.spans:
            return left
        return max(left, self._live_at_s + self._interval_s - now_s)

    def resend(self, again: list[Span]) -> None:
        self.live_hi = max([self.live_hi, *(min(span.hi, self.outgoing.reached) for span in again)])  # it is no news
        self.outgoing.resend(again)
        self._more.set()

    def divide(self, span: Span, at: int) -> None:
        self.outgoing.divide(span, at)
        self._more.set()

    async def live(self) -> None:
        """One batch of the newest. Raises PushError, StorageError."""
        try:
            await self.restore()  # what waits is known, though nothing may be sent yet
            await self._hold()
            await self.restore()
            await self._wait_for_news()
            if self._outbox.held or not self.outgoing.is_current:
                return
            await self._look_at_oldest()
            self._live_at_s = -1e9  # after a failure the pause alone counts
            self.condemning.check()
            self._link.meter.check(LIVE_SHARE)
            news = span_math.within(self.outgoing.spans, Span(self.live_hi, self.outgoing.reached))
            if news:
                await self._push_live(span_math.newest(news, self._live_portion.limit))
            else:
                await self._link.push("records", Span(self.live_hi, self.live_hi), Records([]))  # a sign of life
                self._live_at_s = self._clock.monotonic_s()
        finally:
            self._live_idle.set()
            self._more.set()

    async def backlog(self) -> None:
        """One batch of the oldest. Raises PushError, StorageError."""
        await self._outbox.released()
        await self.restore()
        await self._wait_for_backlog()
        left = self.left_over
        if self._outbox.held or not self.outgoing.is_current or not left:
            return
        try:
            self.condemning.check()
            self._link.meter.check(BACKLOG_SHARE)
            suspects = span_math.within(left, self._portion.suspect) if self._portion.suspect else ()
            if not suspects:
                self._portion = self._portion.cleared()
            await self._push_backlog(*self.outgoing.front(suspects or left))
        except PushError:
            await self._look_at_oldest()  # it stays the oldest for a while
            raise
        if not self.left_over or self._clock.monotonic_s() >= self._oldest_at_s + OLDEST_S:
            await self._look_at_oldest()

    async def _hold(self) -> None:
        """Until the outbox lets go, send nothing but signs of life: their answers may bring the time."""
        pauses = self._link.backoff()
        while self._outbox.held:
            head = self._outbox.committed.reached
            push = self._link.push("records", Span(head, head), Records([]))
            if await self._link.attempt(self.live_backoff, push):
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(pauses.failed()):
                        await self._outbox.released()

    async def restore(self) -> None:
        """Take up what the buffer has kept, where that was not done. Raises StorageError."""
        if await self.outgoing.restore():
            self.live_hi = max(0, self.outgoing.reached - LIVE_RECORDS_MAX)
            self._portion = self._portion.cleared()
            await self._look_at_oldest()

    async def _wait_for_news(self) -> None:
        """Until the live lane's turn has come and there is news, or the hub never heard of us."""
        while True:
            since_s = self._clock.monotonic_s() - self._live_at_s
            news = span_math.within(self.outgoing.spans, Span(self.live_hi, self.outgoing.reached))
            if (news and since_s >= 0.9 * self._interval_s) or self._link.heard_s < 0:
                self._live_idle.clear()
                return
            self._live_idle.set()
            if news:
                await asyncio.sleep(self._interval_s - since_s)
                continue
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(LOOK_S):
                    await self._outbox.committed.wait_beyond(self.outgoing.reached)
            if not self.outgoing.is_current:
                return

    async def _wait_for_backlog(self) -> None:
        while self.outgoing.is_current and not self.left_over:
            self._more.clear()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(LOOK_S):
                    await self._more.wait()
        await self._live_idle.wait()  # it may send all that was left over

    async def _push_live(self, wanted: Span) -> None:
        started_s = self._clock.monotonic_s()
        covered, packs = await pieces.newest(self._outbox, wanted)
        if self._live_portion.cuts:
            records = await asyncio.to_thread(pieces.records, packs, covered)
            packs = await asyncio.to_thread(pieces.encoded, records, self._outbox.layouts)
        try:
            await self._push(covered, packs, self.progress, live=True)
        except BatchRefused:
            self.live_hi = covered.hi  # the backlog lane finds out which record it is
            raise
        except BatchTooLarge:
            count = len(await asyncio.to_thread(pieces.times, packs))
            if count <= 1:
                self.live_hi = covered.hi
                raise
            self._live_portion = self._live_portion.too_large(count)
            return
        self._live_at_s = started_s
        if self.outgoing.is_current:
            self.live_hi = covered.hi
            self._live_portion = self._live_portion.done(covered, len(covered), self._link.took_s)
            self.newest_sent = max(self.newest_sent, *pieces.times(packs), 0)
            await self._look_at_oldest()

    async def _push_backlog(self, wanted: Span, exact: bool) -> None:
        covered, packs = await pieces.front(self._outbox, wanted, self._portion.limit)
        records: list[Record] = []
        if exact or self._portion.cuts:
            records = await asyncio.to_thread(pieces.records, packs, covered)
            chosen = self._portion.of(len(records))
            hi = records[chosen].seq if chosen < len(records) else covered.hi
            covered, records = Span(covered.lo, hi), records[:chosen]
            packs = await asyncio.to_thread(pieces.encoded, records, self._outbox.layouts)
        try:
            await self._push(covered, packs, self.progress, self.backlog_progress)
        except (BatchRefused, BatchTooLarge) as error:
            if len(records) == 1:
                await self.condemning.condemn(records[0], error)
                self.outgoing.done(covered)
                self._portion = self._portion.cleared()
            elif isinstance(error, BatchRefused):
                self._portion = self._portion.refused(covered)
            else:
                self._portion = self._portion.too_large(
                    len(records) or len(await asyncio.to_thread(pieces.times, packs))
                )
        else:
            self._portion = self._portion.done(covered, len(records) or len(covered), self._link.took_s)

    async def _push(self, covered: Span, packs: list[bytes], *told: Progress, live: bool = False) -> None:
        """Of what is not there any more the hub need not know."""
        if packs:
            await self._layouts.push("records", covered, Records(packs), live=live)
            self.condemning.taken()
        self.outgoing.done(covered)
        for progress in told:  # of the records, and of the lane
            progress.add(self._clock.monotonic_s(), len(covered))

    async def _look_at_oldest(self) -> None:
        self._oldest_at_s = self._clock.monotonic_s()
        spans = self.outgoing.spans
        oldest = spans[0].lo if spans else -1
        if oldest != self._oldest_of:
            self.oldest = await self._outbox.measured_at(oldest) if spans else 0
            self._oldest_of = oldest
