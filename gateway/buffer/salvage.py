"""What is worth carrying over of a damaged file, in the order in which it is wanted; blocks, so it runs on a thread."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import groupby, islice
from pathlib import Path

import msgspec

from gateway.buffer.sealing import Frame, sealed_from
from gateway.buffer.wreck import Row, Wreck
from gateway.core import codec
from gateway.core.model import Layout, decode_layout

FAR = 1 << 40  # beyond any number of rows
ROWS_AT_ONCE = 500
FRAMES_AT_ONCE = 100
# By primary key. First what is needed to go on, then the rest; events keep their seqs.
AT_ONCE = {
    "layout": ("id",), "boot": ("id",), "refused": ("device", "plan", "tbl", "address", "count"),
    "identity": ("device",), "pulled": ("device",), "doubtful": ("id",),
    "quarantine": ("id",), "command": ("id",),
}  # fmt: skip
LATER = {
    "contact": ("ts", "device"), "pushed": ("digest",), "thinned": ("layout", "hour"),
    "rollup_1m": ("layout", "ts"), "rollup_1h": ("layout", "ts"), "stale_hour": ("layout", "hour"),
}  # fmt: skip
SEGMENT = ("lo", "hi", "boot", "rolled", "level", "kept")
ONE_SEGMENT = f"SELECT {', '.join(SEGMENT)} FROM segment WHERE lo = ?"  # noqa: S608 - our own names
BLOCK = ("segment", "layout", "ts_min", "ts_max", "count", "bytes")
NEWEST = "SELECT hi FROM frame ORDER BY lo DESC LIMIT 1"
HEADS = ("SELECT hi FROM segment ORDER BY lo DESC LIMIT 1", "SELECT value + 0 FROM meta WHERE key = 'head'",
         "SELECT max(max(lo), coalesce(max(hi), 0)) FROM span WHERE stream = 'records'")  # fmt: skip
FIRST = "SELECT min(lo) FROM (SELECT min(lo) AS lo FROM segment UNION ALL SELECT min(lo) FROM frame)"
OF_THE_FILE = ("epoch", "head", "carry", "readable_by")  # what each file has of its own in `meta`

Columns = Mapping[str, Collection[str]]
"""Those of each table of the new file."""


@dataclass(frozen=True, slots=True)
class Rows:
    """Rows for one table of the new file."""

    table: str
    columns: Sequence[str]
    rows: Sequence[Row]


@dataclass(slots=True)
class Basis:
    """What a new file begins with. Seqs `first <= seq < head` may have been in the old one."""

    rows: list[Rows] = field(default_factory=list)
    first: int = 0
    head: int = 0
    exact: bool = True  # whether `head` is, or there may have been more after it
    layouts_whole: bool = True  # else some may be heard of again when their devices are polled
    unsent: list[tuple[int, int]] = field(default_factory=list)


def basis(path: Path, head: int, columns: Columns) -> Basis:
    """Read from the damaged file at `path`; `head` is the next seq as far as it is known from elsewhere."""
    wreck = Wreck(path)
    try:
        tail = wreck.all(NEWEST)
        found = Basis(exact=head > 0 or tail is not None)
        if tail is None:
            tail = list(wreck.by_number("frame", "lo", ("hi",), 0, FAR))
        found.head = max(head, *(row[0] for row in tail[-1:]), *(_number(wreck.one(query)) for query in HEADS))
        (first,) = wreck.one(FIRST) or (0,)  # where it cannot be read, it may have been the very first
        found.first = found.head if first is None else first
        found.rows = [
            Rows(t, c, list(wreck.from_both_ends(t, c, keys))) for t, c, keys in _known(wreck, AT_ONCE, columns)
        ]
        found.rows += [
            Rows(t, c, list(wreck.by_number(t, "seq", c, 0, FAR))) for t, c, _ in _known(wreck, {"event": ()}, columns)
        ]
        layouts = wreck.all("SELECT id, encoded FROM layout")
        found.layouts_whole = layouts is not None and all(_is_layout(*row) for row in layouts)
        found.rows = [_checked(rows) for rows in found.rows]
        spans = wreck.all("SELECT stream, lo, hi FROM span")
        mine = [(lo, found.head if hi is None else hi) for stream, lo, hi in spans or () if stream == "records"]
        found.unsent = [(lo, hi) for lo, hi in mine or [(0, found.head)] if lo < hi]
        noted = wreck.all("SELECT key, value FROM meta") or []
        found.rows.append(Rows("meta", ("key", "value"), [row for row in noted if row[0] not in OF_THE_FILE]))
        found.rows.append(Rows("span", ("stream", "lo", "hi"), [row for row in spans or () if row[0] != "records"]))
        return found
    finally:
        wreck.close()


def _number(row: Row | None) -> int:
    return int(row[0] or 0) if row else 0


def _checked(found: Rows) -> Rows:
    """Layouts that are what their ids say; of other tables all."""
    if found.table != "layout":
        return found
    id_at, at = found.columns.index("id"), found.columns.index("encoded")
    return Rows(found.table, found.columns, [row for row in found.rows if _is_layout(row[id_at], row[at])])


def _is_layout(layout_id: object, encoded: bytes) -> bool:
    try:
        return decode_layout(encoded).id == layout_id
    except (msgspec.MsgspecError, TypeError):
        return False


@dataclass(frozen=True, slots=True)
class There:
    """What the new file has already."""

    segments: Collection[int]
    boots: Mapping[int, Row]  # by id: the kernel's id and the estimate; another boot may have been given the same id
    layouts: Mapping[bytes, Layout]
    columns: Columns


def rest(path: Path, head: int, there: There) -> Iterator[list[Rows]]:
    """All else below seq `head`, in pieces that go in whole, the newest records first; frames come as segments."""
    wreck = Wreck(path)
    try:
        rowids: dict[int, list[int]] = {}
        for rowid, segment in wreck.by_number("block", "rowid", ("rowid", "segment"), 0, FAR):
            rowids.setdefault(segment, []).append(rowid)
        segments = {lo: wreck.one(ONE_SEGMENT, (lo,)) for lo in rowids}
        old = {row[0]: row[1:] for row in wreck.from_both_ends("boot", ("id", "kernel_id", "estimate"), ("id",))}
        there = replace(there, boots={boot: row for boot, row in there.boots.items() if old.get(boot) == row})
        sealed_to = max((row[1] if row else lo + 1 for lo, row in segments.items()), default=0)
        yield from _frames(wreck, sealed_to, head, there)
        for lo in sorted(segments, reverse=True):
            blocks = [b for rowid in rowids[lo] for b in wreck.by_number("block", "rowid", BLOCK, rowid, rowid + 1)]
            sound = [b for b in blocks if b[0] == lo and b[1] in there.layouts and codec.is_sound(b[5])]
            if sound and lo not in there.segments:
                yield _sealed(segments[lo] or _segment(lo, sound), sound, there)
        for table, names, keys in _known(wreck, LATER, there.columns):
            rows = wreck.from_both_ends(table, names, keys)
            while some := list(islice(rows, ROWS_AT_ONCE)):
                yield [Rows(table, names, some)]
    finally:
        wreck.close()


def _sealed(segment: Row, blocks: Sequence[Row], there: There) -> list[Rows]:
    """A boot that is not known any more can no longer correct anything."""
    lo, hi, boot, *more = segment
    carried = lo, hi, boot if boot in there.boots else None, *more
    return [Rows("segment", SEGMENT, [carried]), Rows("block", BLOCK, blocks)]


def _segment(lo: int, blocks: Sequence[Row]) -> Row:
    """A row that is lost, as far as the blocks tell it."""
    return lo, 1 + max(record.seq for block in blocks for record in codec.readable(block[5])), None, 0, 0, None


def _frames(wreck: Wreck, lo: int, head: int, there: There) -> Iterator[list[Rows]]:
    frames = wreck.by_number("frame", "lo", ("lo", "hi", "boot", "bytes"), lo, head)
    for _, alike in groupby(frames, lambda row: row[2]):
        while some := list(islice(alike, FRAMES_AT_ONCE)):
            if readable := [frame for frame in (_frame(row, there.layouts) for row in some) if frame]:
                found = sealed_from(readable, there.layouts)
                for segment in found.segments:
                    blocks = [block for block in found.blocks if block[0] == segment[0]]
                    if segment[0] not in there.segments:
                        yield _sealed((*segment, 0, 0, None), blocks, there)


def _frame(row: Row, layouts: Mapping[bytes, Layout]) -> Frame | None:
    """A frame with those of its records that can be read, if any can."""
    lo, hi, boot, pack = row
    records = [record for record in codec.readable(pack) if record.layout_id in layouts]
    return Frame(lo, hi, boot, codec.encode(records, layouts), 0) if records else None


def _known(
    wreck: Wreck, tables: Mapping[str, Sequence[str]], columns: Columns
) -> Iterator[tuple[str, list[str], Sequence[str]]]:
    """Of `tables` those that both files have, with the columns that both have."""
    for table, keys in tables.items():
        if both := [column for column in wreck.columns(table) if column in columns.get(table, ())]:
            yield table, both, keys
