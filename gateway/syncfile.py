"""The way to the hub as a buffer's file tells it, where no gateway runs that could be asked."""

import sqlite3
from collections.abc import Iterator, Sequence

from gateway.buffer.quarantine import COUNT, ENTRIES, NEWEST, entry
from gateway.bufferfile import layouts, snapshot, tables
from gateway.bufferstat import heads, unsent
from gateway.bufferwalk import pieces
from gateway.core import codec
from gateway.core.span import Span
from gateway.core.status import RefusedLine, StreamState, SyncState
from gateway.syncdesk import AT_ONCE, refused_line

EVENT_AT = "SELECT ts FROM event WHERE seq >= ? ORDER BY seq LIMIT 1"


def sync_state(db: sqlite3.Connection, hub: str) -> SyncState:
    """What waits for `hub`, and how much it refuses; nothing else of it is known. Raises sqlite3.Error."""
    with snapshot(db):
        ends, left = heads(db), unsent(db)
        quarantined = db.execute(COUNT).fetchone()[0] if "quarantine" in tables(db) else 0
    streams = (
        StreamState("records", ends["records"], sum(map(len, left["records"])), _oldest_record(db, left["records"])),
        StreamState("events", ends["events"], sum(map(len, left["events"])), _oldest_event(db, left["events"])),
    )
    return SyncState(hub, backlog=streams[0].backlog, streams=streams, quarantined=quarantined)


def _oldest_record(db: sqlite3.Connection, left: Sequence[Span]) -> int:
    """When the first of them was measured; 0: there is none that can be read."""
    for span in left[:1]:
        for piece in pieces(db, span.lo):
            records = (record for block in piece for record in codec.readable(block.pack))
            if times := [record.ts for record in records if record.seq >= span.lo]:
                return min(times)
    return 0


def _oldest_event(db: sqlite3.Connection, left: Sequence[Span]) -> int:
    row = db.execute(EVENT_AT, (left[0].lo,)).fetchone() if left else None
    return int(row[0]) if row else 0


def refused(db: sqlite3.Connection) -> Iterator[RefusedLine]:
    """All that the hub refuses for good, the newest first. Raises sqlite3.Error."""
    known, _ = layouts(db)
    below = NEWEST
    while "quarantine" in tables(db) and (rows := db.execute(ENTRIES, (below, AT_ONCE)).fetchall()):
        for row in rows:
            yield refused_line(entry(row), known)
        below = rows[-1][0]
