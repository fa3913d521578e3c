"""The buffer: takes records and events, one commit at a time, and gives them back by seq or by time.

`put` only queues; a record counts as taken when its commit is on the disk, which `flushed` awaits.
While the disk takes nothing, records wait in memory; `run` opens the file again where that is needed.
"""

import asyncio
import contextlib
import logging
import threading
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from gateway.bell import Bell
from gateway.buffer import aside, charts, checking, reading
from gateway.buffer.boots import Boot, Boots
from gateway.buffer.energy import energy
from gateway.buffer.keeping import Keeping
from gateway.buffer.notebook import Notebook
from gateway.buffer.outage import REOPEN_AFTER, Outage
from gateway.buffer.overlap import Overlap
from gateway.buffer.pace import Pace
from gateway.buffer.pulled import Pulled
from gateway.buffer.pushed import PushedStore
from gateway.buffer.repair import Carry, Repair
from gateway.buffer.retention import Limits
from gateway.buffer.rolling import Rolling
from gateway.buffer.sealing import Sealing
from gateway.buffer.upkeep import Upkeep
from gateway.core import codec
from gateway.core.clock import Clock, RawClock, SystemClock
from gateway.core.database import Database
from gateway.core.diskwords import storage_error, takes_files
from gateway.core.errors import DamagedFileError, RefusedFileError, StorageError
from gateway.core.model import UNCERTAIN, Event, Layout, Record, decode_layout
from gateway.core.span import Span
from gateway.core.status import BufferState, EnergyRow, History, Resolution

GATHER_S = 0.1  # the buses poll at the same instants: what they bring within this goes into one commit
PENDING_MAX = 100_000  # records kept in memory while the disk does not take them
UNKNOWN_EPOCH = 16 * "0"  # until the file has been read once
UNREAD_MAX = 5  # so many reading errors of a disk that takes other files: the file is damaged
CHECK_EVERY_S = 86_400
SET_ASIDE_PAUSE_S = 600  # a disk that spoils one file after the other shall not fill up with them
COMMIT_MAX = 5_000  # records of one frame: what has waited goes in pieces that do not hold the polls up

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
log = logging.getLogger(__name__)


class Buffer:
    """One open buffer file. Make it with `open`, end it with `close`."""

    def __init__(self, database: Database, commit_s: float, limits: Limits, clock: Clock) -> None:
        self.epoch = UNKNOWN_EPOCH
        self.generation = 0  # grows when the spans that are kept are others than those last heard of
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
        self._repair = Repair(database, self.layouts, self._repaired)
        self.sealing = Sealing(database, self.layouts)
        self.rolling = Rolling(database, self.layouts)
        self.pace = Pace(database, commit_s)
        self.keeping = Keeping(database, self.layouts, limits, clock, self.put_event)
        growing = (
            self._carry_over, self.boots.step, self.sealing.step, self.rolling.step_minutes, self.rolling.step_hours,
        )  # fmt: skip
        self.upkeep = Upkeep([self.keeping.rescue, *map(self.keeping.with_room, growing), self.keeping.step])
        self._database = database
        self.clock = clock  # the gateway's, as soon as there is one
        self._outage = Outage()
        self._lost = 0  # records that were in the file and cannot be read any more
        self._set_aside_s = -float(SET_ASIDE_PAUSE_S)  # monotonic, when that was done last
        self._new_file = False
        self._put = asyncio.Event()
        self._committing = asyncio.Lock()
        self._records: list[Record] = []
        self._unsure: Record | None = None  # the first of a commit that failed
        self._events: list[tuple[Event, bool]] = []  # and whether its time is an estimate
        self._new_layouts: list[Layout] = []
        self._spans: dict[str, StoredSpans] = {}

    @classmethod
    async def open(
        cls, path: Path, *, commit_s: float = 1, limits: Limits | None = None, clock: Clock | None = None
    ) -> "Buffer":
        """Open or make the buffer file; where the disk does not let us yet, `run` tries again.

        Raises RefusedFileError where the file is another process's, or of a newer release.
        """
        database = Database(path, "gateway.buffer", page_size=1024)
        buffer = cls(database, commit_s, limits or Limits(), clock or SystemClock())
        try:
            await buffer._heal()
        except RefusedFileError:
            raise
        except StorageError:
            buffer._put.set()
        return buffer

    async def _attach(self) -> None:
        """Open the file, and read what it has of the stream. Raises StorageError."""
        async with self._committing:
            try:
                await asyncio.to_thread(aside.finish_interrupted, self._database.path)
                await self._database.connect()
                self._new_file = await self._repair.prepare(self.head)
            except OSError as error:
                raise storage_error(self._database.path, error) from error
            except StorageError:
                with contextlib.suppress(StorageError):
                    await self._load()  # what cannot be written may be read, and sent
                raise
            await self._load()

    async def _load(self) -> None:
        found = await self._database.fetch("SELECT value FROM meta WHERE key = 'epoch'")
        if not found:
            raise StorageError(f"{self._database.path}: begun and not finished")
        epoch = found[0][0]
        head = (await self._database.fetch(HEAD))[0][0]
        if epoch == self.epoch and self._unsure is not None and self._records[:1] == [self._unsure]:
            del self._records[: head - self.head]  # the commit that failed is there after all
        self.committed.ring(head)
        self.events_committed.ring((await self._database.fetch("SELECT coalesce(max(seq), -1) + 1 FROM event"))[0][0])
        for _, encoded in await self._database.fetch("SELECT id, encoded FROM layout"):
            try:
                layout = decode_layout(encoded)
            except msgspec.MsgspecError as error:
                self._database.damage = f"a layout that is none: {error}"
                raise DamagedFileError(f"{self._database.path}: {self._database.damage}") from error
            self.layouts[layout.id] = layout
        if epoch != self.epoch:
            self._new_layouts = list(self.layouts.values())  # another file than before may lack some
            self.epoch = epoch
            self.generation += 1
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
        self._drop_excess()
        self._put.set()

    def _drop_excess(self) -> None:
        if (excess := len(self._records) - PENDING_MAX) > 0:
            self._outage.dropped(self._records[:excess])
            del self._records[:excess]
            self.dropped += excess

    def put_event(self, event: Event) -> None:
        """Queue an event for the next commit."""
        self._events = [*self._events, (event, self.boots.estimating)][-PENDING_MAX:]
        self._put.set()

    def keep_spans(self, stream: str, spans: StoredSpans) -> None:
        """Write what a stream has left with the next commit; lost on a crash, it is only sent once more."""
        self._spans[stream] = (*(self._repair.held_back if stream == "records" else ()), *spans)

    async def flushed(self) -> None:
        """Return when all that was put before is on the disk. Raises StorageError where it cannot be."""
        await asyncio.shield(asyncio.ensure_future(self._commit()))

    async def run(self) -> None:
        """Commit what is put, at its pace; keep the file small and quick. Run until cancelled."""
        self.keeping.make_reserve()
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._run_commits(), name="buffer commits")
            tasks.create_task(self._check(), name="buffer check")
            tasks.create_task(self.upkeep.run(), name="buffer upkeep")

    async def _run_commits(self) -> None:
        while True:
            await self._put.wait()
            self._put.clear()
            await asyncio.sleep(GATHER_S)
            try:
                await self._heal()
                await self.flushed()
                if self._new_file and self._repair.carrying:
                    self.upkeep.soon()
                self._new_file = False
            except StorageError:
                self._put.set()  # it stays in memory; the next round tries again
                await asyncio.sleep(self._outage.pause_s)
            else:
                await self.pace.pause(GATHER_S)

    async def _heal(self) -> None:
        """Open the file where it is not open or stays broken; begin another for a damaged one. Raises StorageError."""
        if self._database.unread >= UNREAD_MAX and await asyncio.to_thread(takes_files, self._database.path.parent):
            self._database.damage = self._database.damage or "the disk cannot read it any more"
        stuck = self._database.suspect and self._outage.failures >= REOPEN_AFTER
        if self._database.connected and not stuck and not self._database.damage:
            return
        try:
            if not self._database.damage:
                with contextlib.suppress(DamagedFileError):
                    await self._attach()
                    return
            await self._set_aside()
            await self._attach()
        except StorageError as error:
            self._failed(error)
            raise

    async def _set_aside(self) -> None:
        """Rename the damaged file. Raises StorageError, also where that was done just now."""
        path, why = self._database.path, self._database.damage
        now_s = self.clock.monotonic_s()
        if now_s < self._set_aside_s + SET_ASIDE_PAUSE_S:
            raise StorageError(f"{path}: damaged again so soon: {why}", hint="replace the disk")
        async with self._committing:
            await self._database.close()
            stamp = f"{datetime.fromtimestamp(self.clock.wall_ms() / 1000, UTC):%Y%m%d-%H%M%S}"
            try:
                name = (await asyncio.to_thread(aside.set_aside, path, stamp)).name
            except OSError as error:
                raise storage_error(path, error) from error
            self._database.damage, self._database.unread, self._set_aside_s = "", 0, now_s
        self._tell("buffer_damaged", f"{why}; set aside as {name}, what can be read of it is carried over")

    async def _carry_over(self) -> bool:
        """A step of the upkeep; while the file outgrows its budget, what makes it smaller goes first."""
        return await self._repair.step() and not self.keeping.is_crowded()

    async def _repaired(self, carry: Carry, lost: int) -> None:
        """All that could be read of a damaged file is here: let it be sent, and say what is missing."""
        self.generation += 1
        self._lost += lost
        self.boots.left = True  # there may be estimates among them
        more = "" if carry.exact else ", and the newest before the damage, which cannot be counted"
        self._tell(
            "buffer_repaired", f"what can be read of {carry.file} is here; lost are at most {lost} records{more}"
        )
        await self.flushed()

    async def _check(self) -> None:
        """Look through the file now and once a day. Run until cancelled."""
        stop = threading.Event()
        try:
            while True:
                epoch = self.epoch
                damage = await asyncio.to_thread(checking.damage, self._database.path, stop)
                if damage and epoch == self.epoch:
                    self._database.damage = damage
                    self._put.set()
                await asyncio.sleep(CHECK_EVERY_S)
        finally:
            stop.set()

    def _tell(self, kind: str, detail: str) -> None:
        log.warning(kind.replace("_", " "), extra={"why": detail})
        self.put_event(Event(self.clock.wall_ms(), kind, detail=detail))

    def _failed(self, error: StorageError) -> None:
        self.error = f"{error}; {error.hint}" if error.hint else str(error)
        if self._outage.failed(self.error, self.clock.monotonic_s()):
            self._tell("storage_failed", self.error)
            self.upkeep.soon()  # a full disk: what can go must go now

    def _recovered(self) -> None:
        if self._outage.failures:
            self.upkeep.soon()  # there may be room again for what it had to put off
        self.error = ""
        for kind, detail in self._outage.over(self.clock.monotonic_s()):
            self._tell(kind, detail)

    async def _commit(self) -> None:
        async with self._committing:
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
                    self._failed(error)
                self._records = records[done:] + self._records
                self._unsure = next(iter(self._records), None)
                self._drop_excess()
                raise
            self._recovered()
            if self.keeping.is_crowded():
                self.upkeep.soon()

    async def _commit_some(self, records: list[Record]) -> None:
        events, layouts, spans = self._events, self._new_layouts, self._spans
        if not (records or events or layouts or spans):
            return
        self._events, self._new_layouts, self._spans = [], [], {}
        try:
            await self._write(records, events, layouts, spans)
        except BaseException:
            self._events, self._new_layouts, self._spans = (
                events + self._events, layouts + self._new_layouts, spans | self._spans,
            )  # fmt: skip
            raise
        self._outage.waited += len(records) if self._outage.failures else 0
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
        """What `keep_spans` kept; for a new stream everything. Raises StorageError."""
        if stream in self._spans:
            rows = list(self._spans[stream])
        else:
            query = "SELECT lo, hi FROM span WHERE stream = ? ORDER BY lo"
            rows = [(lo, hi) for lo, hi in await self._database.fetch(query, (stream,))]
        held_back = self._repair.held_back if stream == "records" else []
        return [row for row in rows if row not in held_back] or [(0, None)]

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
            pending=len(self._records), dropped=self.dropped + self._lost, budget=keeping.limits.budget,
            oldest=keeping.oldest, thinned_hours=keeping.thinned_hours,
            commit_s=self.pace.commit_s, configured_s=self.pace.configured_s,
        )  # fmt: skip

    async def close(self) -> None:
        """Commit what is queued, and close the file. Raises StorageError where the disk did not take it."""
        try:
            await self.flushed()
        except StorageError as error:
            raise StorageError(f"{error}; {len(self._records)} records in memory are lost", hint=error.hint) from error
        finally:
            await self._database.close()
