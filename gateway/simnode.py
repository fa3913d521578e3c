"""A site that is only simulated: a buffer that makes up its records when they are asked for, and keeps none.

What a record says is a function of its seq, so a backlog of months takes no memory; what the hub has acknowledged is
kept as spans, as in a real buffer.
"""

import asyncio
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Never

from gateway.bell import Bell
from gateway.core import codec
from gateway.core.model import Event, Layout, Point, Record
from gateway.core.span import Span

DEVICES = (("grid meter", "grid"), ("inverter", "pv"), ("battery", "battery"))
WAVE = tuple(round(500 * math.sin(2 * math.pi * at / 720)) for at in range(720))
PACK_TICKS = 60  # in one pack of a backlog; the present comes tick by tick


def site_layouts(points: int) -> list[Layout]:
    """Three devices of `points` points each."""
    powers = tuple(Point(f"p{n:02}", "u16", unit="W", quantity="power", scale="0.1") for n in range(points - 1))
    energy = Point("energy", "u32", unit="kWh", kind="counter", quantity="energy", scale="0.01")
    return [Layout(name, "live", (*powers, energy), "simulated", role) for name, role in DEVICES]  # type: ignore[arg-type]


class SimBuffer:
    """See `sync.edge.outbox.Outbox`. `begin`: ts of the first records, milliseconds since 1970 UTC."""

    generation, held = 0, False

    def __init__(self, number: int, begin: int, every_ms: int, points: int) -> None:
        self.epoch = f"{number:08x}{begin & 0xFFFFFFFF:08x}"
        self.committed, self.events_committed = Bell(), Bell()
        self.quarantine = NoQuarantine()
        self._number, self._begin, self._every_ms = number, begin, every_ms
        self._order = site_layouts(points)
        self.layouts: Mapping[bytes, Layout] = {layout.id: layout for layout in self._order}
        self._spans: dict[str, list[tuple[int, int | None]]] = {}

    def grow(self, now: int) -> None:
        """Have measured all that was due by `now`."""
        self.committed.ring(((now - self._begin) // self._every_ms + 1) * len(self._order))

    async def read(self, wanted: Span, records_max: int) -> tuple[Span, list[bytes]]:
        covered = Span(wanted.lo, min(wanted.hi, wanted.lo + records_max))
        if len(covered) <= PACK_TICKS * len(self._order):
            return covered, self._packs(covered)
        return covered, await asyncio.to_thread(self._packs, covered)

    def _packs(self, span: Span) -> list[bytes]:
        size = PACK_TICKS * len(self._order)
        pieces = (range(lo, min(span.hi, lo + size)) for lo in range(span.lo, span.hi, size))
        return [codec.encode([self.record(seq) for seq in piece], self.layouts) for piece in pieces]

    def record(self, seq: int) -> Record:
        tick, at = divmod(seq, len(self._order))
        layout = self._order[at]
        noise = (tick * 2654435761 + at * 40503 + self._number * 97) & 0xFFFFFFFF
        values: list[int] = []
        for n in range(len(layout.points) - 1):
            noise = (noise * 1103515245 + 12345) & 0x7FFFFFFF
            values.append(2000 + WAVE[(tick + 61 * n) % 720] + (noise >> 16) % 7)
        return Record(layout.id, self._ts(seq), layout.rows.pack([*values, 5 * tick]), seq=seq)

    def _ts(self, seq: int) -> int:
        return self._begin + seq // len(self._order) * self._every_ms

    async def read_events(self, wanted: Span, events_max: int) -> list[Event]:
        return []

    async def measured_at(self, seq: int) -> int:
        return self._ts(seq)

    async def released(self) -> None: ...

    async def spans(self, stream: str) -> list[tuple[int, int | None]]:
        return self._spans.get(stream, [(0, None)])

    def keep_spans(self, stream: str, spans: Sequence[tuple[int, int | None]]) -> None:
        self._spans[stream] = list(spans)


class NoQuarantine:
    """Of records that are made up the hub refuses none; if it does, the fleet stops with its words."""

    count = 0

    def __init__(self) -> None:
        self.asked = Bell()

    async def add(self, epoch: str, refused: Iterable[tuple[Record | Event, str]], at: int) -> None:
        raise RuntimeError(f"the hub refuses what the simulator made up: {[words for _, words in refused][:3]}")

    async def wanted(self, kind: str, limit: int) -> Sequence[Never]:
        return []

    async def drop(self, ids: Iterable[int]) -> None: ...
