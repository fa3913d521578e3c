"""What waits for the next commit, and the commit: one transaction, or a few where much has waited."""

import asyncio
import logging
from collections.abc import Callable, Iterable, Sequence

import msgspec

from gateway.bell import Bell
from gateway.buffer.boots import Boots
from gateway.buffer.outage import Outage
from gateway.buffer.overlap import Overlap
from gateway.core import codec
from gateway.core.clock import Clock
from gateway.core.database import Database
from gateway.core.errors import StorageError
from gateway.core.model import UNCERTAIN, Event, Layout, Record

PENDING_MAX = 100_000  # records kept in memory while the disk does not take them
COMMIT_MAX = 5_000  # records of one frame: what has waited goes in pieces that do not hold the polls up

APPEND_FRAME = "INSERT INTO frame (lo, hi, boot, bytes) VALUES (?, ?, ?, ?)"
APPEND_LAYOUT = "INSERT OR IGNORE INTO layout (id, encoded) VALUES (?, ?)"
APPEND_EVENT = "INSERT INTO event (seq, ts, kind, device, detail, boot) VALUES (?, ?, ?, ?, ?, ?)"
CLEAR_SPANS = "DELETE FROM span WHERE stream = ?"
APPEND_SPAN = "INSERT INTO span (stream, lo, hi) VALUES (?, ?, ?)"

StoredSpans = Sequence[tuple[int, int | None]]
"""Spans as they are kept: (lo, hi), the last one with hi None: and all that is to come."""
log = logging.getLogger(__name__)


class Taking:
    """Records, events, layouts and spans on their way to the disk; a commit that fails leaves them here."""

    def __init__(
        self,
        database: Database,
        layouts: dict[bytes, Layout],
        boots: Boots,
        overlap: Overlap,
        clock: Clock,
        trouble: Callable[[], None],
    ) -> None:
        """`trouble` is called when the disk begins to fail, and when it is well again."""
        self.clock = clock
        self.layouts = layouts
        self.committed = Bell()  # rings with the head once it is on the disk
        self.events_committed = Bell()
        self.waiting = asyncio.Event()  # something is to be committed
        self.committing = asyncio.Lock()
        self.error = ""
        self.dropped = 0  # records that came while the disk took nothing and the memory was full
        self.outage = Outage()
        self._database = database
        self._boots = boots
        self._overlap = overlap
        self._trouble = trouble
        self._records: list[Record] = []
        self.pending_max = PENDING_MAX
        self._unsure: Record | None = None  # the first of a commit that failed
        self._events: list[tuple[Event, bool]] = []  # and whether its time is an estimate
        self._new_layouts: list[Layout] = []
        self._spans: dict[str, StoredSpans] = {}

    @property
    def pending(self) -> int:
        """Records that are not on the disk yet."""
        return len(self._records)

    @property
    def head(self) -> int:
        """The seq that the next record gets."""
        return self.committed.reached

    def put(self, layout: Layout, records: Iterable[Record]) -> None:
        """Take records of one layout along."""
        if layout.id not in self.layouts:
            self.layouts[layout.id] = layout
            self._new_layouts.append(layout)
        self._records += records
        self._drop_excess()
        self.waiting.set()

    def put_event(self, event: Event) -> None:
        """Take an event along."""
        self._events = [*self._events, (event, self._boots.estimating)][-self.pending_max :]
        self.waiting.set()

    def tell(self, kind: str, detail: str) -> None:
        """An event of now, and a line in the log."""
        log.warning(kind.replace("_", " "), extra={"why": detail})
        self.put_event(Event(self.clock.wall_ms(), kind, detail=detail))

    def put_spans(self, stream: str, spans: StoredSpans) -> None:
        """Take along what a stream has left; it wakes nobody."""
        self._spans[stream] = tuple(spans)

    def spans(self, stream: str) -> StoredSpans | None:
        """What waits of a stream; None: nothing."""
        return self._spans.get(stream)

    def begin_file(self) -> None:
        """Another file than before: it may lack layouts, and what is left of its records it says itself."""
        self._new_layouts = list(self.layouts.values())
        self._spans.pop("records", None)

    def found(self, head: int, events_head: int, *, same_file: bool) -> None:
        """How far the file reaches that was just opened. A commit that failed may be in it after all."""
        if same_file and self._unsure is not None and self._records[:1] == [self._unsure]:
            del self._records[: head - self.head]
        self.committed.ring(head)
        self.events_committed.ring(events_head)

    def _drop_excess(self) -> None:
        if (excess := len(self._records) - self.pending_max) > 0:
            self.outage.dropped(self._records[:excess])
            del self._records[:excess]
            self.dropped += excess

    async def commit(self) -> None:
        """Bring all that was put to the disk. Raises StorageError: then what is not there is still here."""
        async with self.committing:
            records, self._records = self._records, []
            done = 0
            try:
                while True:
                    await self._commit_some(records[done : done + COMMIT_MAX])
                    done += COMMIT_MAX
                    if done >= len(records):
                        break
            except BaseException as error:
                if isinstance(error, StorageError):
                    self.failed(error)
                self._records = records[done:] + self._records
                self._unsure = next(iter(self._records), None)
                self._drop_excess()
                raise
            self._recovered()

    def failed(self, error: StorageError) -> None:
        """The disk does not take it; the first time that is said."""
        self.error = error.in_full
        if self.outage.failed(self.error, self.clock.monotonic_s()):
            self.tell("storage_failed", self.error)
            self._trouble()

    def _recovered(self) -> None:
        if self.outage.failures:
            self._trouble()
        self.error = ""
        for kind, detail in self.outage.over(self.clock.monotonic_s()):
            self.tell(kind, detail)

    async def _commit_some(self, records: list[Record]) -> None:
        events, layouts, spans = self._events, self._new_layouts, self._spans
        if not (records or events or layouts or spans):
            return
        self._events, self._new_layouts, self._spans = [], [], {}
        try:
            await self._write(records, events, layouts, spans)
        except BaseException:
            self._events, self._new_layouts = events + self._events, layouts + self._new_layouts
            self._spans = spans | self._spans
            raise
        self.outage.waited += len(records) if self.outage.failures else 0
        self.committed.ring(self.head + len(records))
        self.events_committed.ring(self.events_committed.reached + len(events))

    async def _write(
        self,
        records: list[Record],
        events: list[tuple[Event, bool]],
        layouts: list[Layout],
        spans: dict[str, StoredSpans],
    ) -> None:
        records = await self._overlap.apart(records)
        async with self._database.transaction() as db:
            # Within the transaction: what becomes known of the time later than this is for those after it to apply.
            settled = enumerate(self._boots.settled(records), start=self.head)
            numbered = [msgspec.structs.replace(record, seq=seq) for seq, record in settled]
            boot = self._boots.id if any(record.flags & UNCERTAIN for record in numbered) else None
            noted = self._boots.settled_events(events)
            if layouts:
                await db.executemany(APPEND_LAYOUT, [(layout.id, layout.encoded) for layout in layouts])
            if numbered:
                frame = codec.encode(numbered, self.layouts)
                await db.execute(APPEND_FRAME, (self.head, self.head + len(numbered), boot, frame))
            if noted:
                first = self.events_committed.reached
                rows = [(seq, e.ts, e.kind, e.device, e.detail, of) for seq, (e, of) in enumerate(noted, start=first)]
                await db.executemany(APPEND_EVENT, rows)
            for stream, left in spans.items():
                await db.execute(CLEAR_SPANS, (stream,))
                await db.executemany(APPEND_SPAN, [(stream, lo, hi) for lo, hi in left])
        self._overlap.took(records)
