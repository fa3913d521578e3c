"""The hub's store on SQLite: each reading once, however often it comes."""

import contextlib
import os
import sqlite3
from collections.abc import Sequence
from pathlib import Path

import msgspec

from gateway.core.accounts import HOUR_MS, Account, by_hour, of_events, of_records
from gateway.core.database import Database
from gateway.core.model import Event, Layout, Record, decode_layout
from sync.hub.store.chores import Chore
from sync.hub.store.closed import sum_of
from sync.hub.store.commandstore import CommandStore
from sync.hub.store.contract import Audit
from sync.hub.store.layouts import KnownSeries
from sync.hub.store.sql import SqliteSql
from sync.hub.store.sqlitebatches import APPEND_AUDIT, Batch, Batches

APPEND_SERIES = "INSERT OR IGNORE INTO series (node, layout, encoded) VALUES (?, ?, ?)"
LAYOUTS = "SELECT encoded FROM series WHERE node = ? ORDER BY id"
APPEND_RECORD = "INSERT OR IGNORE INTO record (series, ts, flags, row) VALUES (?, ?, ?, ?)"
APPEND_EVENT = """INSERT OR IGNORE INTO event (node, epoch, seq, ts, kind, device, detail)
    VALUES (?, ?, ?, ?, ?, ?, ?)"""
RECORDS = "SELECT ts, flags, row FROM record WHERE series = ? ORDER BY ts"
EVENTS_BETWEEN = """SELECT ts, kind, device, detail, seq FROM event
    WHERE node = ? AND epoch = ? AND ts >= ? AND ts < ?"""
HOUR = "SELECT ts, row FROM record WHERE series = ? AND ts >= ? AND ts < ?"
EVENTS = "SELECT ts, kind, device, detail, seq FROM event WHERE node = ? ORDER BY ts DESC LIMIT ?"
CLOSED = "SELECT count, digest FROM closed WHERE series = ? AND hour = ?"


class SqliteStore:
    """See `Store`. Make it with `open`, end it with `close`."""

    def __init__(self, database: Database) -> None:
        self.sql = SqliteSql(database)
        self.control = CommandStore(self.sql)
        self._database = database
        self._series = KnownSeries(self.sql)
        self.batches = Batches(database)

    @classmethod
    async def open(cls, path: Path) -> "SqliteStore":
        """Open or make the file. Raises StorageError where that cannot be."""
        _keep_private(path)
        return cls(await Database.open(path, "sync.hub", page_size=4096))

    async def row_size(self, node: str, layout_id: bytes) -> int | None:
        """See `Store.row_size`."""
        known = await self._series.of(node, layout_id)
        return known.row_size if known else None

    async def take_layouts(self, layouts: Sequence[Layout], audit: Audit) -> Audit:
        """Keep layouts of a node; what is known already is a duplicate."""
        rows = [(audit.node, layout.id, layout.encoded) for layout in layouts]
        return await self.batches.take(Batch(APPEND_SERIES, rows, audit))

    async def take_records(self, records: Sequence[Record], audit: Audit) -> Audit:
        """Keep records whose layouts are all known; those that are here already are duplicates."""
        series = await self._series.ids(audit.node, {record.layout_id for record in records})
        rows = [(series[r.layout_id], r.ts, r.flags, r.row) for r in records]
        return await self.batches.take(Batch(APPEND_RECORD, rows, audit, are_records=True))

    async def take_events(self, events: Sequence[Event], epoch: str, audit: Audit) -> Audit:
        """Keep events; those of the same epoch, seq and time are duplicates."""
        rows = [(audit.node, epoch, e.seq, e.ts, e.kind, e.device, e.detail) for e in events]
        return await self.batches.take(Batch(APPEND_EVENT, rows, audit))

    async def note(self, audit: Audit) -> None:
        """Keep the audit row of a batch that was not taken."""
        async with self._database.transaction() as db:
            await db.execute(APPEND_AUDIT, msgspec.structs.astuple(audit))

    async def records(self, node: str, layout_id: bytes) -> list[Record]:
        """All records of one layout, by time."""
        series = (await self._series.ids(node, {layout_id}))[layout_id]
        return [Record(layout_id, ts, row, flags) for ts, flags, row in await self._database.fetch(RECORDS, (series,))]

    async def accounts(self, node: str, wanted: Sequence[tuple[bytes, int]]) -> list[Account]:
        """See `Store.accounts`."""
        ids = await self._series.ids(node, {layout_id for layout_id, _ in wanted})
        series = [(ids.get(layout_id), hour) for layout_id, hour in wanted]
        return await self._database.look(lambda connection: [_account(connection, *one) for one in series])

    async def event_accounts(self, node: str, epoch: str, hours: Sequence[int]) -> list[Account]:
        """See `Store.event_accounts`."""
        if not hours:
            return []
        rows = await self._database.fetch(EVENTS_BETWEEN, (node, epoch, min(hours), max(hours) + HOUR_MS))
        found = by_hour(Event(*row) for row in rows)
        return [of_events(found[hour]) for hour in hours]

    async def layouts(self, node: str) -> list[Layout]:
        return [decode_layout(encoded) for (encoded,) in await self._database.fetch(LAYOUTS, (node,))]

    async def events(self, node: str, most: int) -> list[Event]:
        """The newest events of a node, newest first."""
        return [Event(*row) for row in await self._database.fetch(EVENTS, (node, most))]

    def chores(self) -> list[Chore]:
        """See `Store.chores`."""
        return []

    async def close(self) -> None:
        await self._database.close()


def _keep_private(path: Path) -> None:
    """It holds what people and nodes sign in with: not all of this machine may read it."""
    with contextlib.suppress(OSError):  # what cannot be written says so when it is opened
        os.close(os.open(path, os.O_CREAT | os.O_WRONLY, 0o600))
        for file in (path, path.with_name(f"{path.name}-wal"), path.with_name(f"{path.name}-shm")):
            if file.exists():  # of a release before this one
                file.chmod(file.stat().st_mode & 0o660)


def _account(connection: sqlite3.Connection, series: int | None, hour: int) -> Account:
    rows = connection.execute(HOUR, (series, hour, hour + HOUR_MS)).fetchall()
    gone = connection.execute(CLOSED, (series, hour)).fetchone() or (0, 0)
    return sum_of(Account(*gone), Account(len(rows), of_records(rows)))
