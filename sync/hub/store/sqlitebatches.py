"""How batches get into SQLite: those that wait for the one writer share a transaction, and its way to the disk.

A thousand nodes that send every few seconds would else wait for a thousand writes to the disk, one after the other.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field

import msgspec

from gateway.core.database import Database
from gateway.core.errors import StorageError
from sync.hub.store.closed import not_gone, touched
from sync.hub.store.commandstore import SAW_NODE
from sync.hub.store.contract import Audit, newest
from sync.hub.store.sql import Row, numbered

COUNT_RECORDS = "UPDATE node SET records = records + ?, newest = max(newest, ?) WHERE id = ?"
APPEND_AUDIT = """INSERT INTO audit (at, node, type, cursor, bytes, accepted, duplicate, error, rejected)
    VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)"""
CLOSED_OF = """SELECT series, hour, count, times FROM closed
    WHERE (series, hour) IN (SELECT value ->> 0, value ->> 1 FROM json_each(?))"""
MARK = "INSERT OR IGNORE INTO dirty (series, hour, since) VALUES (?, ?, ?)"
BATCHES_MAX = 64  # of one transaction
ROWS_MAX = 20_000  # of one transaction, unless a batch has more by itself: the others' answers wait for it


@dataclass(slots=True, eq=False)
class Batch:
    """What one batch appends: `rows` for the statement `append`; of records (series, ts, flags, row)."""

    append: str
    rows: Sequence[Row]
    audit: Audit
    are_records: bool = False
    hours: Sequence[tuple[int, int]] = field(init=False)  # that its records touch
    taken: Audit | None = None
    error: Exception | None = None

    def __post_init__(self) -> None:
        self.hours = touched(self.rows) if self.are_records else ()


class Batches:
    """Takes them. Whose turn it is to write also writes what waits behind it."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._writing = asyncio.Lock()
        self.waiting: list[Batch] = []  # in the order in which their takers wait for the lock

    async def take(self, batch: Batch) -> Audit:
        """On the disk when this returns. Raises StorageError, or what else is wrong with this very batch."""
        self.waiting.append(batch)
        try:
            async with self._writing:
                if batch in self.waiting:
                    await self._take_some()
        finally:
            if batch in self.waiting:  # cancelled before its turn, or in it
                self.waiting.remove(batch)
        if batch.taken is None:
            raise batch.error or StorageError("the batch was not kept", hint="the node sends it again")
        return batch.taken

    async def _take_some(self) -> None:
        """Those that wait longest. What is wrong with a batch concerns no other: then each is tried by itself."""
        together = self._first()
        try:
            await self._write(together)
        except Exception as error:
            if len(together) == 1:
                together[0].error = error
            else:
                await self._each(together)
        self.waiting = [batch for batch in self.waiting if batch not in together]

    async def _each(self, together: Sequence[Batch]) -> None:
        for batch in together:
            try:
                await self._write([batch])
            except Exception as error:
                batch.error = error

    def _first(self) -> list[Batch]:
        together, rows = self.waiting[:1], len(self.waiting[0].rows)
        for batch in self.waiting[1:BATCHES_MAX]:
            rows += len(batch.rows)
            if rows > ROWS_MAX:
                break
            together.append(batch)
        return together

    async def _write(self, together: Sequence[Batch]) -> None:
        """One transaction: the rows, the nodes' last signs of life, the audit rows with what was new."""
        audits: list[Audit] = []
        async with self._database.transaction() as db:
            await db.executemany(numbered(SAW_NODE), [(batch.audit.node, batch.audit.at) for batch in together])
            hours = [hour for batch in together for hour in batch.hours]
            closed = await db.execute_fetchall(CLOSED_OF, (msgspec.json.encode(hours).decode(),)) if hours else ()
            for batch in together:
                new = not_gone(batch.rows, closed) if batch.are_records else batch.rows
                accepted = max(0, (await db.executemany(batch.append, new)).rowcount)
                duplicate = len(batch.rows) - accepted
                audits.append(msgspec.structs.replace(batch.audit, accepted=accepted, duplicate=duplicate))
            kept = [(batch, audit) for batch, audit in zip(together, audits, strict=True) if batch.are_records]
            marks = [(*hour, audit.at) for batch, audit in kept if audit.accepted for hour in batch.hours]
            await db.executemany(MARK, marks)
            counts = [
                (audit.accepted, newest((row[1] for row in batch.rows), audit.at), audit.node) for batch, audit in kept
            ]
            await db.executemany(COUNT_RECORDS, counts)
            await db.executemany(APPEND_AUDIT, list(map(msgspec.structs.astuple, audits)))
        for batch, audit in zip(together, audits, strict=True):
            batch.taken = audit
