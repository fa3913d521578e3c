"""What time it is, and whether that is known: a state machine over the machine's clocks.

While the time is not known, it is time since the boot plus an estimate that stays the same until the next
boot: so all stamps are wrong by the same amount, and one number puts them right. Once known in a boot it stays
known: a kernel that calls itself unsynchronised again has had no time server for hours, and keeps time well.
"""

import asyncio
import logging
from typing import Protocol

import msgspec

from gateway.buffer.boots import Boot, Source
from gateway.core.clock import RawClock, plausible
from gateway.core.model import BACKFILLED, DATED, UNCERTAIN, Record
from gateway.core.status import ClockState

STEP_MS = 500  # what wall time gains or loses against the time since the boot at once, beyond slewing and leap seconds
AGREE_MS = 2000  # a kernel so close to the hub is believed: its milliseconds are better
VAGUE_MS = 250  # a hub's time that is no better is asked for again, a few times: connecting takes longer
VAGUE_MAX = 3
IN_FLIGHT_S = 60.0  # what was stamped before the time became known has arrived by then
LOOK_S = 1.0

log = logging.getLogger(__name__)


class Listener(Protocol):
    """Who is told what becomes of the time, at once; wall time is the new one by then."""

    def clock_known(self, boot: Boot, until_ms: int) -> None:
        """`boot` has its offset now. Its stamps up to `until_ms` were estimates."""
        ...

    def clock_stepped(self, by_ms: int) -> None:
        """Wall time is so much later (or, negative, earlier) than it would have been."""
        ...


class Timekeeper:
    """The gateway's `Clock`. `boot` is what is kept of this boot, by this process or by one before it."""

    def __init__(self, raw: RawClock, boot: Boot) -> None:
        self.listener: Listener | None = None
        self._raw = raw
        self._boot = boot
        self._kernel = boot.kernel  # the kernel's wall time less BOOTTIME, at the last look
        self._own: int | None = boot.estimate  # wall time less BOOTTIME; None: the kernel's clock is good
        self._told: tuple[int, int] | None = None  # by the hub: wall time less BOOTTIME, and how uncertain that is
        self._vague = 0
        self._known_at = 0, 0.0  # wall and monotonic
        self._steps = 0
        if boot.offset is not None:
            self._kernel = self._kernels()
            agrees = boot.source != "hub" or abs(self._kernel - boot.offset) <= AGREE_MS
            self._own = None if agrees else boot.offset
            self._known_at = self.wall_ms(), -IN_FLIGHT_S

    @property
    def known(self) -> bool:
        """False while wall time is an estimate that may yet be corrected."""
        return self._boot.offset is not None

    def wall_ms(self) -> int:
        return self._raw.wall_ms() if self._own is None else self._raw.boottime_ms() + self._own

    def monotonic_s(self) -> float:
        return self._raw.monotonic_s()

    def state(self) -> ClockState:
        return ClockState(
            self.known, self._boot.source, self._boot.correction, self._known_at[0] if self.known else 0, self._steps
        )

    def stamped(self, record: Record) -> Record:
        """`record` with what is known of its time, where it has it from this clock."""
        self.look()
        if record.flags & (DATED | BACKFILLED):
            return record
        if not self.known:
            return msgspec.structs.replace(record, flags=record.flags | UNCERTAIN)
        if self._is_estimate(record.ts):
            return msgspec.structs.replace(record, ts=record.ts + self._boot.correction)
        return record

    def _is_estimate(self, ts: int) -> bool:
        """Whether `ts` was taken just before the time became known, and was on its way.

        Where the estimate was ahead by less than that took, it cannot be told; nor is it far wrong.
        """
        known_ms, known_s = self._known_at
        if self._raw.monotonic_s() - known_s > IN_FLIGHT_S:
            return False
        correction = self._boot.correction
        return ts <= known_ms - correction if correction > 0 else ts > self.wall_ms()

    def hub_says(self, wall_ms: int, uncertainty_ms: int) -> None:
        """It is `wall_ms` now by the hub's clock, more or less."""
        if not plausible(wall_ms):
            return
        if not self.known and uncertainty_ms > VAGUE_MS and self._vague < VAGUE_MAX:
            self._vague += 1
            return
        self._told = wall_ms - self._raw.boottime_ms(), uncertainty_ms
        self.look()

    async def run(self) -> None:
        """Look at the clocks again and again. Run until cancelled."""
        while True:
            self.look()
            await asyncio.sleep(LOOK_S)

    def look(self) -> None:
        """See whether the time has become known, or was set."""
        was, kernel_was = self._in_use(), self._kernel
        self._kernel = self._kernels()
        source, self._own = self._judge(moved=abs(self._kernel - kernel_was) > STEP_MS)
        if source == "estimate":
            return
        by_ms = self._in_use() - was
        if not self.known:
            self._become_known(source)
        elif abs(by_ms) > STEP_MS:
            self._steps += 1
            log.warning("clock stepped", extra={"by_ms": by_ms, "source": source})
            if self.listener is not None:
                self.listener.clock_stepped(by_ms)
        self._boot = msgspec.structs.replace(self._boot, source=source)

    def _judge(self, *, moved: bool) -> tuple[Source, int | None]:
        """Who says what time it is, and what it is less BOOTTIME (None: as the kernel's clock has it)."""
        told, self._told = self._told, None
        if self._boot.source == "kernel" or self._raw.synchronised():
            return "kernel", None
        if told is not None:
            offset, close = told[0], AGREE_MS + told[1]
            if not self.known or abs(offset - self._in_use()) > close:
                return "hub", None if abs(offset - self._kernel) <= close else offset
        if moved and not self.known and plausible(self._raw.wall_ms()):
            return "set", None
        return self._boot.source, self._own

    def _become_known(self, source: Source) -> None:
        self._boot = msgspec.structs.replace(self._boot, offset=self._in_use(), source=source)
        self._known_at = self.wall_ms(), self._raw.monotonic_s()
        by_ms = self._boot.correction
        log.info("time known", extra={"source": source, "corrected_ms": by_ms})
        if self.listener is not None:
            self.listener.clock_known(self._boot, self._known_at[0] - by_ms)

    def _in_use(self) -> int:
        """Wall time less BOOTTIME."""
        return self._kernel if self._own is None else self._own

    def _kernels(self) -> int:
        return self._raw.wall_ms() - self._raw.boottime_ms()
