"""Whether all that a buffer's file holds can be read and fits together."""

import sqlite3
from collections.abc import Iterator

from gateway.bar import Step
from gateway.buffer.reading import HEAD
from gateway.bufferfile import layouts, snapshot, tables
from gateway.bufferwalk import Block, pieces
from gateway.core import codec
from gateway.core.chunk import ChunkFormat
from gateway.core.errors import CodecError
from gateway.core.model import Layout
from gateway.core.rollup import HOUR_MS, MINUTE_MS

INTEGRITY = "PRAGMA integrity_check(20)"
FOREIGN_KEYS = "PRAGMA foreign_key_check"
RANGES = "SELECT lo, hi, 'segment' FROM segment UNION ALL SELECT lo, hi, 'frame' FROM frame ORDER BY 1"
SPANS = "SELECT stream, lo, hi FROM span ORDER BY stream, lo"
EVENTS_END = "SELECT coalesce(max(seq), -1) + 1 FROM event"
ADVICE = """What is named cannot be read, the rest can. Stop the gateway and put a backup back with `holdfast restore`;
or start it again: a file that SQLite finds damaged is set aside, and what can be read of it is carried over.
Look at the card or disk too: `dmesg` tells of its errors."""
ROLL_UPS = {
    "rollup_1m": (MINUTE_MS, "SELECT ts, bytes FROM rollup_1m WHERE layout = ? AND ts > ? ORDER BY ts LIMIT 1000"),
    "rollup_1h": (HOUR_MS, "SELECT ts, bytes FROM rollup_1h WHERE layout = ? AND ts > ? ORDER BY ts LIMIT 1000"),
}
OPS_A_STEP = 200_000  # of SQLite's machine; some hundredths of a second


def problems(db: sqlite3.Connection, step: Step) -> Iterator[str]:
    """Each a sentence, nothing where all is well."""
    for look in (_structure, _ranges, _packs, _roll_ups):
        try:
            yield from look(db, step)
        except sqlite3.DatabaseError as error:  # the others may still have something to say
            yield f"{look.__name__.strip('_')}: cannot be read to the end: {error}"


def _structure(db: sqlite3.Connection, step: Step) -> Iterator[str]:
    db.set_progress_handler(lambda: step(0, 0), OPS_A_STEP)
    try:
        for (line,) in db.execute(INTEGRITY):
            if line != "ok":
                yield from str(line).splitlines()
        for table, rowid, parent, _ in db.execute(FOREIGN_KEYS):
            yield f"{table} {rowid or ''}: what it refers to in {parent} is not there"
    except sqlite3.OperationalError as error:
        if error.sqlite_errorname == "SQLITE_INTERRUPT":  # Ctrl-C came while `step` was called
            raise KeyboardInterrupt from error
        raise
    except sqlite3.DatabaseError:
        yield from _damaged_tables(db)
    finally:
        db.set_progress_handler(None, 0)


def _damaged_tables(db: sqlite3.Connection) -> Iterator[str]:
    """Where SQLite's check of the whole gives up, that of each table still says which it is."""
    for table in sorted(tables(db)):
        try:
            db.execute(f"PRAGMA integrity_check({table})").fetchall()
        except sqlite3.DatabaseError as error:
            yield f"table {table}: {error}"


def _ranges(db: sqlite3.Connection, _: Step) -> Iterator[str]:
    with snapshot(db):
        ranges, spans = db.execute(RANGES).fetchall(), db.execute(SPANS).fetchall()
        heads = {"records": db.execute(HEAD).fetchone()[0], "events": db.execute(EVENTS_END).fetchone()[0]}
    reached = 0
    for lo, hi, table in ranges:
        if not reached <= lo < hi:
            yield f"{table} {lo}-{hi}: overlaps what is before it, which ends at {reached}"
        reached = max(reached, hi)
    before = {"records": 0, "events": 0}
    for stream, lo, hi in spans:
        head = heads.get(stream, 0)
        if not before.get(stream, 0) <= lo <= (head if hi is None else hi) <= head:
            yield f"span {stream} {lo}-{hi}: not within what was taken, which ends at {head}"
        before[stream] = lo if hi is None else hi


def _packs(db: sqlite3.Connection, step: Step) -> Iterator[str]:
    known, damaged = layouts(db)
    yield from (f"layout {layout_id}: damaged" for layout_id in damaged)
    yield from (f"layout {key.hex()}: its content is another's" for key, one in known.items() if one.id != key)
    (head,) = db.execute(HEAD).fetchone()
    for piece in pieces(db, 0):
        for block in piece:
            yield from (f"{_name(block)}: {problem}" for problem in _block(block, known))
        step(min(piece[-1].hi, head) if piece else 0, head)


def _roll_ups(db: sqlite3.Connection, step: Step) -> Iterator[str]:
    known, _ = layouts(db)
    for table, (bucket_ms, query) in ROLL_UPS.items():
        for done, layout in enumerate(known.values() if table in tables(db) else ()):
            step(done, len(known))
            form, reached = ChunkFormat(layout, bucket_ms), -1
            while chunks := db.execute(query, (layout.id, reached)).fetchall():
                for reached, chunk in chunks:
                    try:
                        form.decode(reached, chunk, ())  # its checksum and its length say all
                    except CodecError as error:
                        yield f"{table} of layout {layout.id.hex()} from {reached} on: {error}"


def _name(block: Block) -> str:
    return f"the block of layout {block.layout.hex()} in segment {block.lo}" if block.layout else f"frame {block.lo}"


def _block(block: Block, known: dict[bytes, Layout]) -> Iterator[str]:
    try:
        records = codec.decode(block.pack)
    except CodecError as error:
        yield str(error)
        return
    if any(not block.lo <= record.seq < block.hi for record in records):
        yield f"holds a record that is not of {block.lo}-{block.hi}"
    for layout_id in {record.layout_id for record in records}:
        if layout_id not in known:
            yield f"the layout {layout_id.hex()} of its records is not there"
        elif any(len(r.row) != known[layout_id].rows.size for r in records if r.layout_id == layout_id):
            yield "a row does not fit its layout"
    times = [record.ts for record in records]
    if block.layout and records and (block.ts_min, block.ts_max, block.count) != (min(times), max(times), len(times)):
        yield "its times or its number of records are not what is noted of it"
