"""Records and events that the hub refuses for good: kept with the reason, until somebody has them sent again."""

from collections.abc import Iterable, Sequence
from typing import Literal

import msgspec

from gateway.bell import Bell
from gateway.core.database import Database
from gateway.core.model import Event, Record

COLUMNS = "id, kind, epoch, seq, ts, layout, body, reason, at, again"
# What comes a second time was sent again, and in vain: the newest reason counts.
KEEP = """INSERT INTO quarantine (kind, epoch, seq, ts, layout, body, reason, at) VALUES (?, ?, ?, ?, ?, ?, ?, ?)
    ON CONFLICT (kind, epoch, seq) DO UPDATE SET reason = excluded.reason, at = excluded.at, again = 0"""
COUNT = "SELECT count(*) FROM quarantine"
ENTRIES = f"SELECT {COLUMNS} FROM quarantine ORDER BY id DESC LIMIT ?"  # noqa: S608 - our own column names
AGAIN = f"SELECT {COLUMNS} FROM quarantine WHERE again AND kind = ? ORDER BY id LIMIT ?"  # noqa: S608
MARK = "UPDATE quarantine SET again = 1 WHERE id = ?"
MARK_ALL = "UPDATE quarantine SET again = 1"
DROP = "DELETE FROM quarantine WHERE id = ?"

Kind = Literal["records", "events"]


class Quarantined(msgspec.Struct, frozen=True):
    """One record or event; times in milliseconds since 1970 UTC."""

    id: int
    kind: Kind
    epoch: str  # of the buffer that it was in
    seq: int
    ts: int  # when it was measured, or happened
    layout: bytes | None  # a record's layout id
    body: bytes
    reason: str  # the hub's words
    at: int  # when it was refused
    again: bool  # somebody wants it sent once more

    @property
    def content(self) -> Record | Event:
        """Raises msgspec.DecodeError where a disk has spoilt it."""
        if self.kind == "records":
            return msgspec.msgpack.decode(self.body, type=Record)
        return msgspec.msgpack.decode(self.body, type=Event)


class Quarantine:
    """The table. All methods raise StorageError."""

    def __init__(self, database: Database) -> None:
        self.count = 0  # how many there are, once the file was read
        self.asked = Bell()  # rings when something is to be sent again
        self._database = database

    async def load(self) -> None:
        """Read how many there are, whenever the file was opened."""
        await self._count()
        self.asked.ring(self.asked.reached + 1)  # what was asked for before

    async def add(self, epoch: str, refused: Iterable[tuple[Record | Event, str]], at: int) -> None:
        """Keep what the hub refused, with its reasons; on the disk when this returns."""
        rows = [_row(epoch, content, reason, at) for content, reason in refused]
        async with self._database.transaction() as db:
            await db.executemany(KEEP, rows)
        await self._count()

    async def entries(self, limit: int) -> list[Quarantined]:
        """The newest ones, newest first."""
        return [_entry(row) for row in await self._database.fetch(ENTRIES, (limit,))]

    async def resend(self, ids: Sequence[int] | None = None) -> None:
        """Have these, or all, sent again; what the hub takes leaves the quarantine."""
        async with self._database.transaction() as db:
            await (db.execute(MARK_ALL) if ids is None else db.executemany(MARK, [(one,) for one in ids]))
        self.asked.ring(self.asked.reached + 1)

    async def wanted(self, kind: Kind, limit: int) -> list[Quarantined]:
        """The oldest of those that are to be sent again."""
        return [_entry(row) for row in await self._database.fetch(AGAIN, (kind, limit))]

    async def drop(self, ids: Iterable[int]) -> None:
        """Forget what the hub has now."""
        async with self._database.transaction() as db:
            await db.executemany(DROP, [(one,) for one in ids])
        await self._count()

    async def _count(self) -> None:
        ((self.count,),) = await self._database.fetch(COUNT)


def _row(epoch: str, content: Record | Event, reason: str, at: int) -> tuple[object, ...]:
    kind, layout = ("records", content.layout_id) if isinstance(content, Record) else ("events", None)
    return kind, epoch, content.seq, content.ts, layout, msgspec.msgpack.encode(content), reason, at


def _entry(row: Sequence[object]) -> Quarantined:
    fields = dict(zip(COLUMNS.split(", "), row, strict=True))
    return msgspec.convert(fields | {"again": bool(fields["again"])}, Quarantined)
