"""Carries over what can be read of a damaged file that was set aside, while the new one takes records already.

Seqs stay, so what the hub has is not sent again; until all is here, nothing of the old file is sent.
Each piece goes in whole or not at all: after a crash it is begun again, a few times at most, so that
a file that brings the program down does so no more than that.
"""

import asyncio
import secrets
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from pathlib import Path

import msgspec

from gateway.buffer import aside, salvage
from gateway.buffer.salvage import Basis, Rows
from gateway.core.database import Database
from gateway.core.diskwords import storage_error
from gateway.core.model import Layout

ATTEMPTS_MAX = 3
LAYOUT_ROUNDS = 2  # of the upkeep

META = "SELECT key, value FROM meta WHERE key IN ('epoch', 'carry')"
KEEP_META = "INSERT OR REPLACE INTO meta (key, value) VALUES (?, ?)"
DROP_CARRY = "DELETE FROM meta WHERE key = 'carry'"
SEGMENTS = "SELECT lo FROM segment WHERE lo < ?"
BOOTS = "SELECT id, kernel_id, estimate FROM boot"
KEPT = """SELECT coalesce(sum(CASE level WHEN 0 THEN (SELECT sum(count) FROM block WHERE segment = lo)
    ELSE hi - lo END), 0) FROM segment WHERE lo < ?"""  # of a thinned segment it was never more


class Carry(msgspec.Struct):
    """What is being carried over; kept in the new file."""

    file: str  # its name, in the same folder
    attempts: int = 0
    first: int = 0  # seqs from here to `head` were the old file's
    head: int = 0
    exact: bool = True  # whether `head` is, or there may have been more after it
    unsent: list[tuple[int, int]] = []  # of those


class Repair:
    """What is left to carry over into the file of `database`."""

    def __init__(
        self, database: Database, layouts: Mapping[bytes, Layout], finished: Callable[[Carry, int], Awaitable[None]]
    ) -> None:
        """`finished` is told what was carried over, and how many records of it are lost."""
        self._database = database
        self._layouts = layouts
        self._finished = finished
        self._carry: Carry | None = None
        self._pieces: Iterator[list[Rows]] | None = None
        self._piece: list[Rows] | None = None  # taken from those, and not in the new file yet
        self._tried = ""  # the file of which this process has counted its attempt
        self._rounds_off = 0  # until the devices have told their layouts again

    @property
    def held_back(self) -> list[tuple[int, int]]:
        """Spans of records that are not sent before all of them that can be had is here."""
        return self._carry.unsent if self._carry else []

    @property
    def carrying(self) -> str:
        """The file that is carried over; empty where none is."""
        return self._carry.file if self._carry else ""

    async def prepare(self, head: int) -> bool:
        """Make a new file fit to go on with; a sound one is left as it is. Whether it is new.

        `head`: the next seq, as far as it is known. Raises StorageError.
        """
        meta = {str(key): str(value) for key, value in await self._database.fetch(META)}
        self._pieces = self._piece = None
        self._carry = msgspec.json.decode(meta["carry"], type=Carry) if "carry" in meta else None
        fresh = "epoch" not in meta
        if fresh and self._carry is None and (found := await asyncio.to_thread(aside.newest, self._database.path)):
            self._carry = Carry(found.name)
        if fresh:
            if self._carry is not None and not await self._may_try(self._carry):
                self._carry = None
            await self._begin(head)
        return fresh

    async def _may_try(self, carry: Carry) -> bool:
        """Count the attempt before anything of that file is looked at; False: processes have ended over it."""
        if carry.file != self._tried:
            carry.attempts += 1
            self._tried = carry.file
            await self._keep([], {"carry": msgspec.json.encode(carry).decode()})
        return carry.attempts <= ATTEMPTS_MAX

    async def _begin(self, head: int) -> None:
        meta = {"epoch": secrets.token_hex(8)}
        begin = Basis(head=head)
        if self._carry is not None:
            begin = await asyncio.to_thread(salvage.basis, self._path(), head, await self._columns())
            carry = Carry(
                self._carry.file, self._carry.attempts, begin.first, begin.head, exact=begin.exact, unsent=begin.unsent
            )
            self._carry = carry
            self._rounds_off = 0 if begin.layouts_whole else LAYOUT_ROUNDS
            meta["carry"] = self._encoded()
        unsent = [("records", lo, hi) for lo, hi in [*begin.unsent, (begin.head, None)]]
        begin.rows.append(Rows("span", ("stream", "lo", "hi"), unsent if begin.head else []))
        await self._keep(begin.rows, meta | {"head": str(begin.head)})

    async def step(self) -> bool:
        """A step of the upkeep: one piece; whether there are more. Raises StorageError."""
        if self._carry is None:
            return False
        if self._rounds_off > 0:
            self._rounds_off -= 1
            return False
        if self._pieces is None:
            if not await self._may_try(self._carry):
                await self._end(self._carry)
                return False
            known = [(layout.id, layout.encoded) for layout in self._layouts.values()]
            await self._keep([Rows("layout", ("id", "encoded"), known)], {})
            self._pieces = salvage.rest(self._path(), self._carry.head, await self._there(self._carry.head))
        if self._piece is None:
            self._piece = await asyncio.to_thread(next, self._pieces, None)
        if self._piece is None:
            await self._end(self._carry)
            return False
        if self._piece[0].table == "segment":  # it gets on: whoever ends it now does not end it for this file
            self._carry.attempts = 1
        await self._keep(self._piece, {"carry": self._encoded()})
        self._piece = None
        return True

    async def _end(self, carry: Carry) -> None:
        ((kept,),) = await self._database.fetch(KEPT, (carry.head,))
        async with self._database.transaction() as db:
            await db.execute(DROP_CARRY)
        self._carry = None
        await self._finished(carry, max(0, carry.head - carry.first - kept))
        try:
            await asyncio.to_thread(aside.thin_out, self._database.path)
        except OSError as error:
            raise storage_error(self._database.path, error) from error

    async def _keep(self, rows: Sequence[Rows], meta: Mapping[str, str]) -> None:
        async with self._database.transaction() as db:
            for some in rows:
                names, places = ", ".join(some.columns), ", ".join("?" * len(some.columns))
                statement = f"INSERT OR IGNORE INTO {some.table} ({names}) VALUES ({places})"  # noqa: S608 - our own names
                await db.executemany(statement, some.rows)
            await db.executemany(KEEP_META, meta.items())

    async def _there(self, head: int) -> salvage.There:
        segments = {lo for (lo,) in await self._database.fetch(SEGMENTS, (head,))}
        boots = {row[0]: tuple(row[1:]) for row in await self._database.fetch(BOOTS)}
        return salvage.There(segments, boots, self._layouts, await self._columns())

    async def _columns(self) -> salvage.Columns:
        tables = {*salvage.AT_ONCE, *salvage.LATER, "event"}
        return {
            table: [row[1] for row in await self._database.fetch(f"PRAGMA table_info({table})")] for table in tables
        }

    def _path(self) -> Path:
        assert self._carry is not None
        return self._database.path.with_name(self._carry.file)

    def _encoded(self) -> str:
        return msgspec.json.encode(self._carry).decode()
