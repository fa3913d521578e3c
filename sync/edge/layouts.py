"""Layouts go to the hub when it asks for them: before the batch that it needs them for, or at its word."""

import asyncio
import logging
from collections.abc import Iterable

import msgspec

from gateway.core.span import Span
from sync.edge.link import Link
from sync.edge.outbox import Outbox
from sync.edge.transport import HubRefused, LayoutsWanted
from sync.wire import Answer, BatchType, Layouts

log = logging.getLogger(__name__)
ASK_THE_HUB = "look into the hub's log"


class LayoutSender:
    """Sends them."""

    def __init__(self, outbox: Outbox, link: Link) -> None:
        self._outbox = outbox
        self._link = link
        self._backoff = link.backoff()
        self._wanted: set[str] = set()
        self._asked = asyncio.Event()

    async def push(
        self, batch_type: BatchType, span: Span, batch: msgspec.Struct, *, epoch: str = "", live: bool = False
    ) -> Answer:
        """As `Link.push`; the layouts that the hub lacks for the batch go before it."""
        try:
            return await self._link.push(batch_type, span, batch, epoch=epoch, live=live)
        except LayoutsWanted as missing:
            await self.send(missing.wanted)
        try:
            return await self._link.push(batch_type, span, batch, epoch=epoch, live=live)
        except LayoutsWanted as still:
            raise HubRefused("the hub asks again for layouts that it has just taken", hint=ASK_THE_HUB) from still

    async def send(self, wanted: Iterable[str]) -> None:
        """Raises PushError."""
        ids = [bytes.fromhex(layout_id) for layout_id in wanted]
        layouts = [self._outbox.layouts[layout_id].encoded for layout_id in ids if layout_id in self._outbox.layouts]
        if len(layouts) < len(ids):
            raise HubRefused("the hub asks for layouts that this gateway never had", hint=ASK_THE_HUB)
        await self._link.push("layouts", Span(0, len(layouts)), Layouts(layouts), live=True)

    async def heard(self, answer: Answer) -> None:
        """The hub says by itself what it lacks."""
        if answer.wanted:
            self._wanted |= set(answer.wanted)
            self._asked.set()

    async def run(self) -> None:
        """Send what the hub has asked for by itself. Run until cancelled."""
        while True:
            await self._asked.wait()
            wanted, self._wanted = self._wanted, set()
            self._asked.clear()
            known = sorted(one for one in wanted if bytes.fromhex(one) in self._outbox.layouts)
            if len(known) < len(wanted):  # of a file that was set aside; the hub goes on asking
                log.warning("the hub asks for layouts that are gone", extra={"count": len(wanted) - len(known)})
            if known and not await self._link.attempt(self._backoff, self.send(known)):
                self._wanted |= set(known)
                self._asked.set()
