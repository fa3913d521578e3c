"""The hub's store on PostgreSQL; as many hubs as wanted may share one database.

What a record's row means stands in the table `point`, and the view `reading` makes values of it for people:
docs/decisions/0012-postgresql.md.
"""

import math
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from fractions import Fraction
from operator import itemgetter
from typing import Any

import asyncpg
import msgspec

from gateway.core.accounts import HOUR_MS, Account, by_hour, of_events
from gateway.core.errors import StorageError
from gateway.core.model import Event, Layout, Record, decode_layout
from sync.hub.store.chores import Chore
from sync.hub.store.closed import not_gone, touched
from sync.hub.store.commandstore import SAW_NODE, CommandStore
from sync.hub.store.contract import Audit, newest
from sync.hub.store.extensions import extend
from sync.hub.store.layouts import KnownSeries
from sync.hub.store.partitions import Partitions
from sync.hub.store.postgresdatabase import PostgresDatabase, Row, text_of
from sync.hub.store.postgresrecords import RecordRow, append
from sync.hub.store.postgressql import PostgresSql

APPEND_SERIES = """INSERT INTO series (node, layout, encoded) SELECT * FROM unnest($1::text[], $2::bytea[], $3::bytea[])
    ON CONFLICT DO NOTHING"""
APPEND_POINT = """INSERT INTO point SELECT series.id, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15
    FROM series WHERE node = $1 AND layout = $2 ON CONFLICT DO NOTHING"""
APPEND_EVENTS = """INSERT INTO event (node, epoch, seq, ts, kind, device, detail)
    SELECT * FROM unnest($1::text[], $2::text[], $3::bigint[], $4::bigint[], $5::text[], $6::text[], $7::text[])
    ON CONFLICT DO NOTHING"""
APPEND_AUDIT = """INSERT INTO audit (at, node, type, cursor, bytes, accepted, duplicate, error, rejected)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)"""
# All that is said of a batch of records, at once: each question costs a live batch a way to the server and back.
APPEND_ACCOUNT = """WITH
    counted AS (UPDATE node SET records = records + $6, newest = greatest(newest, $10) WHERE id = $2),
    marked AS (INSERT INTO dirty (series, hour, since)
        SELECT *, $1::bigint FROM unnest($11::integer[], $12::bigint[]) WHERE $6 > 0 ON CONFLICT DO NOTHING)
    INSERT INTO audit (at, node, type, cursor, bytes, accepted, duplicate, error, rejected)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)"""
LAYOUTS = "SELECT encoded FROM series WHERE node = $1 ORDER BY id"
RECORDS = "SELECT ts, flags, row FROM record WHERE series = $1 ORDER BY ts"
# As gateway.core.accounts has it; the sum of bigints is a numeric, which never runs over.
ACCOUNTS = """SELECT coalesce(held.count, 0) + coalesce(closed.count, 0),
        (coalesce(held.digest, 0) + coalesce(closed.digest, 0)) % 9223372036854775808
    FROM unnest($1::integer[], $2::bigint[]) WITH ORDINALITY AS wanted (of_series, of_hour, place)
    LEFT JOIN closed ON closed.series = of_series AND hour = of_hour
    LEFT JOIN (SELECT place, count(*) AS count,
            sum(('x' || left(md5(int8send(ts) || row), 16))::bit(64)::bigint & 9223372036854775807) AS digest
        FROM unnest($1::integer[], $2::bigint[]) WITH ORDINALITY AS asked (of_series, of_hour, place)
        JOIN record ON record.series = of_series AND ts >= of_hour AND ts < of_hour + 3600000
            AND ts >= $3 AND ts < $4
        GROUP BY place) AS held ON held.place = wanted.place
    ORDER BY wanted.place"""
CLOSED_OF = """SELECT series, hour, count, times FROM closed
    JOIN unnest($1::integer[], $2::bigint[]) AS touched (of_series, of_hour) ON series = of_series AND hour = of_hour"""
EVENTS_BETWEEN = """SELECT ts, kind, device, detail, seq FROM event
    WHERE node = $1 AND epoch = $2 AND ts >= $3 AND ts < $4"""
EVENTS = "SELECT ts, kind, device, detail, seq FROM event WHERE node = $1 ORDER BY ts DESC LIMIT $2"


class PostgresStore:
    """See `Store`. Make it with `open`, end it with `close`."""

    def __init__(self, database: PostgresDatabase, *, is_distributed: bool = False) -> None:
        self.sql = PostgresSql(database)
        self.control = CommandStore(self.sql)
        self.partitions = Partitions(self.sql)
        self._database = database
        self._is_distributed = is_distributed
        self._series = KnownSeries(self.sql)

    @classmethod
    async def open(cls, address: str, *, as_it_is: bool = False) -> "PostgresStore":
        """See `PostgresDatabase.open`."""
        database = await PostgresDatabase.open(address, as_it_is=as_it_is)
        return cls(database, is_distributed=not as_it_is and await extend(database, address))

    async def row_size(self, node: str, layout_id: bytes) -> int | None:
        """See `Store.row_size`."""
        known = await self._series.of(node, layout_id)
        return known.row_size if known else None

    async def take_layouts(self, layouts: Sequence[Layout], audit: Audit) -> Audit:
        """See `Store.take_layouts`."""
        rows = [(audit.node, layout.id, layout.encoded) for layout in layouts]
        points = [(audit.node, layout.id, *point) for layout in layouts for point in _points(layout)]
        return await self._take(APPEND_SERIES, rows, audit, points)

    async def take_records(self, records: Sequence[Record], audit: Audit) -> Audit:
        """See `Store.take_records`."""
        series = await self._series.ids(audit.node, {record.layout_id for record in records})
        rows = [(series[r.layout_id], r.ts, r.flags, r.row) for r in records]
        hours = touched(rows)
        await self.partitions.ensure(
            hour for _, hour in hours
        )  # before the transaction, which would keep other hubs from making some
        try:
            return await self._take_records(rows, hours, audit)
        except StorageError as error:
            if not isinstance(error.__cause__, asyncpg.CheckViolationError):
                raise
        self.partitions.forget()  # another hub dropped one in between
        await self.partitions.ensure(hour for _, hour in hours)
        return await self._take_records(rows, hours, audit)

    async def _take_records(self, rows: Sequence[RecordRow], hours: Sequence[tuple[int, int]], audit: Audit) -> Audit:
        """`hours`: those that `rows` touch."""
        async with self._batch(audit) as db:
            columns = list(zip(*hours, strict=True)) or [(), ()]
            new = not_gone(rows, await db.fetch(CLOSED_OF, *columns)) if hours else rows
            audit = _counted(audit, await append(db, new, by_copy=not self._is_distributed), len(rows))
            await db.execute(APPEND_ACCOUNT, *_audit(audit), newest(map(itemgetter(1), rows), audit.at), *columns)
            return audit

    async def take_events(self, events: Sequence[Event], epoch: str, audit: Audit) -> Audit:
        """See `Store.take_events`."""
        rows = [(audit.node, epoch, e.seq, e.ts, text_of(e.kind), text_of(e.device), text_of(e.detail)) for e in events]
        return await self._take(APPEND_EVENTS, rows, audit)

    async def _take(self, query: str, rows: Sequence[Row], audit: Audit, points: Sequence[Row] = ()) -> Audit:
        """The rows, the node's last sign of life, the audit row with what was new."""
        async with self._batch(audit) as db:
            done: str = await db.execute(query, *zip(*rows, strict=True)) if rows else "0"
            accepted = int(done.rpartition(" ")[2])  # as in INSERT 0 1
            if accepted and points:
                await db.executemany(APPEND_POINT, points)
            audit = _counted(audit, accepted, len(rows))
            await db.execute(APPEND_AUDIT, *_audit(audit))
            return audit

    @asynccontextmanager
    async def _batch(self, audit: Audit) -> AsyncIterator[Any]:
        """One transaction. It locks the node's row until the end: no other adds to its series, or waits crosswise."""
        async with self._database.transaction() as db:
            await db.execute(SAW_NODE, audit.node, audit.at)
            yield db

    async def note(self, audit: Audit) -> None:
        """See `Store.note`."""
        async with self._database.connection() as db:
            await db.execute(APPEND_AUDIT, *_audit(audit))

    async def records(self, node: str, layout_id: bytes) -> list[Record]:
        """See `Store.records`."""
        series = (await self._series.ids(node, {layout_id}))[layout_id]
        return [Record(layout_id, ts, row, flags) for ts, flags, row in await self._database.fetch(RECORDS, series)]

    async def accounts(self, node: str, wanted: Sequence[tuple[bytes, int]]) -> list[Account]:
        """See `Store.accounts`; what was never sent has the series 0, which there is none of."""
        series = await self._series.ids(node, {layout_id for layout_id, _ in wanted})
        hours = [hour for _, hour in wanted]
        bounds = min(hours, default=0), max(hours, default=0) + HOUR_MS  # by them weeks are left out in planning
        rows = await self._database.fetch(ACCOUNTS, [series.get(one, 0) for one, _ in wanted], hours, *bounds)
        return [Account(count, int(digest)) for count, digest in rows]

    async def event_accounts(self, node: str, epoch: str, hours: Sequence[int]) -> list[Account]:
        """See `Store.event_accounts`."""
        if not hours:
            return []
        rows = await self._database.fetch(EVENTS_BETWEEN, node, epoch, min(hours), max(hours) + HOUR_MS)
        found = by_hour(Event(*row) for row in rows)
        return [of_events(found[hour]) for hour in hours]

    async def layouts(self, node: str) -> list[Layout]:
        return [decode_layout(encoded) for (encoded,) in await self._database.fetch(LAYOUTS, node)]

    async def events(self, node: str, most: int) -> list[Event]:
        """See `Store.events`."""
        return [Event(*row) for row in await self._database.fetch(EVENTS, node, most)]

    def chores(self) -> list[Chore]:
        """See `Store.chores`."""
        return self.partitions.chores()

    async def close(self) -> None:
        await self._database.close()


def _points(layout: Layout) -> Iterable[Row]:
    """The rows of `point`, from `place` on."""
    widths = layout.rows.widths
    for index, (point, place) in enumerate(zip(layout.points, layout.rows.places, strict=True)):
        width = int(place.code[:-1]) if place.code.endswith("s") else widths[place.column]
        scale, offset = point.conversion or (Fraction(1), Fraction(0))
        times, plus = scale.numerator * offset.denominator, offset.numerator * scale.denominator
        over = scale.denominator * offset.denominator
        words = map(text_of, (layout.device, layout.group, point.key, point.unit, point.type))
        yield (
            index, *words, sum(widths[: place.column]), width, place.bitmap, place.bit,
            _double(times), _double(plus), _double(over),
        )  # fmt: skip


def _double(number: int) -> float:
    """Infinity where it is too large for one: the layout and its records are kept all the same."""
    try:
        return float(number)
    except OverflowError:
        return math.inf if number > 0 else -math.inf


def _counted(audit: Audit, accepted: int, count: int) -> Audit:
    return msgspec.structs.replace(audit, accepted=accepted, duplicate=count - accepted)


def _audit(audit: Audit) -> Row:
    return [text_of(one) if isinstance(one, str) else one for one in msgspec.structs.astuple(audit)]
