"""`holdfast sync export`: what the hub does not have yet, as one signed file.

The buffer's file is only read, in short snapshots, while the gateway runs or not. What stands in it is not touched:
until the receipt is here, or the line is back, all of it is still to be sent.
"""

import io
import sqlite3
from collections.abc import Generator, Iterator, Sequence
from pathlib import Path
from typing import IO, NamedTuple

import msgspec

from gateway.bar import Step, bar
from gateway.bufferfile import layouts, life, looking_at, looking_within, snapshot
from gateway.bufferstat import unsent
from gateway.bufferwalk import pieces
from gateway.config import HubLink
from gateway.core import codec, credential
from gateway.core.clock import Clock
from gateway.core.model import Event, Layout
from gateway.core.span import Span
from gateway.newfile import new_file
from sync import carry
from sync.edge import spans as span_math
from sync.wire import Cursor, Events, Layouts, Records

RECORDS_A_BATCH = 20_000
BYTES_A_BATCH = 1 << 20
EVENTS_A_BATCH = 1_000

EVENTS = "SELECT ts, kind, device, detail, seq FROM event WHERE seq >= ? AND seq < ? ORDER BY seq LIMIT ?"
# Times that are still going to be corrected.
HELD = {
    "records": """SELECT lo, hi FROM frame WHERE boot IS NOT NULL
        UNION ALL SELECT lo, hi FROM segment WHERE boot IS NOT NULL""",
    "events": "SELECT seq, seq + 1 FROM event WHERE boot IS NOT NULL",
}


class Unsent(NamedTuple):
    """As of one moment."""

    epoch: str
    records: span_math.Spans
    events: span_math.Spans


class Exported(NamedTuple):
    """What is in a file: as many seqs; of what was thinned there are fewer."""

    records: int
    events: int
    bytes: int


def export(
    buffer: Path, hub: HubLink, clock: Clock, file: Path, *, force: bool = False, most: int = RECORDS_A_BATCH
) -> Exported:
    """Write all that the hub has not acknowledged into `file`, whole or not at all; `most`: records of a batch.

    Raises HoldfastError.
    """
    with looking_at(buffer) as db, new_file(file, force=force) as part:
        with part.open("wb") as out, bar("exporting") as step:
            writer, left = _begun(db, hub, clock, out)
            for batch in _batches(db, left, step, most):
                writer.batch(batch)
            writer.end()
        return Exported(span_math.length(left.records), span_math.length(left.events), part.stat().st_size)


def streamed(buffer: Path, hub: HubLink, clock: Clock) -> Generator[bytes, None, None]:
    """The same file piece by piece, of the buffer that the gateway in this process has open. Raises StorageError."""
    out = io.BytesIO()
    with looking_within(buffer) as db:
        writer, left = _begun(db, hub, clock, out)
        for batch in _batches(db, left, lambda done, total: None, RECORDS_A_BATCH):
            writer.batch(batch)
            yield out.getvalue()
            out.seek(0)
            out.truncate()
        writer.end()
        yield out.getvalue()


def _begun(db: sqlite3.Connection, hub: HubLink, clock: Clock, out: IO[bytes]) -> tuple[carry.Writer, Unsent]:
    with snapshot(db):
        left = _unsent(db)
    opening = carry.Opening("batches", hub.node_id, left.epoch, clock.wall_ms())
    return carry.Writer(out, carry.key_of(credential.digest(hub.secret)), opening), left


def _unsent(db: sqlite3.Connection) -> Unsent:
    left = {stream: span_math.normal(spans) for stream, spans in unsent(db).items()}
    for stream, held in HELD.items():
        for lo, hi in db.execute(held):
            left[stream] = span_math.without(left[stream], Span(lo, hi))
    return Unsent(life(db).epoch, left["records"], left["events"])


def _batches(db: sqlite3.Connection, left: Unsent, step: Step, most: int) -> Iterator[carry.Batch]:
    count = span_math.length(left.records)
    known: set[bytes] = set()
    done = 0
    for span in left.records:
        for covered, packs in _packs(db, span, most):
            if new := _layouts(db, packs, known):
                body = msgspec.msgpack.encode(Layouts([layout.encoded for layout in new]))
                yield carry.Batch("layouts", str(Cursor(left.epoch, 0, len(new))), body)
                known |= {layout.id for layout in new}
            cursor = str(Cursor(left.epoch, covered.lo, covered.hi))
            yield carry.Batch("records", cursor, msgspec.msgpack.encode(Records(packs)))
            done += len(covered)
            step(done, count)
    for span in left.events:
        while span:
            events = [Event(*row) for row in db.execute(EVENTS, (span.lo, span.hi, EVENTS_A_BATCH))]
            hi = events[-1].seq + 1 if len(events) == EVENTS_A_BATCH else span.hi
            body = msgspec.msgpack.encode(Events(events))
            yield carry.Batch("events", str(Cursor(left.epoch, span.lo, hi)), body)
            span = Span(hi, span.hi)  # noqa: PLW2901 - what is left of it


def _packs(db: sqlite3.Connection, span: Span, most: int) -> Iterator[tuple[Span, list[bytes]]]:
    """The records of `span` as the file has them: segments and frames go whole, the hub knows what it has."""
    lo = reached = span.lo
    packs: list[bytes] = []
    for piece in pieces(db, span.lo):
        if piece and piece[0].lo >= span.hi:
            break
        packs += [block.pack for block in piece if block.lo < span.hi and codec.is_sound(block.pack)]
        reached = min(max([reached, *(block.hi for block in piece)]), span.hi)
        if reached - lo >= most or sum(map(len, packs)) >= BYTES_A_BATCH:
            yield Span(lo, reached), packs
            lo, packs = reached, []
    if lo < span.hi:
        yield Span(lo, span.hi), packs


def _layouts(db: sqlite3.Connection, packs: Sequence[bytes], known: set[bytes]) -> list[Layout]:
    """Those that the hub may not know yet."""
    wanted = {layout_id for pack in packs for layout_id in codec.open_pack(pack).ids} - known
    return [layout for layout_id, layout in layouts(db)[0].items() if layout_id in wanted] if wanted else []
