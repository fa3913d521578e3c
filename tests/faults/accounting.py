"""What a killed writer has left, read in two ways, and compared with what it had acknowledged.

The files are copied before they are opened: the next writer must find them as the one before left them.
"""

import asyncio
import shutil
import sqlite3
from collections import Counter
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from gateway.buffer.buffer import Buffer
from gateway.core import codec
from gateway.core.model import Event, Layout, Record, decode_layout
from gateway.core.span import Span
from tests.faults import load
from tests.faults.writers import Acknowledged
from tests.stored import everything

NAME = "buffer.db"
LOG = NAME + "-wal"
INDEX = NAME + "-shm"
ALL = Span(0, 1 << 60)


@dataclass
class Kept:
    """All that a file holds; records and events by seq."""

    layouts: dict[bytes, Layout]
    records: list[Record]
    events: list[Event]
    spans: list[tuple[int, int | None]]
    marks: int

    @property
    def polled(self) -> int:
        """The number that the polls go on with."""
        return sum(record.layout_id == load.POLLED[0].id for record in self.records)


def copied(folder: Path, target: Path, *more: str) -> Path:
    """The file and its log, as a power cut or a kill has left them; without the log's index, unless `more` names it."""
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir()
    for file in (NAME, LOG, *more):
        if (folder / file).exists():
            shutil.copy(folder / file, target)
    return target


def by_sql(folder: Path) -> Kept:
    """Read with nothing but SQL and the codec."""
    with closing(sqlite3.connect(folder / NAME)) as db:
        assert db.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        if not db.execute("PRAGMA user_version").fetchone()[0]:
            return Kept({}, [], [], [], 0)
        packs = db.execute("SELECT bytes FROM frame UNION ALL SELECT bytes FROM block").fetchall()
        records = [record for (pack,) in packs for record in codec.decode(pack)]
        events = [Event(*row) for row in db.execute("SELECT ts, kind, device, detail, seq FROM event ORDER BY seq")]
        return Kept(
            {layout_id: decode_layout(encoded) for layout_id, encoded in db.execute("SELECT id, encoded FROM layout")},
            sorted(records, key=lambda record: record.seq), events,
            db.execute("SELECT lo, hi FROM span WHERE stream = 'records' ORDER BY lo").fetchall(),
            db.execute("SELECT count(*) FROM pushed").fetchone()[0],
        )  # fmt: skip


def by_buffer(folder: Path) -> Kept:
    """Read as the gateway does after a restart."""

    async def reading() -> Kept:
        buffer = await Buffer.open(folder / NAME)
        try:
            assert buffer.epoch
            records, events = await everything(buffer), await buffer.read_events(ALL, 1 << 30)
            assert buffer.head == len(records)
            return Kept(dict(buffer.layouts), records, events, await buffer.spans("records"), -1)
        finally:
            await buffer.close()

    return asyncio.run(reading())


def in_flight(acknowledged: Acknowledged) -> set[int]:
    """The numbers that a device pushes again after a kill."""
    return set(range(acknowledged.pushed, acknowledged.pushed + load.PUSHED_AT_ONCE))


def check(kept: Kept, acknowledged: Acknowledged, repeated: set[int]) -> None:
    """Each acknowledged record is there once, with its values and seq, and beyond that only what was in flight.

    A kill between a pushed record and its mark leaves the record twice, as `gateway/intake.py` says: the numbers
    in `repeated` were pushed again.
    """
    held = check_sound(kept, repeated)
    assert 0 <= held.polled - acknowledged.polled <= load.AT_ONCE
    assert 0 <= held.pushed - acknowledged.pushed <= load.PUSHED_AT_ONCE
    assert acknowledged.pushed <= kept.marks


def check_sound(kept: Kept, repeated: set[int]) -> Acknowledged:
    """It is what was there after some commit, with nothing invented; how far that had come."""
    assert [record.seq for record in kept.records] == list(range(len(kept.records))), "seqs without holes"
    assert [event.seq for event in kept.events] == list(range(len(kept.events)))
    by_layout: dict[bytes, list[Record]] = {layout.id: [] for layout in load.POLLED}
    for record in kept.records:
        by_layout.setdefault(record.layout_id, []).append(record)
    for layout in load.POLLED:
        found = [(r.ts, r.row, r.flags) for r in by_layout.pop(layout.id)]
        assert found == [(r.ts, r.row, r.flags) for r in (load.polled(layout, n) for n in range(kept.polled))]
    rounds = [(event.ts, event.detail) for event in kept.events if event.kind == load.COUNTED]
    assert rounds == [(e.ts, e.detail) for e in map(load.counted, range(0, kept.polled, load.AT_ONCE))]
    assert kept.spans == (load.left_over(kept.polled) if kept.polled else [])
    pushed = Counter(_pushed_numbers(kept, by_layout))
    assert sorted(pushed) == list(range(len(pushed)))
    assert {number for number, times in pushed.items() if times > 1} <= repeated
    assert kept.marks <= len(pushed), "no mark without its record"
    return Acknowledged(kept.polled, len(pushed))


def _pushed_numbers(kept: Kept, of_pushed: dict[bytes, list[Record]]) -> list[int]:
    numbers = []
    for layout_id, records in of_pushed.items():
        layout = kept.layouts[layout_id]
        keys = [point.key for point in layout.points]
        numbers += [load.pushed_number(layout.rows, keys, record) for record in records]
    return numbers
