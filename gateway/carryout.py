"""`holdfast sync export`: what the hub does not have yet, as one signed file; and its receipt.

The buffer's file is only read, in short snapshots, while the gateway runs or not. What stands in it is not touched:
until the receipt is here, or the line is back, all of it is still to be sent.
"""

import io
import sqlite3
from collections.abc import Generator, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import msgspec

from gateway.bar import Step, bar
from gateway.buffer.buffer import Buffer
from gateway.bufferfile import layouts, life, looking_at, looking_within, snapshot
from gateway.bufferwalk import pieces
from gateway.config import HubLink
from gateway.core import codec, credential
from gateway.core.clock import Clock
from gateway.core.errors import CodecError
from gateway.core.model import Event, Layout
from gateway.core.span import Span
from gateway.newfile import new_file
from sync import carry
from sync.edge import spans as span_math
from sync.wire import Answer, Cursor, Events, Layouts, Records, parse_cursor

RECORDS_A_BATCH = 20_000
BYTES_A_BATCH = 1 << 20
EVENTS_A_BATCH = 1_000

SPANS = "SELECT lo, hi FROM span WHERE stream = ? ORDER BY lo"
EVENTS_HEAD = "SELECT coalesce(max(seq) + 1, 0) FROM event"
EVENTS = "SELECT ts, kind, device, detail, seq FROM event WHERE seq >= ? AND seq < ? ORDER BY seq LIMIT ?"
# Times that are still going to be corrected.
HELD_RECORDS = """SELECT lo, hi FROM frame WHERE boot IS NOT NULL
    UNION ALL SELECT lo, hi FROM segment WHERE boot IS NOT NULL"""
HELD_EVENTS = "SELECT seq, seq + 1 FROM event WHERE boot IS NOT NULL"


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


def export(buffer: Path, hub: HubLink, clock: Clock, file: Path, *, force: bool = False) -> Exported:
    """Write all that the hub has not acknowledged into `file`, whole or not at all. Raises HoldfastError."""
    key = carry.key_of(credential.digest(hub.secret))
    with looking_at(buffer) as db, new_file(file, force=force) as part:
        with snapshot(db):
            unsent = _unsent(db)
        count = span_math.length(unsent.records)
        with part.open("wb") as out, bar("exporting") as step:
            writer = carry.Writer(out, key, carry.Opening("batches", hub.node_id, unsent.epoch, clock.wall_ms()))
            for batch in _batches(db, unsent, step, count):
                writer.batch(batch)
            writer.end()
        return Exported(count, span_math.length(unsent.events), part.stat().st_size)


def streamed(buffer: Path, hub: HubLink, clock: Clock) -> Generator[bytes, None, None]:
    """The same file piece by piece, of the buffer that the gateway in this process has open. Raises StorageError."""
    key, out = carry.key_of(credential.digest(hub.secret)), io.BytesIO()
    with looking_within(buffer) as db:
        with snapshot(db):
            unsent = _unsent(db)
        writer = carry.Writer(out, key, carry.Opening("batches", hub.node_id, unsent.epoch, clock.wall_ms()))
        for batch in _batches(db, unsent, lambda done, total: None, 0):
            writer.batch(batch)
            yield out.getvalue()
            out.seek(0)
            out.truncate()
        writer.end()
        yield out.getvalue()


def _unsent(db: sqlite3.Connection) -> Unsent:
    now = life(db)
    ((events_head,),) = db.execute(EVENTS_HEAD)
    return Unsent(
        now.epoch,
        _spans(db, "records", now.head, HELD_RECORDS),
        _spans(db, "events", events_head, HELD_EVENTS),
    )


def _spans(db: sqlite3.Connection, stream: str, head: int, held: str) -> span_math.Spans:
    spans = span_math.restored(db.execute(SPANS, (stream,)).fetchall() or [(0, None)], head)
    for lo, hi in db.execute(held):
        spans = span_math.without(spans, Span(lo, hi))
    return spans


def _batches(db: sqlite3.Connection, unsent: Unsent, step: Step, count: int) -> Iterator[carry.Batch]:
    known: set[bytes] = set()
    done = 0
    for span in unsent.records:
        for covered, packs in _packs(db, span):
            if new := _layouts(db, packs, known):
                body = msgspec.msgpack.encode(Layouts([layout.encoded for layout in new]))
                yield carry.Batch("layouts", str(Cursor(unsent.epoch, 0, len(new))), body)
                known |= {layout.id for layout in new}
            cursor = str(Cursor(unsent.epoch, covered.lo, covered.hi))
            yield carry.Batch("records", cursor, msgspec.msgpack.encode(Records(packs)))
            done += len(covered)
            step(done, count)
    for span in unsent.events:
        while span:
            events = [Event(*row) for row in db.execute(EVENTS, (span.lo, span.hi, EVENTS_A_BATCH))]
            hi = events[-1].seq + 1 if len(events) == EVENTS_A_BATCH else span.hi
            body = msgspec.msgpack.encode(Events(events))
            yield carry.Batch("events", str(Cursor(unsent.epoch, span.lo, hi)), body)
            span = Span(hi, span.hi)  # noqa: PLW2901 - what is left of it


def _packs(db: sqlite3.Connection, span: Span) -> Iterator[tuple[Span, list[bytes]]]:
    """The records of `span` as the file has them: segments and frames go whole, the hub knows what it has."""
    lo = reached = span.lo
    packs: list[bytes] = []
    for piece in pieces(db, span.lo):
        if piece and piece[0].lo >= span.hi:
            break
        packs += [block.pack for block in piece if block.lo < span.hi and codec.is_sound(block.pack)]
        reached = min(max([reached, *(block.hi for block in piece)]), span.hi)
        if reached - lo >= RECORDS_A_BATCH or sum(map(len, packs)) >= BYTES_A_BATCH:
            yield Span(lo, reached), packs
            lo, packs = reached, []
    if lo < span.hi:
        yield Span(lo, span.hi), packs


def _layouts(db: sqlite3.Connection, packs: Sequence[bytes], known: set[bytes]) -> list[Layout]:
    """Those that the hub may not know yet."""
    wanted = {layout_id for pack in packs for layout_id in codec.open_pack(pack).ids} - known
    return [layout for layout_id, layout in layouts(db)[0].items() if layout_id in wanted] if wanted else []


class Receipt(NamedTuple):
    """What the hub has taken of one buffer, by stream."""

    epoch: str
    taken: dict[str, list[Span]]
    records: int
    rejected: int


def receipt(body: bytes, hub: HubLink) -> Receipt:
    """Raises CodecError for anything but a whole receipt that the hub gave this node."""
    file = io.BytesIO(body)
    opening = carry.opening(file)
    if opening.node != hub.node_id:
        raise CodecError(f"the receipt is of node {opening.node}, and this is {hub.node_id}",
                         hint="take it to that node")  # fmt: skip
    return _receipt(opening, list(carry.read(file, carry.key_of(credential.digest(hub.secret)), "receipt")))


def _receipt(opening: carry.Opening, batches: Sequence[carry.Batch]) -> Receipt:
    taken: dict[str, list[Span]] = {"records": [], "events": []}
    records = rejected = 0
    for batch in batches:
        if batch.type == "layouts":
            continue
        cursor = parse_cursor(batch.cursor)
        answer = msgspec.json.decode(batch.body, type=Answer)
        span: span_math.Spans = (Span(cursor.lo, cursor.hi),)
        for one in answer.rejected:  # these come to the hub, and into quarantine, as others do
            span = span_math.without(span, Span(one.seq, one.seq + 1))
        taken[batch.type] += span
        records += span_math.length(span) if batch.type == "records" else 0
        rejected += len(answer.rejected)
    return Receipt(opening.epoch, taken, records, rejected)


async def acknowledge(path: Path, found: Receipt) -> int:
    """Note in the file of a buffer whose gateway does not run what the hub has; how many records are left to send.

    Raises RefusedFileError where a gateway runs, StorageError.
    """
    buffer = await Buffer.open(path)
    try:
        check_epoch(found, buffer.epoch)
        heads = {"records": buffer.head, "events": buffer.events_committed.reached}
        for stream, head in heads.items():
            left = span_math.restored(await buffer.spans(stream), head)
            for span in found.taken[stream]:
                left = span_math.without(left, span)
            buffer.keep_spans(stream, span_math.stored(left, head))
        await buffer.flushed()
        return span_math.length(span_math.restored(await buffer.spans("records"), buffer.head))
    finally:
        await buffer.close()


def receipt_text(found: Receipt, left: int) -> str:
    """What came of a receipt, in words; `left`: records that are still to be sent."""
    return f"the hub has {found.records:,} records of it; {left:,} are left to send"


def check_epoch(found: Receipt, epoch: str) -> None:
    """Raises CodecError where the receipt is of another buffer than that of this epoch."""
    if found.epoch != epoch:
        raise CodecError(
            "the receipt is of another buffer than this one, which was set aside, or restored",
            hint="nothing is lost: what the hub has already is sent once more, and kept once",
        )
