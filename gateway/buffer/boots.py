"""What the stamps of a boot are worth, and their correction when its time becomes known.

A frame, segment or event that holds estimates carries the boot's id. When the time is known, a step of the upkeep
moves them all by the same amount and takes that id off; a crash in between loses nothing, for the boot's row says
by how much. What a boot leaves behind that never knew the time stays as it is, flagged.
"""

import contextlib
from collections.abc import Iterable
from typing import Literal

import msgspec

from gateway.bell import Bell
from gateway.buffer.correcting import correct_frames, correct_segment, corrected
from gateway.core import codec
from gateway.core.clock import RawClock, plausible
from gateway.core.database import Database
from gateway.core.errors import CodecError, StorageError
from gateway.core.model import BACKFILLED, DATED, Event, Record

BOOT = "SELECT kernel_id, estimate, kernel, offset, source, id FROM boot WHERE kernel_id = ? ORDER BY id"
KNOWN_BOOTS = "SELECT kernel_id, estimate, kernel, offset, source, id FROM boot WHERE offset IS NOT NULL"
ID = "SELECT id FROM boot WHERE kernel_id = ? AND estimate = ?"
APPEND = "INSERT INTO boot (kernel_id, estimate, kernel, offset, source) VALUES (?, ?, ?, ?, ?)"
LAST_FRAME = "SELECT bytes FROM frame ORDER BY lo DESC LIMIT 1"
LAST_BLOCKS = "SELECT bytes FROM block WHERE segment = (SELECT max(lo) FROM segment)"
LAST_EVENT = "SELECT ts FROM event ORDER BY seq DESC LIMIT 1"
LEFT = """SELECT 1 WHERE EXISTS (SELECT 1 FROM frame WHERE boot IS NOT NULL)
    OR EXISTS (SELECT 1 FROM segment WHERE boot IS NOT NULL)"""
LOST = "SELECT id FROM boot WHERE offset IS NULL AND kernel_id <> ?"
GIVE_UP = (
    "UPDATE frame SET boot = NULL WHERE boot = ?",
    "UPDATE segment SET boot = NULL WHERE boot = ?",
    "UPDATE event SET boot = NULL WHERE boot = ?",
    "DELETE FROM boot WHERE id = ?",
)
SET_OFFSET = "UPDATE boot SET offset = ?, source = ? WHERE kernel_id = ? AND offset IS NULL"
ESTIMATES = "SELECT id, estimate FROM boot WHERE kernel_id = ?"
# What the gateway noted by its own clock: by how much, since when, until when.
SHIFT_NOTES = (
    "UPDATE OR REPLACE contact SET ts = ts + ? WHERE ts BETWEEN ? AND ?",
    "UPDATE identity SET ts = ts + ? WHERE ts BETWEEN ? AND ?",
    "UPDATE pushed SET ts = ts + ? WHERE ts BETWEEN ? AND ?",
    "UPDATE doubtful SET received = received + ? WHERE received BETWEEN ? AND ?",
)
CORRECT_EVENTS = "UPDATE event SET ts = ts + ?, boot = NULL WHERE boot = ?"
# Estimates so much older than the newest segment stand: nobody waits for them who must not have them wrong.
LET_STAND = """UPDATE segment SET boot = NULL WHERE boot = ?1 AND (SELECT max(ts_max) FROM block WHERE segment = lo)
    < (SELECT max(ts_max) FROM block WHERE segment = (SELECT max(lo) FROM segment WHERE boot = ?1)) - ?2"""
FORGET = "DELETE FROM boot WHERE offset IS NOT NULL AND id <> ?"

Source = Literal["estimate", "kernel", "hub", "set"]
"""Who says what time it is; `set`: somebody who set the kernel's clock."""


class Boot(msgspec.Struct, frozen=True):
    """One start of the machine; wall times less CLOCK_BOOTTIME, in milliseconds."""

    kernel_id: str
    estimate: int  # in use until the time was known
    kernel: int  # as the kernel had it when this boot was first seen
    offset: int | None = None  # as it was when it became known
    source: Source = "estimate"
    id: int = 0

    @property
    def correction(self) -> int:
        """What the estimate lacked; 0 until that is known."""
        return 0 if self.offset is None else self.offset - self.estimate


def first_seen(raw: RawClock, newest_ms: int) -> Boot:
    """What to make of a boot that was not seen before; `newest_ms` is the last stamp before it, 0 for none.

    The kernel's wall time is believed where it can be and comes after that stamp, as with a battery, or a time
    saved at shutdown. Else it is that stamp and the time since the boot together: it cannot be earlier.
    """
    wall_ms = raw.wall_ms()
    kernel = wall_ms - raw.boottime_ms()
    believed = plausible(wall_ms) and wall_ms >= newest_ms
    return Boot(raw.boot_id, kernel if believed else newest_ms, kernel)


class Boots:
    """The table `boot`, and the step of the upkeep that corrects. Without `begin`, times are right as they are."""

    def __init__(self, database: Database, layouts: codec.LayoutSource, *, stand_after_ms: int | None = None) -> None:
        """`stand_after_ms`: estimates so old are not corrected any more, and can be rolled up; None: all are."""
        self._stand_after_ms = stand_after_ms
        self._database = database
        self._layouts = layouts
        self._boot: Boot | None = None
        self._noted_until: int | None = None  # up to here, notes beside the records have estimates, to be corrected
        self.left = False  # something may have to be corrected on the disk
        self._settled = Bell()
        self.newest_ms = 0  # the last stamp that was on the disk at `begin`

    async def begin(self, raw: RawClock) -> Boot:
        """This start of the machine: as the file has it or, where it has not or cannot be read, as the machine says."""
        kept: list[Boot] = []
        with contextlib.suppress(StorageError):
            self.newest_ms = await self._newest_ms()
            kept = await self._boots(BOOT, (raw.boot_id,))
        self._boot = kept[0] if kept else first_seen(raw, self.newest_ms)
        with contextlib.suppress(StorageError):
            await self.attach()
        return self._boot

    async def attach(self) -> None:
        """Have this boot in the file, which may be another than before. Raises StorageError."""
        if self._boot is None:
            return
        boot = self._boot
        async with self._database.transaction() as db:
            for lost in await db.execute_fetchall(LOST, (boot.kernel_id,)):
                for statement in GIVE_UP:
                    await db.execute(statement, (lost[0],))
            if not await db.execute_fetchall(ID, (boot.kernel_id, boot.estimate)):
                await db.execute(APPEND, (boot.kernel_id, boot.estimate, boot.kernel, boot.offset, boot.source))
        ((row,),) = await self._database.fetch(ID, (boot.kernel_id, boot.estimate))
        self._boot = msgspec.structs.replace(self._boot, id=row)
        self.left = self.left or bool(await self._database.fetch(LEFT))

    async def _newest_ms(self) -> int:
        """The newest stamp by the gateway's own clock; 0 for none."""
        packs = await self._database.fetch(LAST_FRAME) or await self._database.fetch(LAST_BLOCKS)
        times = [ts for (ts,) in await self._database.fetch(LAST_EVENT)]
        for (pack,) in packs:
            with contextlib.suppress(CodecError):  # a damaged one is not ours to mend
                times += [r.ts for r in codec.decode(pack) if not r.flags & (DATED | BACKFILLED)]
        return max(times, default=0)

    async def _boots(self, query: str, parameters: tuple[str, ...] = ()) -> list[Boot]:
        return [Boot(*row) for row in await self._database.fetch(query, parameters)]

    @property
    def held(self) -> bool:
        """Whether there are, or may be, times on the disk that are going to be corrected."""
        return self._boot is not None and (self.estimating or self.left)

    async def released(self) -> None:
        """Return when nothing is held any more."""
        while self.held:
            await self._settled.wait_beyond(self._settled.reached)

    @property
    def estimating(self) -> bool:
        """Whether the gateway's clock gives estimates."""
        return self._boot is not None and self._boot.offset is None

    @property
    def id(self) -> int | None:
        """Of this boot."""
        return self._boot.id if self._boot is not None else None

    def known(self, boot: Boot, until_ms: int) -> None:
        """The time is known: `boot` has its offset, `until_ms` was the last estimate. `step` does the rest."""
        self._boot = msgspec.structs.replace(boot, id=self.id or 0)
        self._noted_until, self.left = until_ms, True

    def settled(self, records: Iterable[Record]) -> list[Record]:
        """`records` with their times corrected, where that can be done by now."""
        if self._boot is None or self.estimating:
            return list(records)
        return corrected(records, self._boot.correction)

    def settled_events(self, events: Iterable[tuple[Event, bool]]) -> list[tuple[Event, int | None]]:
        """From events and whether their times are estimates: events, and the boot that is going to correct them."""
        if self._boot is None or self.estimating:
            return [(event, self.id if estimate else None) for event, estimate in events]
        by_ms = self._boot.correction
        return [
            (msgspec.structs.replace(event, ts=event.ts + by_ms) if estimate else event, None)
            for event, estimate in events
        ]

    async def step(self) -> bool:
        """Correct a piece of what is on the disk; whether there may be more. Raises StorageError."""
        if self._boot is not None and self.estimating and self._may_stand(self._boot):
            async with self._database.transaction() as db:
                await db.execute(LET_STAND, (self.id, self._stand_after_ms))
        if not self.left:
            return False
        if self._noted_until is not None:
            await self._keep_offset(self._noted_until)
            return True
        for boot in await self._boots(KNOWN_BOOTS):
            piece = self._database, self._layouts, boot.id, boot.correction
            if await correct_segment(*piece) or await correct_frames(*piece):
                return True
        async with self._database.transaction() as db:
            await db.execute(FORGET, (self.id,))
        self.left = False
        self._settled.ring(self._settled.reached + 1)
        return False

    def _may_stand(self, boot: Boot) -> bool:
        return self._stand_after_ms is not None and plausible(boot.estimate)

    async def _keep_offset(self, until_ms: int) -> None:
        """From here on the correction goes on after a crash, too."""
        assert self._boot is not None
        boot = self._boot
        async with self._database.transaction() as db:
            await db.execute(SET_OFFSET, (boot.offset, boot.source, boot.kernel_id))
            for row, estimate in await db.execute_fetchall(ESTIMATES, (boot.kernel_id,)):
                await db.execute(CORRECT_EVENTS, (boot.estimate + boot.correction - estimate, row))
            for statement in SHIFT_NOTES:
                await db.execute(statement, (boot.correction, boot.estimate, until_ms))
        self._noted_until = None
