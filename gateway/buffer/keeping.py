"""Keeps the buffer within its budget and on its disk; a step of the upkeep. `retention.py` decides."""

import asyncio
import dataclasses
import functools
import logging
import os
import sqlite3
from collections import deque
from collections.abc import Callable, Sequence

from gateway.buffer import ledger, retention, thinning
from gateway.buffer.reserve import Reserve, free_bytes
from gateway.buffer.retention import WHOLE, Limits, Segment, Sizes, Thin
from gateway.buffer.sealing import APPEND_BLOCK, BlockRow, block_rows
from gateway.buffer.upkeep import Step
from gateway.core import codec
from gateway.core.clock import Clock
from gateway.core.database import Database
from gateway.core.errors import CodecError
from gateway.core.model import Event, Record
from gateway.core.rollup import DAY_MS, HOUR_MS
from gateway.core.status import ThinnedRange
from gateway.core.wording import bytes_text

AT_ONCE = 64  # segments that are looked at for their age
EVENTS_AT_ONCE = 1000
MARKS_AT_ONCE = 10_000
# What was pushed so lately is known when it comes again, while there is something else to free; events that no hub has
# stay as long.
MARKED_MS = 7 * DAY_MS
ROUNDS = 16  # whose growth is remembered: sealing and rolling up do not happen in each

SIZES = """SELECT page_count * page_size, (page_count - freelist_count) * page_size
    FROM pragma_page_count, pragma_freelist_count, pragma_page_size"""
ACKNOWLEDGED = """EXISTS (SELECT 1 FROM span WHERE stream = 'records') AND NOT EXISTS (SELECT 1 FROM span
    WHERE stream = 'records' AND span.lo < segment.hi AND coalesce(span.hi, segment.hi) > segment.lo)"""
SEGMENTS = f"SELECT lo, hi, level, coalesce(kept, hi - lo), boot, rolled, {ACKNOWLEDGED} FROM segment ORDER BY lo"  # noqa: S608 - a constant
NEWEST_TIMES = """SELECT (SELECT max(ts_max) FROM block WHERE segment = lo) FROM segment WHERE boot IS NULL
    ORDER BY lo DESC LIMIT ?"""
NEWEST_TIME = "SELECT max(ts_max) FROM block WHERE segment = (SELECT max(lo) FROM segment WHERE boot IS NULL)"
OLDEST_TIME = "SELECT min(ts_min) FROM block WHERE segment = (SELECT min(lo) FROM segment)"
OLDEST_WHOLE = """SELECT coalesce(min(ts_min), 0) FROM block
    WHERE segment = (SELECT min(lo) FROM segment WHERE level = 0 AND boot IS NULL)"""
OLDEST = f"""SELECT lo, hi FROM (SELECT lo, hi, rolled, {ACKNOWLEDGED} AS acknowledged FROM segment
    WHERE boot IS NULL ORDER BY lo LIMIT ?) WHERE rolled AND (acknowledged OR ?)
    AND (SELECT max(ts_max) FROM block WHERE segment = lo) < ?"""  # noqa: S608 - a constant
BLOCKS = "SELECT segment, bytes FROM block WHERE segment >= ? AND segment < ?"
DELETE_BLOCKS = "DELETE FROM block WHERE segment >= ? AND segment < ?"
DELETE_SEGMENTS = "DELETE FROM segment WHERE lo >= ? AND lo < ?"
KEEP_HEAD = "UPDATE meta SET value = max(value + 0, ?) WHERE key = 'head'"  # a seq is never given out again
APPEND_THIN = "INSERT INTO segment (lo, hi, boot, rolled, level, kept) VALUES (?, ?, ?, ?, ?, ?)"
# The last event stays: the next one gets the seq after it.
DELETE_MANY_EVENTS = "DELETE FROM event WHERE seq < (SELECT max(seq) FROM event) - ?"
DELETE_EVENTS = """DELETE FROM event WHERE seq IN (SELECT seq FROM (SELECT seq, ts FROM event ORDER BY seq LIMIT ?)
    WHERE ts < ? AND (? OR seq < (SELECT min(lo) FROM span WHERE stream = 'events'))
    AND seq < (SELECT max(seq) FROM event))"""
DELETE_MARKS = "DELETE FROM pushed WHERE digest IN (SELECT digest FROM pushed WHERE ts < ? ORDER BY ts LIMIT ?)"
OLDEST_MINUTES = "SELECT min((SELECT min(ts) FROM rollup_1m WHERE layout = layout.id)) FROM layout"
HALF_ROLLED = "SELECT count(*) FROM segment WHERE rolled = 0 AND rolled_block > 0"
LAYOUT_IDS = "SELECT id FROM layout"
DELETE_MINUTES = "DELETE FROM rollup_1m WHERE layout = ? AND ts < ?"

log = logging.getLogger(__name__)


class Keeping:
    """One piece of work each `step`: some segments deleted, or a run of them thinned."""

    def __init__(
        self,
        database: Database,
        layouts: codec.LayoutSource,
        limits: Limits,
        clock: Clock,
        put_event: Callable[[Event], None],
    ) -> None:
        self.limits = self._configured = limits
        self.clock = clock  # stamps events; the gateway sets its own once it has one
        self.warning = ""  # why the file cannot be kept as small as it should be
        self.oldest = 0  # ts of the oldest record that is whole; 0: none
        self.thinned_hours = 0
        self.thinned: list[ThinnedRange] = []  # oldest first, as of the last round
        self._database = database
        self._layouts = layouts
        self._put_event = put_event
        self._reserve = Reserve(database.path)
        self._target: int | None = None  # bytes that may be in use; None between two rounds
        self._used_before: int | None = None  # at the end of the last round
        self._size_before = 0
        self._grown = deque([0, 0], maxlen=ROUNDS)  # from round to round; the largest is not believed: a burst
        self._unreadable: set[int] = set()  # segments that cannot be thinned
        self._ledger_is_new = True
        self._thinned: dict[int, list[int]] = {}  # in this round, by level: since, until, removed, kept

    def is_crowded(self) -> bool:
        """Whether the file has outgrown its budget since the last round, so that the next should not wait."""
        return self._database.bytes_on_disk() > max(self.limits.budget, self._size_before)

    async def begin(self) -> None:
        """Learn what the file says of earlier times; let the log grow no more than the budget bears.

        A disk that is smaller than the budget is the budget: log and reserve are in proportion to it.
        """
        disk = os.statvfs(self._database.path.parent)
        budget = min(self._configured.budget, disk.f_blocks * disk.f_frsize)
        self.limits = dataclasses.replace(self._configured, budget=budget)
        await self._database.alone(f"PRAGMA wal_autocheckpoint = {self.limits.log_pages:d}")
        self._ledger_is_new = True
        await self._look()

    async def _look(self) -> None:
        if self._ledger_is_new:  # it grows with the years, and pages ask for it every few seconds
            self.thinned_hours = await ledger.hours(self._database)
            self.thinned = await ledger.ranges(self._database)
            self._ledger_is_new = False
        self.oldest = int((await self._database.fetch(OLDEST_WHOLE))[0][0])

    def make_reserve(self) -> None:
        """Where there is room for it."""
        self._reserve.make(self.limits.reserve, free_bytes(self._database.path.parent))

    async def rescue(self) -> bool:
        """The first step of all: on a full disk nothing else works before this has made room in the file."""
        if not retention.is_full(await self._sizes(), self.limits):
            return False
        self._reserve.give_up()
        await self._database.alone("PRAGMA wal_checkpoint(RESTART)")  # else the log would have to grow
        while await self.step():
            pass
        return False

    def with_room(self, step: Step) -> Step:
        """`step`, but on a full disk it waits: what is in the log must still get into the file."""

        @functools.wraps(step)
        async def guarded() -> bool:
            return retention.has_room(await self._sizes(), self.limits) and await step()

        return guarded

    async def step(self) -> bool:
        sizes = await self._sizes()
        if self._target is None:
            await asyncio.to_thread(self.make_reserve)
            self._grown.append(max(0, sizes.used - (self._used_before or sizes.used)))
            if await self._forget_old():
                return True
            bound = retention.limit(sizes, self.limits, sorted(self._grown)[-2])
            self._target = bound - bound // retention.SLACK if sizes.used > bound else bound
        if sizes.used > self._target and await self._free(sizes, sizes.used - self._target):
            return True
        await self._end_round(sizes)
        return False

    async def _sizes(self) -> Sizes:
        ((file, used),) = await self._database.fetch(SIZES)
        log_bytes = self._database.log_bytes()
        return Sizes(
            file, used, log_bytes, self._database.bytes_on_disk() - log_bytes, free_bytes(self._database.path.parent)
        )

    async def _free(self, sizes: Sizes, over: int) -> bool:
        """Do the next thing that makes the file's content smaller; False: there is none."""
        urgent = retention.is_full(sizes, self.limits)
        segments = await self._segments()
        per_record = sizes.used / max(1, sum(segment.records for segment in segments))
        if gone := retention.enough(retention.deletable(segments, self.limits, urgent=urgent), over, per_record):
            await self._delete([(segment.lo, segment.hi) for segment in gone])
            return True
        events_ms = 0 if self.limits.hub else MARKED_MS
        if await self._delete_events(self.clock.wall_ms() - events_ms, any_of_them=not self.limits.hub):
            return True
        if await self._delete_marks(MARKED_MS) or await self._drop_minutes():
            return True
        readable = [segment for segment in segments if segment.lo not in self._unreadable]
        if todo := retention.next_thinning(readable):
            await self._thin(todo)
            return True
        return await self._delete_marks(HOUR_MS)

    async def _segments(self) -> list[Segment]:
        return await self._database.look(self._all_segments)  # there are many: beside the event loop

    def _all_segments(self, connection: sqlite3.Connection) -> list[Segment]:
        return [
            Segment(lo, hi, level, records, boot, bool(rolled), self.limits.hub and bool(acknowledged))
            for lo, hi, level, records, boot, rolled, acknowledged in connection.execute(SEGMENTS)
        ]

    async def _delete(self, spans: Sequence[tuple[int, int]]) -> None:
        async with self._database.transaction() as db:
            await db.executemany(DELETE_BLOCKS, spans)
            await db.executemany(DELETE_SEGMENTS, spans)
            await db.execute(KEEP_HEAD, (max(hi for _, hi in spans),))

    async def _thin(self, todo: Thin) -> None:
        run, level = todo.run, todo.level
        lo, hi = run[0].lo, run[-1].hi
        packs = [tuple(row) for row in await self._database.fetch(BLOCKS, (lo, hi))]
        whole = {segment.lo for segment in run if segment.level == WHOLE}
        try:
            blocks, entries = await asyncio.to_thread(_thinned, lo, packs, whole, level, self._layouts)
        except CodecError as error:
            log.warning("stored records cannot be thinned", extra={"lo": lo, "hi": hi, "why": str(error)})
            self._unreadable |= {segment.lo for segment in run}
            return
        kept = sum(count for _, _, _, _, count, _ in blocks)
        async with self._database.transaction() as db:  # deleted first: what it frees is used again at once
            await db.execute(DELETE_BLOCKS, (lo, hi))
            await db.execute(DELETE_SEGMENTS, (lo, hi))
            await db.execute(APPEND_THIN, (lo, hi, run[0].boot, run[0].rolled, level, kept))
            await db.executemany(APPEND_BLOCK, blocks)
            await ledger.add(db, entries, level)
        self._ledger_is_new = True
        self._note(level, blocks, entries)

    def _note(self, level: int, blocks: list[BlockRow], entries: list[tuple[bytes, int, int, int]]) -> None:
        if not blocks:  # of a run that holds no record any more
            return
        since, until = min(row[2] for row in blocks), max(row[3] for row in blocks)
        removed, kept = sum(entry[2] for entry in entries), sum(row[4] for row in blocks)
        before = self._thinned.get(level, [since, until, 0, 0])
        self._thinned[level] = [min(before[0], since), max(before[1], until), before[2] + removed, before[3] + kept]

    async def _forget_old(self) -> bool:
        """Delete some of what is older than `keep_days`, by measured time, and need not be kept for the hub.

        Neither a clock that is ahead nor a device that dates its records ahead makes anything old: both must agree.
        """
        async with self._database.transaction() as db:
            await db.execute(DELETE_MANY_EVENTS, (self.limits.events,))
        times = [ts for (ts,) in await self._database.fetch(NEWEST_TIMES, (self.limits.agreeing,)) if ts is not None]
        if not times:
            return False
        before_ms = min(retention.present(times), self.clock.wall_ms()) - self.limits.keep_ms
        spans = await self._database.fetch(OLDEST, (AT_ONCE, not self.limits.hub, before_ms))
        if spans:
            await self._delete([(lo, hi) for lo, hi in spans])
            return True
        oldest = (await self._database.fetch(OLDEST_TIME))[0][0]
        if self.thinned_hours and oldest is not None and oldest > before_ms:
            async with self._database.transaction() as db:
                forgotten = await ledger.forget(db, before_ms - HOUR_MS)
            self._ledger_is_new |= forgotten
        return await self._delete_events(before_ms, any_of_them=not self.limits.hub)

    async def _delete_events(self, before_ms: int, *, any_of_them: bool) -> bool:
        async with self._database.transaction() as db:
            deleted = await db.execute(DELETE_EVENTS, (EVENTS_AT_ONCE, before_ms, any_of_them))
            return deleted.rowcount > 0

    async def _delete_marks(self, older_ms: int) -> bool:
        """Of records that were pushed: the hub knows them when they come again, and no reading is lost."""
        async with self._database.transaction() as db:
            deleted = await db.execute(DELETE_MARKS, (self.clock.wall_ms() - older_ms, MARKS_AT_ONCE))
            return deleted.rowcount > 0

    async def _drop_minutes(self) -> bool:
        """Delete a week of the roll-ups by minute of time that is not whole any more; those by hour stay."""
        oldest = (await self._database.fetch(OLDEST_MINUTES))[0][0]
        whole_from = (await self._database.fetch(OLDEST_WHOLE))[0][0] or (await self._database.fetch(NEWEST_TIME))[0][0]
        if oldest is None or not whole_from or oldest >= whole_from - DAY_MS:
            return False
        until = min(whole_from - DAY_MS, oldest + 7 * DAY_MS)
        layouts = await self._database.fetch(LAYOUT_IDS)
        async with self._database.transaction() as db:
            await db.executemany(DELETE_MINUTES, [(layout, until) for (layout,) in layouts])
        return True

    async def _end_round(self, sizes: Sizes) -> None:
        bound = retention.limit(sizes, self.limits, sorted(self._grown)[-2])
        self.warning = _complaint(sizes, self.limits) if sizes.used > bound else ""
        if self._thinned:
            self._put_event(Event(self.clock.wall_ms(), "history_thinned", "", ledger.sentence(self._thinned)))
            self._thinned = {}
        await self._look()
        # VACUUM gives blocks new rowids, and a segment that is half rolled up knows where it stands by them.
        half_rolled = (await self._database.fetch(HALF_ROLLED))[0][0]
        if retention.worth_compacting(sizes, self.limits) and not half_rolled:
            await self._database.alone("VACUUM")
            await self._database.alone("PRAGMA wal_checkpoint(TRUNCATE)")
            sizes = await self._sizes()
        self._target, self._used_before = None, sizes.used
        self._size_before = self._database.bytes_on_disk()


def _thinned(
    lo: int, packs: list[tuple[int, bytes]], whole: set[int], level: int, layouts: codec.LayoutSource
) -> tuple[list[BlockRow], list[tuple[bytes, int, int, int]]]:
    fresh: list[Record] = []
    again: list[Record] = []
    for segment, pack in packs:
        (fresh if segment in whole else again).extend(codec.decode(pack))
    left = thinning.thin([*fresh, *again], level)
    return block_rows(lo, left, layouts), thinning.entries(fresh, again, left)


def _complaint(sizes: Sizes, limits: Limits) -> str:
    if sizes.file + sizes.disk_free < limits.budget:
        left = bytes_text(sizes.disk_free)
        return f"the disk has {left} left, and nothing is there yet that the buffer could thin: make room on it"
    return (
        "the budget is too small: it does not hold what is kept, thinned to one record an hour;"
        " raise buffer.budget_mb, or bring the hub back"
    )
