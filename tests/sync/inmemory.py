"""A buffer and a hub in memory, for the engine in virtual time."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from random import Random

from gateway.bell import Bell
from gateway.core import codec
from gateway.core.model import Event, Layout, Record
from gateway.core.span import Span
from sync import wire
from sync.edge.engine import Engine
from sync.edge.link import Link
from sync.edge.metering import Meter
from sync.edge.outbox import Refused
from sync.edge.transport import Hear
from tests.values import METER
from tests.virtual import VirtualClock

EPOCH = "0123456789abcdef"


class NoQuarantine:
    """Nothing is ever refused."""

    count = 0

    def __init__(self) -> None:
        self.asked = Bell()

    async def add(self, epoch: str, refused: Iterable[tuple[Record | Event, str]], at: int) -> None:
        raise AssertionError("something was refused")

    async def wanted(self, kind: str, limit: int) -> Sequence[Refused]:
        return []

    async def drop(self, ids: Iterable[int]) -> None: ...


class MemoryOutbox:
    """Of each record the hub gets `record_bytes`, which are no pack; with 0 they are real, and noise."""

    epoch, generation, held = EPOCH, 0, False

    def __init__(self, head: int = 0, record_bytes: int = 1) -> None:
        self.layouts: dict[bytes, Layout] = {METER.id: METER}
        self.committed, self.events_committed = Bell(head), Bell()
        self.quarantine = NoQuarantine()
        self.kept: dict[str, Sequence[tuple[int, int | None]]] = {}
        self._record_bytes = record_bytes

    def take(self, count: int = 1) -> None:
        self.committed.ring(self.committed.reached + count)

    async def read(self, wanted: Span, records_max: int) -> tuple[Span, list[bytes]]:
        covered = Span(wanted.lo, min(wanted.hi, wanted.lo + records_max))
        if self._record_bytes:
            return covered, [bytes(self._record_bytes * len(covered))]
        noise = Random(covered.lo)
        rows = [METER.rows.pack([noise.getrandbits(32), 0]) for _ in range(len(covered))]
        records = [Record(METER.id, 1, row, 0, covered.lo + at) for at, row in enumerate(rows)]
        return covered, [codec.encode(records, self.layouts)]

    async def read_events(self, wanted: Span, events_max: int) -> list[Event]:
        return [Event(1, "noted", seq=seq) for seq in range(wanted.lo, min(wanted.hi, wanted.lo + events_max))]

    async def measured_at(self, seq: int) -> int:
        return 1

    async def released(self) -> None: ...

    async def spans(self, stream: str) -> list[tuple[int, int | None]]:
        return list(self.kept.get(stream, [(0, None)]))

    def keep_spans(self, stream: str, spans: Sequence[tuple[int, int | None]]) -> None:
        self.kept[stream] = spans


class MemoryHub:
    """A transport that ends in memory; `answer` may raise in the hub's place, and its batches are kept with a time."""

    name, kind = "memory", "https"

    def __init__(self, clock: VirtualClock, answer: Callable[[wire.BatchType, wire.Cursor], None]) -> None:
        self.came: list[tuple[float, wire.BatchType, Span]] = []  # seconds, monotonic
        self.taken: set[int] = set()  # seqs of records
        self._clock = clock
        self._answer = answer

    async def push(
        self, batch_type: wire.BatchType, cursor: wire.Cursor, body: bytes, *, live: bool = False
    ) -> wire.Answer:
        self.came.append((self._clock.monotonic_s(), batch_type, Span(cursor.lo, cursor.hi)))
        self._answer(batch_type, cursor)
        await asyncio.sleep(0)  # the others have their turn while it is on its way
        if batch_type == "records":
            self.taken |= set(range(cursor.lo, cursor.hi))
        return wire.Answer(str(cursor))

    async def run(self, hear: Hear) -> None:
        await asyncio.Event().wait()

    async def close(self) -> None: ...


@asynccontextmanager
async def running(
    outbox: MemoryOutbox, hub: MemoryHub, meter: Meter | None = None, *, quiet: bool = False
) -> AsyncIterator[tuple[Engine, Link]]:
    """The engine on a virtual loop, with jitter of a known seed."""
    clock = VirtualClock()
    link = Link(lambda: outbox.epoch, hub, clock, Random(1), meter)
    engine = Engine(outbox, link, clock, Random(1), push_interval_s=5, quiet=quiet)
    task = asyncio.ensure_future(engine.run())
    try:
        yield engine, link
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
