"""An Acuvim II's own log over Modbus: asked window by window, believed only where it shows what was asked.

What the words of a record mean is the meter's setting (its register list, 1102H): they are handed in as the points
of those registers, in the meter's order. The meter tells how long its records are; another length is refused.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, tzinfo
from typing import Protocol

from drivers.modbus.acuvim_window import (
    AROUND_BYTES,
    StoredRecord,
    parse_status,
    parse_window,
    records_max,
    stamp_ms,
    status_read,
    window_read,
    window_request,
)
from drivers.modbus.codec import decoder
from drivers.modbus.points import PlacedPoint
from drivers.modbus.requests import EXCEPTIONS, Reply, Request
from gateway.core.errors import DeviceError
from gateway.core.model import Layout, Raw, Role

GROUP = "log"
PAUSE_S = 0.05  # before the window is read: the maker's own program waits as long
READS_MAX = 10  # of one window that does not get ready; then it is asked for anew


class Link(Protocol):
    """The bus that the meter is on."""

    name: str

    async def ask(self, request: Request, timeout_s: float) -> Reply: ...


@dataclass(frozen=True, slots=True)
class LogEntry:
    """One record; `index` counts from 0 since the log was cleared, `ts` is the meter's stamp, 0 where it has none."""

    index: int
    ts: int  # milliseconds since 1970 UTC
    values: tuple[Raw | None, ...]


class AcuvimLog:
    """One of the meter's three logs. Each call makes few requests and then lets the bus go."""

    def __init__(
        self, device: str, points: Sequence[PlacedPoint], link: Link, *, unit_id: int = 1, timeout_s: float = 2,
        number: int = 1, zone: tzinfo = UTC, profile: str = "", role: Role = "meter", pause_s: float = PAUSE_S,
    ) -> None:  # fmt: skip
        """`number` is 1, 2 or 3, as the meter's manual counts; `zone` is what the meter's clock shows."""
        self.layout = Layout(device, GROUP, tuple(placed.point for placed in points), profile, role)
        self._link = link
        self._unit_id = unit_id
        self._timeout_s = timeout_s
        self._log = number - 1
        self._zone = zone
        self._pause_s = pause_s
        self._fields = []
        at = 0
        for placed in points:
            self._fields.append((decoder(placed.type, placed.block.count, placed.order), at, placed.missing))
            at += 2 * placed.block.count
        self._record_bytes = AROUND_BYTES + at
        self._asked: tuple[int, int] | None = None  # the offset and count that the meter is preparing
        self._reads = 0
        self._ends: dict[int, int] = {}  # by offset: the index of the record there
        self._oldest = self._next = 0

    async def extent(self) -> tuple[int, int] | None:
        """The index of the oldest record and the one that the next will get; None: ask again.

        A window may be one of long ago, so the first record's number counts only where the last one's
        fits to it. Raises DeviceError.
        """
        status = parse_status((await self._ask(status_read(self._unit_id, self._log))).words)
        if status.used == 0:
            self._oldest = self._next = 0
            return 0, 0
        if status.record_bytes != self._record_bytes:
            raise DeviceError(
                f"{self._where} logs {status.record_bytes - AROUND_BYTES} bytes a record, "
                f"the configured points have {self._record_bytes - AROUND_BYTES}",
                hint="set the log's points to what the meter is set to log",
            )
        last = status.used - 1
        for offset in (0, last):
            if offset not in self._ends:
                records = await self._shown(offset, 1)
                if not records:
                    return None
                self._ends[offset] = records[0].number - 1
        ends, self._ends = self._ends, {}
        if ends[last] - ends[0] != last:
            return None
        self._oldest, self._next = ends[0], ends[last] + 1
        return self._oldest, self._next

    async def window(self, index: int) -> list[LogEntry]:
        """Records from `index` on, without a hole; none: not ready, or not what was asked for; ask again.

        `index` is within what `extent` gave last. Raises DeviceError.
        """
        count = min(records_max(self._record_bytes), self._next - index)
        records = await self._shown(index - self._oldest, count)
        if not records or records[0].number != index + 1:
            return []
        return [LogEntry(r.number - 1, stamp_ms(r.stamp, self._zone), self._values(r.data)) for r in records]

    async def _shown(self, offset: int, count: int) -> tuple[StoredRecord, ...]:
        """What the window shows, if that is what is wanted."""
        if self._asked != (offset, count):
            self._asked = None
            await self._ask(window_request(self._unit_id, self._log, offset, count))
            self._asked, self._reads = (offset, count), 0
        await asyncio.sleep(self._pause_s)
        window = parse_window((await self._ask(window_read(self._unit_id))).words, self._record_bytes)
        self._reads += 1
        if window is not None or self._reads == READS_MAX:
            self._asked = None
        return window.records if window is not None and window.shows(offset, count) else ()

    def _values(self, data: bytes) -> tuple[Raw | None, ...]:
        raws = ((decode(data, at), missing) for decode, at, missing in self._fields)
        return tuple(None if raw in missing else raw for raw, missing in raws)

    async def _ask(self, request: Request) -> Reply:
        reply = await self._link.ask(request, self._timeout_s)
        if reply.exception:
            what = EXCEPTIONS.get(reply.exception, f"exception code {reply.exception}")
            raise DeviceError(
                f"{self._where} refuses its log: {what}", hint="check that this model has a log and that it is on"
            )
        return reply

    @property
    def _where(self) -> str:
        return f"{self._link.name} unit {self._unit_id}"
