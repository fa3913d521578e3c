"""Sixty days without the hub on a budget for ten: everything stays, the oldest loses resolution, the ledger knows."""

import random
from collections import Counter
from itertools import pairwise
from pathlib import Path

import pytest

from gateway.buffer.buffer import Buffer
from gateway.buffer.retention import Limits
from gateway.core.model import Layout, Point, Record
from gateway.core.rollup import HOUR_MS
from gateway.core.span import Span
from tests.buffer.stocked import START_MS, StandingClock, upkeep
from tests.stored import everything

DAY_MS = 24 * HOUR_MS
DAYS = 60
BUDGET = 4_500_000  # holds about ten days of this site whole, with what is known by minute
QUICK = Layout("meter", "live", tuple(Point(f"p{n}", "f32") for n in range(8)))  # every 30 s
SLOW = Layout("boiler", "live", (Point("temperature", "i16"), Point("energy", "u32", kind="counter")))  # every 10 min
EVERY_MS = {QUICK.id: 30_000, SLOW.id: 600_000}
COMMIT_MS = 20 * 60_000
UPKEEP_MS = 2 * HOUR_MS


class Site:
    """Fills a buffer with what two devices measure, in a time of its own, and counts what it took."""

    def __init__(self, buffer: Buffer, clock: StandingClock) -> None:
        self.buffer = buffer
        self.clock = clock
        self.taken: Counter[tuple[bytes, int]] = Counter()
        self.largest = 0
        self._random = random.Random(6)

    async def live_until(self, end_ms: int) -> None:
        while self.clock.now_ms < end_ms:
            for layout in (QUICK, SLOW):
                self._measure(layout)
            self.clock.now_ms += COMMIT_MS
            await self.buffer.flushed()
            self._look()
            if self.clock.now_ms % UPKEEP_MS == 0:
                await upkeep(self.buffer)
                self._look()

    def _measure(self, layout: Layout) -> None:
        times = range(self.clock.now_ms, self.clock.now_ms + COMMIT_MS, EVERY_MS[layout.id])
        records = []
        for ts in times:
            values = (
                [self._random.gauss(230, 3) for _ in range(8)] if layout is QUICK else [55, ts // 60_000 - 29_000_000]
            )
            records.append(Record(layout.id, ts, layout.rows.pack(values)))
            self.taken[layout.id, ts // HOUR_MS * HOUR_MS] += 1
        self.buffer.put(layout, records)

    def _look(self) -> None:
        self.largest = max(self.largest, self.buffer.state().bytes)


def per_hour(records: list[Record]) -> Counter[tuple[bytes, int]]:
    return Counter((record.layout_id, record.ts // HOUR_MS * HOUR_MS) for record in records)


@pytest.mark.P6
async def test_sixty_days_offline_on_a_budget_for_ten(tmp_path: Path) -> None:
    clock = StandingClock()
    limits = Limits(budget=BUDGET, keep_ms=2 * DAY_MS, hub=True)
    buffer = await Buffer.open(tmp_path / "b.db", limits=limits, clock=clock)
    site = Site(buffer, clock)
    end_ms = START_MS + DAYS * DAY_MS
    await site.live_until(end_ms)

    records = await everything(buffer)
    left = per_hour(records)
    assert left.keys() == site.taken.keys()  # every hour of both devices still has data
    assert site.largest <= 1.05 * BUDGET
    assert not buffer.state().error

    rows = await buffer._database.fetch("SELECT layout, hour, removed, kept, level FROM thinned")
    removed = Counter({(layout, hour): count for layout, hour, count, _, _ in rows})
    assert {key: removed[key] + left[key] for key in site.taken} == dict(site.taken)  # the ledger is exact
    whole_from = buffer.state().oldest
    kept = {(layout, hour): count for layout, hour, _, count, _ in rows}
    assert kept == dict(per_hour([record for record in records if record.ts < whole_from]))

    days = [sum(left[QUICK.id, hour] for hour in range(day, day + DAY_MS, HOUR_MS)) for day in
            range(START_MS, end_ms, DAY_MS)]  # fmt: skip
    assert days[0] < 100
    assert days[-3:] == 3 * [DAY_MS // 30_000]
    assert whole_from <= end_ms - 3 * DAY_MS
    # It is the oldest that is thin; where two runs meet inside a piece of time, each has left one of it.
    assert all(later >= earlier - 2 for earlier, later in pairwise(days))
    assert [r.seq for r in records] == sorted(r.seq for r in records)

    events = [event for event in await buffer.read_events(Span(0, 10**9), 10**6) if event.kind == "history_thinned"]
    assert "UTC: one record a minute" in events[0].detail
    assert buffer.state().thinned_hours == sum(1 for count in removed.values() if count)

    buffer.keep_spans("records", [(buffer.head, None)])  # the hub is back and has everything
    await site.live_until(end_ms + DAY_MS)
    sizes = await buffer.keeping._sizes()
    assert sizes.used < sizes.file  # pages are free for what comes; the file itself has no room to be copied here
    assert min(record.ts for record in await everything(buffer)) > end_ms - 3 * DAY_MS
    assert {record.ts for record in await everything(buffer)} >= set(range(end_ms - DAY_MS, end_ms, 30_000))
    assert site.largest <= 1.05 * BUDGET
    await buffer.close()
