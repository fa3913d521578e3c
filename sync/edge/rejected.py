"""What the hub rejects goes into quarantine; what somebody wants sent again leaves it when the hub has it."""

import asyncio
import contextlib
import logging
from collections.abc import Mapping, Sequence
from typing import Protocol

from gateway.core import codec
from gateway.core.clock import Clock
from gateway.core.errors import StorageError
from gateway.core.model import Event, Record
from gateway.core.span import Span
from sync.edge.condemning import Condemning
from sync.edge.layouts import LayoutSender
from sync.edge.link import Link
from sync.edge.outbox import Kind, Outbox, Refused
from sync.edge.transport import BatchRefused, BatchTooLarge
from sync.wire import Answer, Cursor, Events, Records, parse_cursor

READ_AT_ONCE = 20_000  # records
AGAIN_AT_ONCE = 100
STORAGE_PAUSE_S = 2.0
NOT_SAID = "sent again; the hub has not said yet whether it took it"
UNANSWERED_MAX = 1000

log = logging.getLogger(__name__)


class Lane(Protocol):
    """What a stream's lanes do about a batch that the hub refuses after its delivery."""

    condemning: Condemning

    def divide(self, span: Span, at: int) -> None: ...
    def resend(self, again: list[Span]) -> None: ...


class Rejected:
    """Hears the hub's answers, and sends again."""

    def __init__(
        self, outbox: Outbox, link: Link, clock: Clock, layouts: LayoutSender, lanes: Mapping[Kind, Lane]
    ) -> None:
        self._outbox = outbox
        self._link = link
        self._clock = clock
        self._layouts = layouts
        self._lanes = lanes
        self._backoff = link.backoff()
        self._unanswered: dict[tuple[str, str], tuple[Refused, Record | Event]] = {}  # by kind and cursor: sent again

    async def heard(self, answer: Answer) -> None:
        """Keep what it rejects: the hub has the rest of the batch. Raises StorageError.

        Where it refuses the whole, after the batch was delivered, it is to come again in two, down to a single one.
        """
        kind: Kind = "events" if answer.type == "events" else "records"
        if answer.wanted or answer.type not in ("", "records", "events"):
            return
        if (kind, answer.cursor) in self._unanswered:
            await self._settle(kind, answer)
        elif answer.rejected or answer.error:
            await self._refused(kind, answer)

    async def _settle(self, kind: Kind, answer: Answer) -> None:
        """What was sent again leaves the quarantine, or stays with the newer reason."""
        reason = answer.rejected[0].reason if answer.rejected else answer.error
        if not (is_taken := answer.accepted + answer.duplicate > 0) and not reason:
            return  # it is delivered, no more
        one, content = self._unanswered.pop((kind, answer.cursor))
        if is_taken:
            await self._outbox.quarantine.drop([one.id])
        else:
            await self._outbox.quarantine.add(one.epoch, [(content, reason)], self._clock.wall_ms())

    async def _refused(self, kind: Kind, answer: Answer) -> None:
        try:
            cursor = parse_cursor(answer.cursor)
        except ValueError:
            return  # not about a batch
        if cursor.epoch != self._outbox.epoch:
            log.warning("the hub refuses what was in another file", extra={"cursor": answer.cursor})
        elif answer.rejected:
            reasons = {rejection.seq: rejection.reason for rejection in answer.rejected}
            found = await self._find(kind, Span(min(reasons), max(reasons) + 1))
            await self._keep([(one, reasons[one.seq]) for one in found if one.seq in reasons])
        else:
            span = Span(cursor.lo, cursor.hi)
            found = await self._find(kind, span)
            if found and len(span) == 1:  # else something may have gone with it that a disk has spoilt
                if not await self._lanes[kind].condemning.condemn_delivered(found[0], answer.error):
                    self._lanes[kind].resend([span])
            elif found:
                self._lanes[kind].divide(span, max(found[len(found) // 2].seq, span.lo + 1))

    async def _keep(self, refused: Sequence[tuple[Record | Event, str]]) -> None:
        if refused:
            await self._outbox.quarantine.add(self._outbox.epoch, refused, self._clock.wall_ms())
            log.warning("put into quarantine", extra={"count": len(refused), "why": refused[0][1]})

    async def _find(self, kind: Kind, span: Span) -> Sequence[Record | Event]:
        """What is still there of it, by seq. Raises StorageError."""
        if kind == "events":
            return await self._outbox.read_events(span, len(span))
        found: dict[int, Record] = {}
        left = span
        while left:
            covered, packs = await self._outbox.read(left, READ_AT_ONCE)
            for pack in packs:
                records = await asyncio.to_thread(codec.readable, pack)
                found |= {record.seq: record for record in records if span.lo <= record.seq < span.hi}
            left = Span(covered.hi, left.hi)
        return [found[seq] for seq in sorted(found)]

    async def run(self) -> None:
        """Send again what somebody wants sent again. Run until cancelled."""
        asked = 0
        while True:
            asked = await self._outbox.quarantine.asked.wait_beyond(asked)
            for kind in ("records", "events"):
                await self._send_all(kind)

    async def _send_all(self, kind: Kind) -> None:
        tried: set[int] = set()  # of these some stay wanted: spoilt, or of a layout that is gone
        while True:
            with contextlib.suppress(StorageError):
                wanted = await self._outbox.quarantine.wanted(kind, len(tried) + AGAIN_AT_ONCE)
                if not (left := [one for one in wanted if one.id not in tried]):
                    return
                for one in left:
                    if await self._link.attempt(self._backoff, self._send(kind, one)):
                        tried.add(one.id)
                continue
            await asyncio.sleep(STORAGE_PAUSE_S)

    async def _send(self, kind: Kind, one: Refused) -> None:
        """Raises PushError, StorageError."""
        try:
            content = one.content
            batch = self._batch(content)
        except (ValueError, KeyError) as error:
            log.warning("cannot be sent again", extra={"id": one.id, "why": str(error)})
            return
        span = Span(content.seq, content.seq)  # to a batch of no span the hub answers always, over a broker too
        cursor = str(Cursor(one.epoch, span.lo, span.hi))
        self._unanswered[kind, cursor] = one, content
        if len(self._unanswered) > UNANSWERED_MAX:
            del self._unanswered[next(iter(self._unanswered))]
        try:
            await self._layouts.push(kind, span, batch, epoch=one.epoch)
        except (BatchRefused, BatchTooLarge) as error:
            await self._settle(kind, Answer(cursor, error=str(error)))
        if (kind, cursor) in self._unanswered:
            await self._outbox.quarantine.add(one.epoch, [(content, NOT_SAID)], self._clock.wall_ms())

    def _batch(self, content: Record | Event) -> Records | Events:
        """Raises KeyError for a record of a layout that is not known any more."""
        if isinstance(content, Event):
            return Events([content])
        return Records([codec.encode([content], self._outbox.layouts)])
