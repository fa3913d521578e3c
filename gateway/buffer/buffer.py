"""The buffer: takes records and events, one commit at a time, and gives them back by seq or by time.

`put` only notes; a record counts as taken when its commit is on the disk, which `flushed` awaits.
While the disk takes nothing, records wait in memory; `run` opens the file again where that is needed.
"""

import asyncio
from collections.abc import Iterable, Sequence
from pathlib import Path

from gateway.bell import Bell
from gateway.buffer import charts, reading
from gateway.buffer.accounts import Accounts
from gateway.buffer.boots import Boot, Boots
from gateway.buffer.commands import Commands
from gateway.buffer.energy import energy
from gateway.buffer.holding import spans_between
from gateway.buffer.keeping import Keeping
from gateway.buffer.notebook import Notebook
from gateway.buffer.opening import Opening
from gateway.buffer.overlap import Overlap
from gateway.buffer.pace import Pace
from gateway.buffer.pulled import Pulled
from gateway.buffer.pushed import PushedStore
from gateway.buffer.quarantine import Quarantine
from gateway.buffer.repair import Carry, Repair
from gateway.buffer.retention import Limits
from gateway.buffer.rolling import Rolling
from gateway.buffer.sealing import Sealing
from gateway.buffer.spent import SpentBytes
from gateway.buffer.taking import StoredSpans, Taking
from gateway.buffer.upkeep import Upkeep
from gateway.core.clock import Clock, RawClock, SystemClock
from gateway.core.database import Database
from gateway.core.errors import RefusedFileError, StorageError
from gateway.core.history import layouts_with, resolution_for
from gateway.core.model import Event, Layout, Record
from gateway.core.rollup import DAY_MS
from gateway.core.span import Span
from gateway.core.status import BufferState, EnergyRow, History, Resolution

HURRY_FROM = 10_000  # records in memory, for which a commit comes before its time: memory is bounded
GATHER_S = 0.1  # the buses poll at the same instants: what they bring within this goes into one commit

SPANS = "SELECT lo, hi FROM span WHERE stream = ? ORDER BY lo"
EVENTS = "SELECT ts, kind, device, detail, seq FROM event WHERE seq >= ? AND seq < ? ORDER BY seq LIMIT ?"


class Buffer:
    """One open buffer file. Make it with `open`, end it with `close`."""

    def __init__(self, database: Database, commit_s: float, limits: Limits, clock: Clock) -> None:
        self.layouts: dict[bytes, Layout] = {}
        self.pushed = PushedStore(database)
        self.notebook = Notebook(database)
        self.accounts = Accounts(database)
        self.pulled = Pulled(database)
        self.quarantine = Quarantine(database)
        self.spent = SpentBytes(database)
        self.commands = Commands(database)
        # A site without a hub may never learn the time, and wants its charts all the same.
        self.boots = Boots(database, self.layouts, stand_after_ms=None if limits.hub else DAY_MS)
        self.overlap = Overlap(database)
        self.sealing = Sealing(database, self.layouts)
        self.rolling = Rolling(database, self.layouts)
        self.pace = Pace(database, commit_s)
        self._database = database
        self._lost = 0  # records that were in the file and cannot be read any more
        self._taking = Taking(database, self.layouts, self.boots, self.overlap, clock, self._look_after_room)
        self._repair = Repair(database, self.layouts, self._repaired)
        self.keeping = Keeping(database, self.layouts, limits, clock, self.put_event)
        loaders = (self.overlap.load, self._attach_boots, self.keeping.begin, self.pace.load, self.quarantine.load)
        self._opening = Opening(database, self._taking, self._repair, loaders)
        growing = (
            self._carry_over, self.boots.step, self.sealing.step, self.rolling.step_minutes, self.rolling.step_hours,
        )  # fmt: skip
        self.upkeep = Upkeep([self.keeping.rescue, *map(self.keeping.with_room, growing), self.keeping.step])

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
            await buffer.heal()
        except RefusedFileError:
            raise
        except StorageError:
            buffer._taking.waiting.set()
        return buffer

    @property
    def path(self) -> Path:
        return self._database.path

    @property
    def epoch(self) -> str:
        """The random id of the file's life."""
        return self._opening.epoch

    @property
    def generation(self) -> int:
        """Grows when the spans that are kept are others than those last heard of."""
        return self._opening.generation

    @property
    def committed(self) -> Bell:
        """Rings with the head once it is on the disk."""
        return self._taking.committed

    @property
    def events_committed(self) -> Bell:
        return self._taking.events_committed

    @property
    def dropped(self) -> int:
        """Records that came while the disk took nothing and the memory was full."""
        return self._taking.dropped

    @property
    def head(self) -> int:
        """The seq that the next record gets."""
        return self._taking.head

    def put(self, layout: Layout, records: Iterable[Record]) -> None:
        """Have records of one layout in the next commit."""
        self._taking.put(layout, records)
        if self._taking.pending >= HURRY_FROM:
            self.pace.hurry()

    def put_event(self, event: Event) -> None:
        """Have an event in the next commit."""
        self._taking.put_event(event)

    def keep_spans(self, stream: str, spans: StoredSpans) -> None:
        """Write what a stream has left with the next commit; lost on a crash, it is only sent once more."""
        self._taking.put_spans(stream, [*(self._repair.held_back if stream == "records" else ()), *spans])

    async def flushed(self) -> None:
        """Return when all that was put before is on the disk. Raises StorageError where it cannot be."""
        await asyncio.shield(asyncio.ensure_future(self._commit()))

    async def _commit(self) -> None:
        await self._taking.commit()
        if self.keeping.is_crowded():
            self.upkeep.soon()

    async def heal(self) -> None:
        """See `Opening.heal`."""
        await self._opening.heal()

    async def run(self) -> None:
        """Commit what is put, at its pace; keep the file small and quick. Run until cancelled."""
        await asyncio.to_thread(self.keeping.make_reserve)
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._run_commits(), name="buffer commits")
            tasks.create_task(self._opening.check(), name="buffer check")
            tasks.create_task(self.upkeep.run(), name="buffer upkeep")

    async def _run_commits(self) -> None:
        taking = self._taking
        while True:
            await taking.waiting.wait()
            taking.waiting.clear()
            await asyncio.sleep(GATHER_S)
            try:
                await self.heal()
                await self.flushed()
                if self._opening.new_file and self._repair.carrying:
                    self.upkeep.soon()
                self._opening.new_file = False
            except StorageError:
                taking.waiting.set()  # it stays in memory; the next round tries again
                await asyncio.sleep(taking.outage.pause_s)
            else:
                await self.pace.pause(GATHER_S)

    def _look_after_room(self) -> None:
        """A disk that has become full: what can go must go; or there is room again for what was put off."""
        self.upkeep.soon()

    async def _carry_over(self) -> bool:
        """A step of the upkeep; while the file outgrows its budget, what makes it smaller goes first."""
        return await self._repair.step() and not self.keeping.is_crowded()

    async def _repaired(self, carry: Carry, lost: int) -> None:
        """All that could be read of a damaged file is here: let it be sent, and say what is missing."""
        self._opening.generation += 1
        self._lost += lost
        self.boots.left = True  # there may be estimates among them
        more = "" if carry.exact else ", and the newest before the damage, which cannot be counted"
        detail = f"what can be read of {carry.file} is here; lost are at most {lost} records{more}"
        self._taking.tell("buffer_repaired", detail)
        await self.flushed()

    async def _attach_boots(self) -> None:
        await self.boots.attach()
        if self.boots.left or (self._repair.carrying and not self._opening.new_file):
            self.upkeep.soon()  # a correction, or a repair, was cut off

    def use(self, clock: Clock) -> None:
        """Stamp events by this clock from now on."""
        self._taking.clock = self.keeping.clock = clock

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
        waiting = self._taking.spans(stream)
        rows = await self._database.fetch(SPANS, (stream,)) if waiting is None else waiting
        held_back = self._repair.held_back if stream == "records" else []
        return [(lo, hi) for lo, hi in rows if (lo, hi) not in held_back] or [(0, None)]

    async def read(self, wanted: Span, records_max: int) -> tuple[Span, list[bytes]]:
        """The front of `wanted` as packs, and how far they reach; see `reading.packs`."""
        return await reading.packs(self._database, self.layouts, wanted, records_max)

    async def measured_at(self, seq: int) -> int:
        """See `reading.measured_at`."""
        return await reading.measured_at(self._database, seq)

    async def read_events(self, wanted: Span, events_max: int) -> list[Event]:
        """Events of `wanted`, by seq."""
        return [Event(*row) for row in await self._database.fetch(EVENTS, (wanted.lo, wanted.hi, events_max))]

    async def spans_between(self, since_ms: int, until_ms: int) -> list[Span]:
        """Seqs among which are all records of that time. Raises StorageError."""
        return await self._database.look(lambda c: spans_between(c, since_ms, until_ms))

    async def history(
        self, device: str, key: str, since_ms: int, until_ms: int, resolution: Resolution | None = None
    ) -> History:
        """What is committed of one point, in its unit; without `resolution` as it fills a picture.

        Raises KeyError for a device or key that never was, StorageError.
        """
        found = layouts_with(self.layouts.values(), device, key)
        chosen = resolution or resolution_for(since_ms, until_ms)
        return await self._database.look(lambda c: charts.history(c, found, since_ms, until_ms, chosen))

    async def energy(self, device: str, key: str, bounds_ms: Sequence[int]) -> tuple[EnergyRow, ...]:
        """What a counter counted between neighbouring bounds, whole minutes that rise. Raises as `history` does."""
        found = layouts_with(self.layouts.values(), device, key)
        counters = [(layout, index) for layout, index in found if layout.points[index].kind == "counter"]
        if not counters:
            raise KeyError(f"{key} of {device} is no counter")
        return await self._database.look(lambda c: energy(c, counters, bounds_ms))

    def state(self) -> BufferState:
        keeping, taking = self.keeping, self._taking
        return BufferState(
            self.head, self._database.bytes_on_disk(), taking.error,
            pending=taking.pending, dropped=taking.dropped + self._lost, budget=keeping.limits.budget,
            oldest=keeping.oldest, thinned_hours=keeping.thinned_hours,
            commit_s=self.pace.commit_s, configured_s=self.pace.configured_s,
            warning=keeping.warning,
        )  # fmt: skip

    async def close(self) -> None:
        """Commit what waits, and close the file. Raises StorageError where the disk did not take it."""
        try:
            await self.flushed()
        except StorageError as error:
            raise StorageError(
                f"{error}; {self._taking.pending} records in memory are lost", hint=error.hint
            ) from error
        finally:
            await self._database.close()
