"""The engine: empties the buffer's spans into the hub, the present first, the past beside it.

Two lanes share one connection. The live lane sends the newest end of what is new, every
`push_interval_s`; between its turns the backlog lane sends the oldest of what is left over.
"""

import asyncio
import contextlib
from collections.abc import Mapping, Sequence
from random import Random
from typing import Protocol

from gateway.core.clock import Clock
from gateway.core.errors import PushError, StorageError
from gateway.core.model import Event, Layout
from gateway.core.span import Span
from gateway.core.status import SyncState
from sync.edge import spans as span_math
from sync.edge.backoff import Backoff
from sync.edge.link import Link
from sync.edge.transport import HubRefused, LayoutsWanted
from sync.wire import Events, Layouts, Records

LIVE_RECORDS_MAX = 5_000
BACKLOG_RECORDS_MAX = 20_000
EVENTS_MAX = 1_000
HEARTBEAT_S = 60.0  # so often the hub hears of us, news or not
STORAGE_PAUSE_S = 2.0  # until a buffer that could not be read is asked again


class Head(Protocol):
    """A number that only grows, as the buffer commits."""

    @property
    def reached(self) -> int: ...

    async def wait_beyond(self, seen: int) -> int: ...


class Outbox(Protocol):
    """What the engine needs of the buffer. What reads it raises StorageError."""

    @property
    def epoch(self) -> str: ...
    @property
    def generation(self) -> int:
        """Grows when the spans that are kept are others than those last heard of: another file, or a repaired one."""
        ...

    @property
    def layouts(self) -> Mapping[bytes, Layout]: ...
    @property
    def committed(self) -> Head: ...
    @property
    def events_committed(self) -> Head: ...
    async def read(self, wanted: Span, records_max: int) -> tuple[Span, list[bytes]]: ...
    async def read_events(self, wanted: Span, events_max: int) -> list[Event]: ...
    @property
    def held(self) -> bool:
        """Whether nothing may be sent yet, for its times are still going to be corrected."""
        ...

    async def released(self) -> None:
        """Return when nothing is held any more, until an older file brings more that has to be corrected."""
        ...

    async def spans(self, stream: str) -> list[tuple[int, int | None]]: ...
    def keep_spans(self, stream: str, spans: Sequence[tuple[int, int | None]]) -> None: ...


class Engine:
    """Pushes one buffer to one hub."""

    def __init__(self, outbox: Outbox, link: Link, clock: Clock, random: Random, *, push_interval_s: float) -> None:
        self._outbox = outbox
        self._link = link
        self._clock = clock
        self._random = random
        self._interval_s = push_interval_s
        self._spans: span_math.Spans = ()
        self._grown_to = 0
        self._generation = -1
        self._live_hi = 0  # below this everything left is the backlog lane's
        self._live_at = -1e9  # monotonic, of the live lane's last push

    async def run(self) -> None:
        """Push for ever. Run until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._run_records(), name="sync records")
            tasks.create_task(self._run_events(), name="sync events")

    def state(self) -> SyncState:
        self._grow()
        backlog = span_math.length(self._spans)
        link = self._link
        return SyncState(link.transport.name, link.connected, backlog, link.acknowledged_at, link.error)

    async def _run_records(self) -> None:
        backoff = Backoff(self._random)
        while True:
            await self._hold(backoff)
            try:
                await self._restore()
                await self._wait_for_work()
                if self._outbox.held:
                    continue
                await self._push_records()
            except LayoutsWanted as missing:
                await self._link.attempt(backoff, self._push_layouts(missing.wanted))
            except PushError as error:
                await self._link.back_off(backoff, error)
            except StorageError:  # the buffer says so itself; the hub still hears of us
                if self._clock.monotonic_s() >= self._link.heard_s + HEARTBEAT_S:
                    await self._link.attempt(backoff, self._link.push("records", Span(0, 0), Records([])))
                await asyncio.sleep(STORAGE_PAUSE_S)
            else:
                self._link.succeeded(backoff)

    async def _hold(self, backoff: Backoff) -> None:
        """Until the outbox lets go, send nothing but signs of life: their answers may bring the time."""
        pauses = Backoff(self._random)
        while self._outbox.held:
            head = self._outbox.committed.reached
            if await self._link.attempt(backoff, self._link.push("records", Span(head, head), Records([]))):
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(pauses.failed()):
                        await self._outbox.released()

    async def _restore(self) -> None:
        """Take up the spans that the buffer has kept, where they are not those that we have."""
        generation = self._outbox.generation
        if generation != self._generation:
            kept = await self._outbox.spans("records")
            self._grown_to = self._outbox.committed.reached
            self._spans = span_math.restored(kept, self._grown_to)
            self._live_hi = 0
            self._generation = generation

    async def _wait_for_work(self) -> None:
        """Until the live lane's turn has come and there is news, or there is backlog to send meanwhile."""
        while not self._live_due() and not self._backlog():
            since = self._clock.monotonic_s() - self._live_at
            if self._outbox.committed.reached > self._live_hi:
                await asyncio.sleep(self._interval_s - since)
                continue
            try:
                async with asyncio.timeout(HEARTBEAT_S - since):
                    await self._outbox.committed.wait_beyond(self._live_hi)
            except TimeoutError:
                return

    def _live_due(self) -> bool:
        since = self._clock.monotonic_s() - self._live_at
        news = self._outbox.committed.reached > self._live_hi
        return since >= HEARTBEAT_S or (news and since >= 0.9 * self._interval_s)

    def _backlog(self) -> span_math.Spans:
        self._grow()
        return tuple(left for span in self._spans if (left := span.within(Span(0, self._live_hi))))

    def _grow(self) -> None:
        head = self._outbox.committed.reached
        self._spans = span_math.grown(self._spans, self._grown_to, head)
        self._grown_to = head

    async def _push_records(self) -> None:
        """One batch of the lane whose turn it is."""
        live = self._live_due()
        if live:
            self._live_at = self._clock.monotonic_s()
        backlog = self._backlog()
        covered = Span(self._grown_to, self._grown_to)
        packs: list[bytes] = []  # with nothing to send, a sign of life
        if live and self._spans:
            covered, packs = await self._newest(span_math.newest(self._spans, LIVE_RECORDS_MAX))
        elif backlog:
            covered, packs = await self._outbox.read(span_math.oldest(backlog), BACKLOG_RECORDS_MAX)
        await self._link.push("records", covered, Records(packs))
        if self._generation != self._outbox.generation:
            return  # these seqs may stand for other records now
        self._live_hi = max(self._live_hi, covered.hi)
        self._spans = span_math.without(self._spans, covered)
        self._outbox.keep_spans("records", span_math.stored(self._spans, self._grown_to))

    async def _newest(self, wanted: Span) -> tuple[Span, list[bytes]]:
        """The last piece of `wanted`, as the buffer is cut; what is before it is left to the backlog lane."""
        while True:
            covered, packs = await self._outbox.read(wanted, BACKLOG_RECORDS_MAX)
            if covered.hi >= wanted.hi:
                return covered, packs
            wanted = Span(covered.hi, wanted.hi)

    async def _push_layouts(self, wanted: list[str]) -> None:
        known = (self._outbox.layouts.get(bytes.fromhex(layout_id)) for layout_id in wanted)
        layouts = [layout.encoded for layout in known if layout is not None]
        if len(layouts) < len(wanted):
            raise HubRefused("the hub asks for layouts that this gateway never had", hint="look into the hub's log")
        await self._link.push("layouts", Span(0, len(layouts)), Layouts(layouts))
        self._live_at = -1e9  # the batch that was put off is due again

    async def _run_events(self) -> None:
        backoff = Backoff(self._random)
        lo, known = 0, -1
        while True:
            await self._outbox.released()
            generation = self._outbox.generation
            try:
                if generation != known:
                    (kept, _), *_ = await self._outbox.spans("events")
                    lo = min(kept, self._outbox.events_committed.reached)  # beyond it in a damaged file: it never comes
                    known = generation
                head = await self._outbox.events_committed.wait_beyond(lo)
                if self._outbox.held:
                    continue
                events = await self._outbox.read_events(Span(lo, head), EVENTS_MAX)
            except StorageError:
                await asyncio.sleep(STORAGE_PAUSE_S)
                continue
            hi = events[-1].seq + 1 if events else head
            pushed = await self._link.attempt(backoff, self._link.push("events", Span(lo, hi), Events(events)))
            if pushed and generation == self._outbox.generation:
                lo = hi
                self._outbox.keep_spans("events", [(lo, None)])
