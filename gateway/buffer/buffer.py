"""The buffer: takes records and events, one commit at a time, and gives them back by seq or by time.

`put` only queues; a record counts as taken when its commit is on the disk, which `flushed` awaits.
"""

import asyncio
import secrets
from collections.abc import Iterable, Sequence
from pathlib import Path

import msgspec

from gateway.bell import Bell
from gateway.buffer import charts, reading
from gateway.buffer.boots import Boot, Boots
from gateway.buffer.energy import energy
from gateway.buffer.keeping import Keeping
from gateway.buffer.notebook import Notebook
from gateway.buffer.overlap import Overlap
from gateway.buffer.pace import Pace
from gateway.buffer.pulled import Pulled
from gateway.buffer.pushed import PushedStore
from gateway.buffer.retention import Limits
from gateway.buffer.rolling import Rolling
from gateway.buffer.sealing import Sealing
from gateway.buffer.upkeep import Upkeep
from gateway.core import codec
from gateway.core.clock import Clock, RawClock, SystemClock
from gateway.core.database import Database
from gateway.core.errors import StorageError
from gateway.core.model import UNCERTAIN, Event, Layout, Record, decode_layout
from gateway.core.span import Span
from gateway.core.status import BufferState, EnergyRow, History, Resolution

GATHER_S = 0.1  # the buses poll at the same instants: what they bring within this goes into one commit
PENDING_MAX = 100_000  # records kept in memory while the disk does not take them

HEAD = """SELECT max(coalesce((SELECT hi FROM frame ORDER BY lo DESC LIMIT 1), 0),
          coalesce((SELECT hi FROM segment ORDER BY lo DESC LIMIT 1), 0),
          (SELECT value + 0 FROM meta WHERE key = 'head'))"""
APPEND_FRAME = "INSERT INTO frame (lo, hi, boot, bytes) VALUES (?, ?, ?, ?)"
APPEND_LAYOUT = "INSERT OR IGNORE INTO layout (id, encoded) VALUES (?, ?)"
APPEND_EVENT = "INSERT INTO event (seq, ts, kind, device, detail, boot) VALUES (?, ?, ?, ?, ?, ?)"
CLEAR_SPANS = "DELETE FROM span WHERE stream = ?"
APPEND_SPAN = "INSERT INTO span (stream, lo, hi) VALUES (?, ?, ?)"

StoredSpans = Sequence[tuple[int, int | None]]
"""Spans as they are kept: (lo, hi), the last one with hi None: and all that is to come."""


class Buffer:
    """One open buffer file. Make it with `open`, end it with `close`."""

    def __init__(self, database: Database, commit_s: float, limits: Limits, clock: Clock) -> None:
        self.epoch = ""
        self.error = ""
        self.dropped = 0  # records that came while the disk took nothing and the memory was full
        self.layouts: dict[bytes, Layout] = {}
        self.pushed = PushedStore(database)
        self.committed = Bell()  # rings with the head once it is on the disk
        self.events_committed = Bell()
        self.notebook = Notebook(database)
        self.pulled = Pulled(database)
        self.boots = Boots(database, self.layouts)
        self.overlap = Overlap(database)
        self.sealing = Sealing(database, self.layouts)
        self.rolling = Rolling(database, self.layouts)
        self.pace = Pace(database, commit_s)
        self.keeping = Keeping(database, self.layouts, limits, clock, self.put_event)
        growing = (self.boots.step, self.sealing.step, self.rolling.step_minutes, self.rolling.step_hours)
        self.upkeep = Upkeep([self.keeping.rescue, *map(self.keeping.with_room, growing), self.keeping.step])
        self._database = database
        self._put = asyncio.Event()
        self._committing = asyncio.Lock()
        self._records: list[Record] = []
        self._events: list[tuple[Event, bool]] = []  # and whether its time is an estimate
        self._new_layouts: list[Layout] = []
        self._spans: dict[str, StoredSpans] = {}

    @classmethod
    async def open(
        cls, path: Path, *, commit_s: float = 1, limits: Limits | None = None, clock: Clock | None = None
    ) -> "Buffer":
        """Open or make the buffer file. Raises StorageError where that cannot be."""
        database = await Database.open(path, "gateway.buffer", page_size=1024)
        buffer = cls(database, commit_s, limits or Limits(), clock or SystemClock())
        await buffer._load()
        return buffer

    async def _load(self) -> None:
        async with self._database.transaction() as db:
            fresh = [("epoch", secrets.token_hex(8)), ("head", "0")]
            await db.executemany("INSERT OR IGNORE INTO meta (key, value) VALUES (?, ?)", fresh)
        self.epoch = (await self._database.fetch("SELECT value FROM meta WHERE key = 'epoch'"))[0][0]
        self.committed.ring((await self._database.fetch(HEAD))[0][0])
        self.events_committed.ring((await self._database.fetch("SELECT coalesce(max(seq), -1) + 1 FROM event"))[0][0])
        for _, encoded in await self._database.fetch("SELECT id, encoded FROM layout"):
            layout = decode_layout(encoded)
            self.layouts[layout.id] = layout
        await self.overlap.load()
        await self.boots.attach()
        if self.boots.left:
            self.upkeep.soon()  # a correction was cut off
        await self.keeping.begin()
        await self.pace.load()

    @property
    def head(self) -> int:
        """The seq that the next record gets."""
        return self.committed.reached

    def put(self, layout: Layout, records: Iterable[Record]) -> None:
        """Queue records of one layout for the next commit."""
        if layout.id not in self.layouts:
            self.layouts[layout.id] = layout
            self._new_layouts.append(layout)
        self._records += records
        if (excess := len(self._records) - PENDING_MAX) > 0:
            del self._records[:excess]
            self.dropped += excess
        self._put.set()

    def put_event(self, event: Event) -> None:
        """Queue an event for the next commit."""
        self._events = [*self._events, (event, self.boots.estimating)][-PENDING_MAX:]
        self._put.set()

    def keep_spans(self, stream: str, spans: StoredSpans) -> None:
        """Write what a stream has left with the next commit; lost on a crash, it is only sent once more."""
        self._spans[stream] = tuple(spans)

    async def flushed(self) -> None:
        """Return when all that was put before is on the disk. Raises StorageError where it cannot be."""
        await asyncio.shield(asyncio.ensure_future(self._commit()))

    async def run(self) -> None:
        """Commit what is put, at its pace; keep the file small and quick. Run until cancelled."""
        self.keeping.make_reserve()
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._run_commits(), name="buffer commits")
            tasks.create_task(self.upkeep.run(), name="buffer upkeep")

    async def _run_commits(self) -> None:
        while True:
            await self._put.wait()
            self._put.clear()
            await asyncio.sleep(GATHER_S)
            try:
                await self.flushed()
            except StorageError:
                self._put.set()  # it stays in memory; the next round tries again
            await self.pace.pause(GATHER_S)

    async def _commit(self) -> None:
        async with self._committing:
            records, events, layouts, spans = self._records, self._events, self._new_layouts, self._spans
            if not (records or events or layouts or spans):
                return
            self._records, self._events, self._new_layouts, self._spans = [], [], [], {}
            try:
                await self._write(records, events, layouts, spans)
            except BaseException as error:
                self._records, self._events = records + self._records, events + self._events
                self._new_layouts, self._spans = layouts + self._new_layouts, spans | self._spans
                if not self.error:
                    self.upkeep.soon()  # a full disk: what can go must go now
                self.error = str(error)
                raise
            self.error = ""
            if self.keeping.is_crowded():
                self.upkeep.soon()
            self.committed.ring(self.head + len(records))
            self.events_committed.ring(self.events_committed.reached + len(events))

    async def _write(
        self,
        records: list[Record],
        events: list[tuple[Event, bool]],
        layouts: list[Layout],
        spans: dict[str, StoredSpans],
    ) -> None:
        records = await self.overlap.apart(records)
        async with self._database.transaction() as db:
            # Within the transaction: what becomes known of the time later than this is for those after it to apply.
            settled = enumerate(self.boots.settled(records), start=self.head)
            numbered = [msgspec.structs.replace(record, seq=seq) for seq, record in settled]
            boot = self.boots.id if any(record.flags & UNCERTAIN for record in numbered) else None
            noted = self.boots.settled_events(events)
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
        self.overlap.took(records)

    async def begin_boot(self, raw: RawClock) -> Boot:
        """See `Boots.begin`; from now on times may be estimates."""
        boot = await self.boots.begin(raw)
        if self.boots.left:
            self.upkeep.soon()  # a correction was cut off
        if not self.boots.estimating and self.boots.newest_ms > raw.wall_ms():  # set back while nothing ran
            self.overlap.begin(self.boots.newest_ms)
        return boot

    def time_known(self, boot: Boot, until_ms: int) -> None:
        """See `Boots.known`; the correction begins."""
        self.boots.known(boot, until_ms)
        if self.boots.newest_ms > until_ms + boot.correction:  # an earlier boot's clock was ahead
            self.overlap.begin(self.boots.newest_ms)
        self.upkeep.soon()

    @property
    def held(self) -> bool:
        """See `Boots.held`."""
        return self.boots.held

    async def released(self) -> None:
        """Return when nothing is held any more."""
        await self.boots.released()

    async def spans(self, stream: str) -> list[tuple[int, int | None]]:
        """What `keep_spans` kept; for a new stream everything."""
        rows = await self._database.fetch("SELECT lo, hi FROM span WHERE stream = ? ORDER BY lo", (stream,))
        return [(lo, hi) for lo, hi in rows] or [(0, None)]

    async def read(self, wanted: Span, records_max: int) -> tuple[Span, list[bytes]]:
        """The front of `wanted` as packs, and how far they reach; see `reading.packs`."""
        return await reading.packs(self._database, self.layouts, wanted, records_max)

    async def read_events(self, wanted: Span, events_max: int) -> list[Event]:
        """Events of `wanted`, by seq."""
        query = "SELECT ts, kind, device, detail, seq FROM event WHERE seq >= ? AND seq < ? ORDER BY seq LIMIT ?"
        return [Event(*row) for row in await self._database.fetch(query, (wanted.lo, wanted.hi, events_max))]

    async def history(
        self, device: str, key: str, since_ms: int, until_ms: int, resolution: Resolution | None = None
    ) -> History:
        """What is committed of one point, in its unit; without `resolution` as it fills a picture.

        Raises KeyError for a device or key that never was, StorageError.
        """
        found = charts.layouts_with(self.layouts.values(), device, key)
        chosen = resolution or charts.resolution_for(since_ms, until_ms)
        return await self._database.look(lambda c: charts.history(c, found, since_ms, until_ms, chosen))

    async def energy(self, device: str, key: str, bounds_ms: Sequence[int]) -> tuple[EnergyRow, ...]:
        """What a counter counted between neighbouring bounds, whole minutes that rise. Raises as `history` does."""
        found = charts.layouts_with(self.layouts.values(), device, key)
        counters = [(layout, index) for layout, index in found if layout.points[index].kind == "counter"]
        if not counters:
            raise KeyError(f"{key} of {device} is no counter")
        return await self._database.look(lambda c: energy(c, counters, bounds_ms))

    def state(self) -> BufferState:
        keeping = self.keeping
        return BufferState(
            self.head, self._database.bytes_on_disk(), self.error or keeping.error,
            pending=len(self._records), dropped=self.dropped, budget=keeping.limits.budget,
            oldest=keeping.oldest, thinned_hours=keeping.thinned_hours,
            commit_s=self.pace.commit_s, configured_s=self.pace.configured_s,
        )  # fmt: skip

    async def close(self) -> None:
        """Commit what is queued, as far as the disk takes it, and close the file."""
        try:
            await self.flushed()
        finally:
            await self._database.close()
