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
# What is delivered first and refused later says nothing of what was taken: there, so many in so long a time count.
LATE_S = 3600.0
REFUSED_S = 1800.0  # so long a hub that refuses everything, too late, is left in peace
HINT = "update the hub, or the gateway; nothing is lost meanwhile"

log = logging.getLogger(__name__)


class Condemning:
    """Of one stream; it keeps count of what is taken and condemned."""

    def __init__(self, kind: Kind, outbox: Outbox, link: Link, clock: Clock) -> None:
        self._kind = kind
        self._outbox = outbox
        self._link = link
        self._clock = clock
        self._in_a_row = 0
        self._late_s: list[float] = []  # monotonic: when something was condemned after its delivery
        self._refused_until_s = 0.0
        self._refused = ""

    def check(self) -> None:
        """Raises HubRefused while the hub is taken for one that refuses whatever is delivered."""
        if self._clock.monotonic_s() < self._refused_until_s:
            raise HubRefused(self._refused, hint=HINT)

    def taken(self) -> None:
        """The hub has taken something that was not empty."""
        self._in_a_row = 0

    async def condemn(self, one: Record | Event, error: PushError) -> None:
        """Put what the hub refused by itself, as `error` says, into quarantine.

        Raises HubRefused where it refuses everything, PushError, StorageError.
        """
        words = f"the hub refuses every batch: {error}"
        if self._in_a_row >= IN_A_ROW:
            raise HubRefused(words, hint=HINT)
        epoch = self._outbox.epoch
        empty = Records([]) if self._kind == "records" else Events([])
        try:
            await self._link.push(self._kind, Span(one.seq, one.seq), empty)
        except (BatchRefused, BatchTooLarge) as refusal:
            raise HubRefused(words, hint=HINT) from refusal
        self._in_a_row += 1
        await self._keep(epoch, one, str(error))

    async def condemn_delivered(self, one: Record | Event, why: str) -> bool:
        """Likewise, where the hub refuses it after its delivery; False: send it again later. Raises StorageError."""
        now_s = self._clock.monotonic_s()
        self._late_s = [at_s for at_s in self._late_s if at_s > now_s - LATE_S]
        if len(self._late_s) >= IN_A_ROW:
            self._refused, self._refused_until_s = f"the hub refuses every batch: {why}", now_s + REFUSED_S
            return False
        await self._keep(self._outbox.epoch, one, why)
        self._late_s.append(now_s)
        return True

    async def _keep(self, epoch: str, one: Record | Event, why: str) -> None:
        await self._outbox.quarantine.add(epoch, [(one, why)], self._clock.wall_ms())
        log.warning("put into quarantine", extra={"stream": self._kind, "seq": one.seq, "why": why})
