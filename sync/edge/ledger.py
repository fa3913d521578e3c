"""The ledger (P10): tells the hub what is held of each layout's hours, and sends again what the hub lacks.

A round compares what was taken in the last day, and so much of what is older that a week compares everything. Where
something differs, the next round comes at once and compares all there is: a hub restored from a backup is made whole.
"""

import asyncio
import contextlib
import logging
from collections.abc import Collection, Sequence
from typing import Protocol

from gateway.core.accounts import EVENTS, HOUR_MS, Account, Held
from gateway.core.clock import Clock
from gateway.core.errors import StorageError
from gateway.core.model import Event
from gateway.core.span import Span
from sync.edge.backoff import Backoff
from sync.edge.hours import batches, can_be_asked, remedy
from sync.edge.link import Link
from sync.edge.metering import BACKLOG_SHARE
from sync.edge.transport import BatchRefused, BatchTooLarge
from sync.edge.weekly import place, portion
from sync.wire import Answer, Cursor, Hour, Ledger

DAY_MS = 24 * HOUR_MS
SOON_S = 60.0  # after the start
END = 1 << 62
WAITING_MAX = 20  # batches that an answer may still come to
STORAGE_PAUSE_S = 60.0

log = logging.getLogger(__name__)


class Accounts(Protocol):
    """What the buffer holds. Raises StorageError."""

    async def oldest(self) -> int: ...
    async def since(self, ts: int) -> int: ...
    async def held(self, wanted: Span, without: Collection[tuple[bytes, int]]) -> tuple[int, list[Held]]:
        """Of the hours that the front of `wanted` touches, all that is held; and where that front ends."""
        ...

    async def held_events(self, since: int) -> list[Held]: ...
    async def settle(self, held: Held, hub_digest: int, *, told: bool) -> None: ...


class Outbox(Protocol):
    """What else the ledger needs of the buffer."""

    @property
    def epoch(self) -> str: ...
    @property
    def generation(self) -> int: ...
    @property
    def head(self) -> int: ...
    @property
    def held(self) -> bool:
        """Whether times are still going to be corrected: then there is nothing to compare yet."""
        ...

    def put_event(self, event: Event) -> None: ...


class Sender(Protocol):
    """The engine."""

    def unsent(self) -> Sequence[Span]:
        """The records that the hub has not acknowledged, in order."""
        ...

    def unsent_events(self) -> Sequence[Span]: ...
    def resend(self, spans: Sequence[Span]) -> None: ...
    def resend_events(self, spans: Sequence[Span]) -> None: ...


class NotCompared(Exception):
    """The hub takes no ledgers."""


class Comparison:
    """Compares each `every_s`, and when asked to."""

    def __init__(
        self, accounts: Accounts, outbox: Outbox, sender: Sender, link: Link, clock: Clock, *, every_s: float
    ) -> None:
        self.compared_at = 0  # wall time of the last round
        self.compared = 0  # hours of layouts that it was about
        self.differing = 0  # those that differed in it
        self.soon_s = SOON_S
        self._accounts = accounts
        self._outbox = outbox
        self._sender = sender
        self._link = link
        self._clock = clock
        self._every_s = every_s
        self._asked = asyncio.Event()
        self._everything = False  # the next round compares all there is
        self._count = 0  # hours of layouts in the round that is
        self._sent = 0  # batches; their cursors tell them apart
        self._waiting: dict[str, list[Held]] = {}  # for the hub's answer, by cursor
        self._whole = False  # the round that is, or was last, compares all there is
        self._at_ms: int | None = None  # wall time of the last round
        self._at_seq = 0  # so far it compared what is older
        link.hear(self.hear)

    def compare_now(self) -> None:
        """Have everything compared now."""
        self._everything = True
        self._asked.set()

    async def run(self) -> None:
        """Compare for ever. Run until cancelled."""
        backoff = self._link.backoff()
        pause_s = min(self.soon_s, self._every_s)
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(pause_s):
                    await self._asked.wait()
            self._asked.clear()
            pause_s = self._every_s
            try:
                if not self._outbox.held and self._link.meter.has_room(BACKLOG_SHARE):
                    await self._round(backoff)
            except StorageError:  # the buffer says so itself
                pause_s = STORAGE_PAUSE_S
            except NotCompared as error:
                log.warning("the hub does not compare", extra={"hub": self._link.transport.name, "why": str(error)})

    async def _round(self, backoff: Backoff) -> None:
        now = self._clock.wall_ms()
        self._whole, self._everything, self.differing = self._everything, False, 0
        self._count = 0
        recent = await self._accounts.since(now - DAY_MS)
        older, head = Span(await self._accounts.oldest(), recent), self._outbox.head
        unsent = [*self._sender.unsent(), Span(head, END)]  # what this round has sent again is compared all the same
        unsent_events = self._sender.unsent_events()
        for span in (*self._portion(older, now), Span(recent, head)):
            await self._compare(span, unsent, now, backoff)
        events_since = 0 if self._whole else now // HOUR_MS * HOUR_MS - DAY_MS
        await self._ask(await self._accounts.held_events(events_since), unsent_events, now, backoff)
        self.compared_at, self.compared = now, self._count

    def _portion(self, older: Span, now: int) -> list[Span]:
        since = now - round(self._every_s * 1000) if self._at_ms is None else self._at_ms
        reached = place(older, since) if self._at_ms is None else self._at_seq
        self._at_ms, self._at_seq = now, place(older, now)
        return [older] if self._whole else portion(older, reached, since, now)

    async def _compare(self, wanted: Span, unsent: Sequence[Span], now: int, backoff: Backoff) -> None:
        before: set[tuple[bytes, int]] = set()  # an hour goes on from one look into the next
        while wanted:
            generation = self._outbox.generation
            reached, held = await self._accounts.held(wanted, before)
            before = {(one.layout, one.hour) for one in held}
            await self._ask(held, unsent, now, backoff)
            if generation != self._outbox.generation:
                return  # seqs may stand for other records now
            wanted = Span(reached, wanted.hi)

    async def _ask(self, held: Sequence[Held], unsent: Sequence[Span], now: int, backoff: Backoff) -> None:
        for batch in batches(one for one in held if can_be_asked(one, unsent, now)):
            await self._bring(batch, backoff)
            self._count += len(batch)

    async def _bring(self, batch: list[Held], backoff: Backoff) -> None:
        """Return when the hub has it. Raises NotCompared."""
        span = Span(self._sent, self._sent + len(batch))
        self._sent = span.hi
        self._waiting[str(Cursor(self._outbox.epoch, span.lo, span.hi))] = batch
        if len(self._waiting) > WAITING_MAX:
            del self._waiting[next(iter(self._waiting))]
        hours = [Hour(one.layout.hex(), one.hour, one.account.count, one.account.digest) for one in batch]
        while not await self._link.attempt(backoff, self._push(span, Ledger(hours))):
            pass

    async def _push(self, span: Span, ledger: Ledger) -> None:
        try:
            await self._link.push("ledger", span, ledger)
        except (BatchRefused, BatchTooLarge) as error:  # it is no other in the next minute
            raise NotCompared(str(error)) from error

    async def hear(self, answer: Answer) -> None:
        """What the hub holds otherwise; over a broker it comes later than the batch was taken."""
        ours = {(one.layout.hex(), one.hour): one for one in self._waiting.get(answer.cursor, ())}
        for theirs in answer.differing:
            if (held := ours.get((theirs.layout, theirs.hour))) is not None:
                await self._heal(held, Account(theirs.count, theirs.digest))

    async def _heal(self, held: Held, theirs: Account) -> None:
        todo = remedy(held, theirs)
        if todo in ("send", "send once"):
            self.differing += 1
            resend = self._sender.resend_events if held.layout == EVENTS else self._sender.resend
            resend(held.spans)
        if todo == "send":  # it has lost something: perhaps more than was compared
            self._everything = True
            if not self._whole:  # a hub that always lacks something is not asked more often for it
                self._asked.set()
        if todo == "send once":
            await self._settle(held, theirs, told=False)
        if todo == "tell":
            words = f"{theirs.count} records of layout {held.layout.hex()} in the hour from {held.hour}"
            detail = f"the hub holds others than the gateway, and sending them again changed nothing: {words}"
            log.warning("ledger differs", extra={"why": detail})
            self._outbox.put_event(Event(self._clock.wall_ms(), "ledger_differs", detail=detail))
            await self._settle(held, theirs, told=True)

    async def _settle(self, held: Held, theirs: Account, *, told: bool) -> None:
        with contextlib.suppress(StorageError):  # it is found again in the next round
            await self._accounts.settle(held, theirs.digest, told=told)
