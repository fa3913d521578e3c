"""What the buffer holds of each layout's hours, for comparison with the hub."""

import sqlite3
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator
from itertools import groupby
from operator import itemgetter

from gateway.core import codec
from gateway.core.accounts import EVENTS, HOUR_MS, Account, Held, by_hour, of_events, of_records
from gateway.core.database import Database
from gateway.core.errors import CodecError
from gateway.core.model import Event, Record
from gateway.core.span import Span

DAY_MS = 24 * HOUR_MS
RECORDS_A_LOOK = 100_000  # about a second of a small computer's

SEGMENTS = "SELECT lo, hi, coalesce(kept, hi - lo) FROM segment WHERE hi > ? AND lo < ? ORDER BY lo"
TIMES = """SELECT layout, ts_min, ts_max, CASE WHEN ts_max - ts_min > 86400000 THEN bytes END
    FROM block WHERE segment >= ? AND segment < ?"""
FRAMES = "SELECT lo, hi, bytes FROM frame ORDER BY lo"
# Blocks of more than a day are rare, and stand in an index of their own.
BLOCKS = """SELECT segment.lo, segment.hi, bytes FROM block CROSS JOIN segment ON segment.lo = block.segment
    WHERE layout = :layout AND ts_max >= :lo AND ts_max < :hi + 86400000 AND ts_min < :hi
    UNION ALL SELECT segment.lo, segment.hi, bytes FROM block CROSS JOIN segment ON segment.lo = block.segment
    WHERE layout = :layout AND ts_max - ts_min > 86400000 AND ts_max >= :hi + 86400000 AND ts_min < :hi"""
REFUSED = """SELECT seq FROM quarantine
    WHERE kind = 'records' AND epoch = (SELECT value FROM meta WHERE key = 'epoch')"""
THINNED = "SELECT 1 FROM thinned WHERE layout = ? AND hour = ? AND removed > 0"
SETTLED = "SELECT hub_digest, told FROM settled WHERE layout = ? AND hour = ?"
SETTLE = "INSERT OR REPLACE INTO settled (layout, hour, hub_digest, told) VALUES (?, ?, ?, ?)"
FORGET = "DELETE FROM settled WHERE hour <= (SELECT hour FROM settled ORDER BY hour DESC LIMIT 1 OFFSET ?)"
SETTLED_MAX = 10_000  # hours; for one that is forgotten everything is sent once more
EVENTS_SINCE = """SELECT ts, kind, device, detail, seq FROM event WHERE ts >= ? AND boot IS NULL AND seq NOT IN
    (SELECT seq FROM quarantine WHERE kind = 'events' AND epoch = (SELECT value FROM meta WHERE key = 'epoch'))"""
OLDEST = "SELECT min(lo) FROM (SELECT min(lo) AS lo FROM segment UNION ALL SELECT min(lo) FROM frame)"
# The newest segment in which nothing was measured since then: what came later is behind it.
BEFORE = """SELECT hi FROM segment WHERE NOT EXISTS (SELECT 1 FROM block WHERE segment = lo AND ts_max >= ?)
    ORDER BY lo DESC LIMIT 1"""

Key = tuple[bytes, int]
"""Layout id, and when the hour begins."""


class Accounts:
    """Counts and digests, computed from the records themselves. All methods raise StorageError."""

    def __init__(self, database: Database) -> None:
        self.records_a_look = RECORDS_A_LOOK
        self._database = database

    async def oldest(self) -> int:
        """The seq that the oldest records begin with; 0 where there are none."""
        ((lo,),) = await self._database.fetch(OLDEST)
        return lo or 0

    async def since(self, ts: int) -> int:
        """A seq from which on everything is that was taken since `ts`, as far as can be told."""
        rows = await self._database.fetch(BEFORE, (ts,))
        return rows[0][0] if rows else 0

    async def held(self, wanted: Span, without: Collection[Key]) -> tuple[int, list[Held]]:
        """Of the hours that the front of `wanted` touches, all that is held; and where that front ends.

        Hours in `without` are left out. What the hub refuses for good is not counted.
        """
        return await self._database.look(lambda connection: _held(connection, wanted, without, self.records_a_look))

    async def held_events(self, since: int) -> list[Held]:
        """All that is held of the events' hours from `since` on, which is a whole hour. Old ones are deleted: so the
        hub may have more."""
        rows = await self._database.look(lambda connection: connection.execute(EVENTS_SINCE, (since,)).fetchall())
        return [
            Held(EVENTS, hour, of_events(found), False, tuple(Span(event.seq, event.seq + 1) for event in found))
            for hour, found in by_hour(Event(*row) for row in rows).items()
        ]

    async def settle(self, held: Held, hub_digest: int, *, told: bool) -> None:
        """Remember that all of `held` was sent again because the hub's digest was another."""
        async with self._database.transaction() as db:
            await db.execute(FORGET, (SETTLED_MAX,))
            await db.execute(SETTLE, (held.layout, held.hour, hub_digest, told))


def _held(connection: sqlite3.Connection, wanted: Span, without: Collection[Key], most: int) -> tuple[int, list[Held]]:
    tail = [(Span(lo, hi), codec.readable(pack)) for lo, hi, pack in connection.execute(FRAMES)]
    front = _front(connection, wanted, most)
    keys = set(_touched(connection, front))
    for span, records in tail:
        if span.within(front):
            keys |= {(r.layout_id, r.ts // HOUR_MS * HOUR_MS) for r in records}
    refused = {seq for (seq,) in connection.execute(REFUSED)}
    found: list[Held] = []
    for layout, of_layout in groupby(sorted(keys.difference(without)), itemgetter(0)):
        new = [(span, [record for record in records if record.layout_id == layout]) for span, records in tail]
        for lo, hi in _runs(hour for _, hour in of_layout):
            pieces = [*_blocks(connection, layout, lo, hi), *new]
            found += _accounts(connection, layout, lo, hi, pieces, refused)
    return front.hi, found


def _front(connection: sqlite3.Connection, wanted: Span, most: int) -> Span:
    """As many segments as one look takes; the tail comes with the last of them."""
    count, first, last = 0, wanted.lo, wanted.hi
    for lo, hi, kept in connection.execute(SEGMENTS, (wanted.lo, wanted.hi)):
        if count and count + kept > most:
            return Span(first, lo)
        count, first, last = count + kept, min(first, lo), max(last, hi)
    return Span(first, last)


def _touched(connection: sqlite3.Connection, span: Span) -> Iterator[Key]:
    """The hours in which sealed records of `span` may have been measured; some may be empty."""
    for layout, ts_min, ts_max, wide in connection.execute(TIMES, (span.lo, span.hi)):
        if wide is None:
            for hour in range(ts_min // HOUR_MS * HOUR_MS, ts_max + 1, HOUR_MS):
                yield layout, hour
        else:
            try:
                yield from ((layout, ts // HOUR_MS * HOUR_MS) for ts in codec.times(wide))
            except CodecError:  # spoilt by a disk: the hub knows more than we do
                continue


def _runs(hours: Iterable[int]) -> Iterator[tuple[int, int]]:
    """Neighbouring hours as lo <= ts < hi, at most a day each; `hours` are in order."""
    lo = hi = None
    for hour in hours:
        if lo is not None and hi is not None and (hour != hi or hi - lo >= DAY_MS):
            yield lo, hi
            lo = None
        lo, hi = hour if lo is None else lo, hour + HOUR_MS
    if lo is not None and hi is not None:
        yield lo, hi


Piece = tuple[Span, list[Record]]


def _blocks(connection: sqlite3.Connection, layout: bytes, lo: int, hi: int) -> Iterator[Piece]:
    for start, end, pack in connection.execute(BLOCKS, {"layout": layout, "lo": lo, "hi": hi}):
        yield Span(start, end), codec.readable(pack)


def _accounts(
    connection: sqlite3.Connection, layout: bytes, lo: int, hi: int, pieces: Iterable[Piece], refused: Collection[int]
) -> Iterator[Held]:
    """One for each hour of lo <= ts < hi that holds anything."""
    rows: dict[int, dict[int, bytes]] = defaultdict(dict)
    spans: dict[int, set[Span]] = defaultdict(set)
    doubted: set[int] = set()
    for span, records in pieces:
        for record in records:
            if not lo <= record.ts < hi or record.seq in refused:
                continue
            hour = record.ts // HOUR_MS * HOUR_MS
            spans[hour].add(span)
            if rows[hour].setdefault(record.ts, record.row) != record.row:
                doubted.add(hour)  # which of them the hub has is a matter of which came first
    for hour, found in sorted(rows.items()):
        exact = hour not in doubted and not connection.execute(THINNED, (layout, hour)).fetchone()
        digest, told = connection.execute(SETTLED, (layout, hour)).fetchone() or (None, 0)
        account = Account(len(found), of_records(found.items()))
        yield Held(layout, hour, account, exact, tuple(sorted(spans[hour])), digest, bool(told))
