"""Bytes that reach the disk for each reading, flat out: the buffer's own, a floor, and what others do.

Everything that a gateway's buffer does is in it: commits, sealing, roll-ups, acknowledgements of a hub, and the
deleting of what is old. Each subject writes to an ext4 of its own and is counted once its files are warm.
"""

import sqlite3
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Protocol

from bench.disk import private_disk
from bench.figures import Figure, per
from bench.floors.append import Preallocated, packed
from bench.measurements import BY_ID, Measurements, values_of
from bench.progress import step
from bench.work import DEVICES, READINGS_PER_TICK
from gateway.buffer.buffer import Buffer
from gateway.buffer.retention import Limits
from gateway.core.model import Record

WARM_TICKS = 4200  # until the write-ahead log has been gone round once
TICKS = 7200
ROW_TICKS = 150  # a row for each reading writes so much that these are enough
UPKEEP_TICKS = 300
ACKNOWLEDGED_TICKS = 5
KEEP_MS = 1_200_000  # old enough to be deleted within the run
SLOW_S = 10
ROW_SCHEMA = (
    "PRAGMA journal_mode = WAL",
    "PRAGMA synchronous = FULL",
    "CREATE TABLE reading (point TEXT NOT NULL, ts INTEGER NOT NULL, value REAL)",
    "CREATE INDEX reading_by_point ON reading (point, ts)",
)


class Store(Protocol):
    """What is measured."""

    async def commit(self, records: list[Record]) -> None:
        """On the disk when this returns."""
        ...

    async def close(self) -> None: ...


class BufferStore:
    """The gateway's buffer; its hub takes everything within seconds."""

    def __init__(self, buffer: Buffer) -> None:
        self._buffer = buffer
        self._ticks = 0

    @classmethod
    async def open(cls, folder: Path) -> "BufferStore":
        return cls(await Buffer.open(folder / "buffer.db", limits=Limits(keep_ms=KEEP_MS, hub=True)))

    async def commit(self, records: list[Record]) -> None:
        for record in records:
            self._buffer.put(BY_ID[record.layout_id], [record])
        before, self._ticks = self._ticks, self._ticks + len(records) // DEVICES
        if before // ACKNOWLEDGED_TICKS != self._ticks // ACKNOWLEDGED_TICKS:
            self._buffer.keep_spans("records", [(self._buffer.head, None)])
        await self._buffer.flushed()
        if before // UPKEEP_TICKS != self._ticks // UPKEEP_TICKS:
            await self._buffer.upkeep.round()

    async def close(self) -> None:
        await self._buffer.close()


class FileStore:
    """The floor: a preallocated file, the records packed, one fdatasync a commit."""

    def __init__(self, file: Preallocated) -> None:
        self._file = file

    @classmethod
    async def open(cls, folder: Path) -> "FileStore":
        return cls(Preallocated(str(folder / "packed")))

    async def commit(self, records: list[Record]) -> None:
        self._file.append(records[0].ts, packed(values_of(records)))

    async def close(self) -> None:
        self._file.close()


class RowStore:
    """A row for each reading with an index by point and time, as is often done."""

    def __init__(self, database: sqlite3.Connection) -> None:
        self._database = database

    @classmethod
    async def open(cls, folder: Path) -> "RowStore":
        database = sqlite3.connect(folder / "rows.db")
        for statement in ROW_SCHEMA:
            database.execute(statement)
        return cls(database)

    async def commit(self, records: list[Record]) -> None:
        rows = [
            (f"{BY_ID[record.layout_id].device}/{point.key}", record.ts, value)
            for record in records
            for point, value in zip(
                BY_ID[record.layout_id].points, BY_ID[record.layout_id].rows.unpack(record.row), strict=True
            )
        ]
        with self._database:
            self._database.executemany("INSERT INTO reading (point, ts, value) VALUES (?, ?, ?)", rows)

    async def close(self) -> None:
        self._database.close()


@dataclass(frozen=True, slots=True)
class Subject:
    """Who writes, how many ticks go into a commit, and how many are counted."""

    name: str
    open: Callable[[Path], Awaitable[Store]]
    ticks_per_commit: int = 1
    ticks: int = TICKS


OWN, OWN_SLOW = Subject("buffer", BufferStore.open), Subject("buffer, slow", BufferStore.open, SLOW_S)
FLOOR, FLOOR_SLOW = Subject("packed file", FileStore.open), Subject("packed file, slow", FileStore.open, SLOW_S)
ROWS = Subject("row a reading", RowStore.open, ticks=ROW_TICKS)


async def measure_written(state: Path) -> list[Figure]:
    """Bytes per reading with a commit each second and each ten seconds; nothing where there is no loop device."""
    subjects = (OWN, OWN_SLOW, FLOOR, FLOOR_SLOW, ROWS)
    written = {subject.name: await _measure(subject, state) for subject in subjects}
    unit, why = "bytes per reading", "" if written[OWN.name] is not None else "needs root and loop devices"
    floors = {name: written[name] for name in (FLOOR.name, ROWS.name)}
    slow_floors = {FLOOR.name: written[FLOOR_SLOW.name]}
    return [
        Figure("written with upkeep, commit each second", unit, written[OWN.name], floors, FLOOR.name, 2.8, why),
        Figure(f"the same, commit each {SLOW_S} s", unit, written[OWN_SLOW.name], slow_floors, most=8, why=why),
    ]


async def _measure(subject: Subject, state: Path) -> float | None:
    step(f"written: {subject.name}")
    with private_disk(state, "written-" + subject.name.replace(" ", "-").replace(",", "")) as disk:
        if disk.missing:
            return None
        store, source = await subject.open(disk.folder), Measurements()
        await _run(source, store, min(WARM_TICKS, subject.ticks), subject.ticks_per_commit)
        before = disk.bytes_written()
        await _run(source, store, subject.ticks, subject.ticks_per_commit)
        after = disk.bytes_written()
        await store.close()
    return None if before is None or after is None else per(after - before, subject.ticks * READINGS_PER_TICK)


async def _run(source: Measurements, store: Store, ticks: int, per_commit: int) -> None:
    for _ in range(ticks // per_commit):
        await store.commit(list(chain.from_iterable(source.tick() for _ in range(per_commit))))
