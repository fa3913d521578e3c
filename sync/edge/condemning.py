"""Who is wrong, the hub or the one record that it refuses? That decides what goes into quarantine."""

import logging

from gateway.core.clock import Clock
from gateway.core.errors import PushError
from gateway.core.model import Event, Record
from gateway.core.span import Span
from sync.edge.link import Link
from sync.edge.outbox import Kind, Outbox
from sync.edge.transport import BatchRefused, BatchTooLarge, HubRefused
from sync.wire import Events, Records

IN_A_ROW = 20  # refused one by one with nothing taken between: then it is the hub that is wrong

log = logging.getLogger(__name__)


class Condemning:
    """Of one stream; what it keeps count of is `taken` and `condemn`."""

    def __init__(self, kind: Kind, outbox: Outbox, link: Link, clock: Clock) -> None:
        self._kind = kind
        self._outbox = outbox
        self._link = link
        self._clock = clock
        self._in_a_row = 0

    def taken(self) -> None:
        """The hub has taken something that was not empty."""
        self._in_a_row = 0

    async def condemn(self, one: Record | Event, error: PushError) -> None:
        """Put what the hub refused by itself, as `error` says, into quarantine.

        Raises HubRefused where it refuses everything, PushError, StorageError.
        """
        words = f"the hub refuses every batch: {error}"
        if self._in_a_row >= IN_A_ROW:
            raise HubRefused(words, hint="update the hub, or the gateway; nothing is lost meanwhile")
        epoch = self._outbox.epoch
        empty = Records([]) if self._kind == "records" else Events([])
        try:
            await self._link.push(self._kind, Span(one.seq, one.seq), empty)
        except (BatchRefused, BatchTooLarge) as refusal:
            raise HubRefused(words, hint="update the hub, or the gateway; nothing is lost meanwhile") from refusal
        await self._outbox.quarantine.add(epoch, [(one, str(error))], self._clock.wall_ms())
        self._in_a_row += 1
        log.warning("put into quarantine", extra={"stream": self._kind, "seq": one.seq, "why": str(error)})
