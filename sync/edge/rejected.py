"""What the hub rejects goes into quarantine; what somebody wants sent again leaves it when the hub has it."""

import asyncio
import contextlib
import logging

from gateway.core import codec
from gateway.core.clock import Clock
from gateway.core.errors import StorageError
from gateway.core.model import Event, Record
from gateway.core.span import Span
from sync.edge.backoff import Backoff
from sync.edge.layouts import LayoutSender
from sync.edge.link import Link
from sync.edge.outbox import Kind, Outbox, Refused
from sync.edge.transport import BatchRefused, BatchTooLarge
from sync.wire import Answer, Events, Records, parse_cursor

READ_AT_ONCE = 20_000  # records
AGAIN_AT_ONCE = 100
STORAGE_PAUSE_S = 2.0
NOT_SAID = "sent again; the hub has not said whether it took it"

log = logging.getLogger(__name__)


class Rejected:
    """Hears the hub's answers, and sends again."""

    def __init__(self, outbox: Outbox, link: Link, clock: Clock, layouts: LayoutSender) -> None:
        self._outbox = outbox
        self._link = link
        self._clock = clock
        self._layouts = layouts
        self._backoff = Backoff(link.random)

    async def heard(self, answer: Answer) -> None:
        """Keep the records that it rejects: the hub has the rest of their batch. Raises StorageError."""
        if not answer.rejected:
            return
        reasons = {rejection.seq: rejection.reason for rejection in answer.rejected}
        try:
            epoch = parse_cursor(answer.cursor).epoch
        except ValueError:
            epoch = ""
        if epoch != self._outbox.epoch:
            log.warning("the hub rejects records of another file", extra={"cursor": answer.cursor})
            return
        found = await self._find(set(reasons))
        refused = [(record, reasons[record.seq]) for record in found]
        await self._outbox.quarantine.add(epoch, refused, self._clock.wall_ms())
        log.warning("records put into quarantine", extra={"records": len(found), "why": answer.rejected[0].reason})

    async def _find(self, seqs: set[int]) -> list[Record]:
        """Those that are still there. Raises StorageError."""
        found: dict[int, Record] = {}
        left = Span(min(seqs), max(seqs) + 1)
        while left:
            covered, packs = await self._outbox.read(left, READ_AT_ONCE)
            for pack in packs:
                records = await asyncio.to_thread(codec.readable, pack)
                found |= {record.seq: record for record in records if record.seq in seqs}
            left = Span(covered.hi, left.hi)
        return list(found.values())

    async def run(self) -> None:
        """Send again what somebody wants sent again. Run until cancelled."""
        asked = 0
        while True:
            asked = await self._outbox.quarantine.asked.wait_beyond(asked)
            for kind in ("records", "events"):
                await self._send_all(kind)

    async def _send_all(self, kind: Kind) -> None:
        failed: set[int] = set()  # spoilt, or of a layout that is gone
        while True:
            with contextlib.suppress(StorageError):
                wanted = await self._outbox.quarantine.wanted(kind, AGAIN_AT_ONCE)
                if not (left := [one for one in wanted if one.id not in failed]):
                    return
                for one in left:
                    if await self._link.attempt(self._backoff, self._send(kind, one)):
                        failed.add(one.id)
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
        try:
            answer = await self._layouts.push(kind, Span(content.seq, content.seq + 1), batch, epoch=one.epoch)
        except (BatchRefused, BatchTooLarge) as error:
            reason = str(error)
        else:
            if answer.accepted + answer.duplicate:
                await self._outbox.quarantine.drop([one.id])
                return
            reason = answer.rejected[0].reason if answer.rejected else NOT_SAID
        await self._outbox.quarantine.add(one.epoch, [(content, reason)], self._clock.wall_ms())

    def _batch(self, content: Record | Event) -> Records | Events:
        """Raises KeyError for a record of a layout that is not known any more."""
        if isinstance(content, Event):
            return Events([content])
        return Records([codec.encode([content], self._outbox.layouts)])
