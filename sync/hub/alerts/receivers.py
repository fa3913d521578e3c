"""Who is told of alerts, and what waits to be told: the queue is in the database, a restart loses nothing of it."""

from collections.abc import Sequence
from typing import Literal

import msgspec

from gateway.core.rollup import HOUR_MS
from sync.hub.store.sql import Sql
from sync.hub.web.rights import Caller, Place, Role

ADD = """INSERT INTO receiver (id, organisation, site, kind, address, secret, kinds, every_s, per_hour, created)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)"""
UPDATE = """UPDATE receiver SET address = $2, secret = $3, kinds = $4, every_s = $5, per_hour = $6, failures = 0,
    due = 0, error = '' WHERE id = $1"""
REMOVE = "DELETE FROM receiver WHERE id = $1"
COLUMNS = """id, organisation, site, kind, address, secret, kinds, every_s, per_hour, failures, error, due, hour, sent,
    last_sent"""
ONE = f"SELECT {COLUMNS} FROM receiver WHERE id = $1"  # noqa: S608 - of ours
LISTED = f"""SELECT {COLUMNS} FROM receiver WHERE id > $3 AND ($1 = 1 OR EXISTS (SELECT 1 FROM person_grant AS own
        WHERE own.person = $2 AND own.role = 'admin' AND (own.organisation = '' OR
        (own.organisation = receiver.organisation AND (own.site = '' OR own.site = receiver.site)))))
    ORDER BY id LIMIT $4"""  # noqa: S608 - of ours
ORGANISATION = "SELECT 1 FROM organisation WHERE id = $1"

DUE = f"""SELECT {COLUMNS} FROM receiver WHERE due <= $1
    AND EXISTS (SELECT 1 FROM notice WHERE notice.receiver = receiver.id AND notice.sent IS NULL)
    ORDER BY due LIMIT $2"""  # noqa: S608 - of ours
WAITING = """SELECT alert.id, alert.node, coalesce(site.id, ''), coalesce(site.name, ''), alert.kind, alert.device,
        alert.words, alert.since, alert.ended, notice.what, notice.times
    FROM notice JOIN alert ON alert.id = notice.alert JOIN node ON node.id = alert.node
    LEFT JOIN site ON site.id = node.site
    WHERE notice.receiver = $1 AND notice.sent IS NULL ORDER BY notice.created, alert.id, notice.what LIMIT $2"""
SENT = "UPDATE notice SET sent = $1 WHERE receiver = $2 AND alert = $3 AND times = $4 AND what = $5"
WENT = "UPDATE receiver SET failures = 0, error = '', due = $2, hour = $3, sent = $4, last_sent = $5 WHERE id = $1"
FAILED = "UPDATE receiver SET failures = failures + 1, error = $2, due = $3 WHERE id = $1"
GIVE_UP = "DELETE FROM notice WHERE sent IS NULL AND created < $1"


class Receiver(msgspec.Struct, frozen=True):
    """One address; times in wall ms."""

    id: str
    organisation: str  # empty: everywhere
    site: str  # empty: all of the organisation
    kind: Literal["webhook", "email"]
    address: str
    secret: str  # that a webhook's messages are signed with
    kinds: str  # of alerts, as ,offline,disk, and empty for all
    every_s: int  # at least so long between two messages
    per_hour: int  # at most so many messages; what comes beyond that waits and goes in one
    failures: int = 0  # of the last messages
    error: str = ""
    due: int = 0  # nothing is sent before then
    hour: int = 0  # when the hour began in which `sent` messages went out
    sent: int = 0
    last_sent: int | None = None

    @property
    def place(self) -> Place:
        return Place(self.organisation, self.site)


class Notice(msgspec.Struct, frozen=True):
    """What is to be told of one alert; times in wall ms."""

    alert: int
    node: str
    site: str
    site_name: str
    kind: str
    device: str
    words: str
    since: int
    ended: int | None
    what: Literal["began", "ended"]
    times: int


class Receivers:
    """All methods raise StorageError."""

    def __init__(self, sql: Sql) -> None:
        self._sql = sql

    async def add(self, one: Receiver, now: int) -> None:
        async with self._sql.transaction() as db:
            scope = one.id, one.organisation, one.site, one.kind, one.address
            await db.execute(ADD, *scope, one.secret, one.kinds, one.every_s, one.per_hour, now)

    async def update(self, one: Receiver) -> None:
        """Its address and wishes; what failed before is tried again at once."""
        async with self._sql.transaction() as db:
            await db.execute(UPDATE, one.id, one.address, one.secret, one.kinds, one.every_s, one.per_hour)

    async def remove(self, receiver: str) -> None:
        """And what it was to be told."""
        async with self._sql.transaction() as db:
            await db.execute(REMOVE, receiver)

    async def one(self, receiver: str) -> Receiver | None:
        rows = await self._sql.fetch(ONE, receiver)
        return Receiver(*rows[0]) if rows else None

    async def listed(self, caller: Caller, after: str = "", most: int = 100) -> list[Receiver]:
        """Those that `caller` is an administrator of, by id."""
        scope = int(caller.may(Role.ADMIN)), caller.name
        return [Receiver(*row) for row in await self._sql.fetch(LISTED, *scope, after, most)]

    async def is_organisation(self, organisation: str) -> bool:
        return bool(await self._sql.fetch(ORGANISATION, organisation))

    async def due(self, now: int, most: int) -> list[Receiver]:
        """Those that something waits for, and that may be sent something by now."""
        return [Receiver(*row) for row in await self._sql.fetch(DUE, now, most)]

    async def waiting(self, receiver: str, most: int) -> list[Notice]:
        """The oldest first."""
        return [Notice(*row) for row in await self._sql.fetch(WAITING, receiver, most)]

    async def went(self, one: Receiver, notices: Sequence[Notice], now: int) -> None:
        """It was told these in one message; when the next may go is by its limits."""
        hour, sent = (one.hour, one.sent + 1) if now < one.hour + HOUR_MS else (now, 1)
        due = hour + HOUR_MS if sent >= one.per_hour else now + 1000 * one.every_s
        async with self._sql.transaction() as db:
            for notice in notices:
                await db.execute(SENT, now, one.id, notice.alert, notice.times, notice.what)
            await db.execute(WENT, one.id, max(due, now + 1000 * one.every_s), hour, sent, now)

    async def failed(self, receiver: str, words: str, due: int) -> None:
        async with self._sql.transaction() as db:
            await db.execute(FAILED, receiver, words, due)

    async def give_up(self, before: int) -> int:
        """Drop what waits since before then; how much it was."""
        async with self._sql.transaction() as db:
            return await db.execute(GIVE_UP, before)
