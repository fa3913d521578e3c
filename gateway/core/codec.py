"""Records as bytes: the one format of frames and blocks, on the disk and on the wire.

Records whose rows have the same shape are laid out together, layout by layout in the order of their
first seq, column by column: so like stands beside like, even where each device gave one record. A
column is a list of unsigned words, whatever its type, so every bit pattern survives. Each word is
kept as its difference to the one before (zigzag, modulo the width), and its bytes of equal weight are
put side by side as a plane: slow measurements become runs of zeros. The planes of all columns stand
weight by weight, the high bytes first: so noise stands beside noise, and zstd, which packs the whole
with a checksum, gets new statistics where that changes.
docs/decisions/0003-block-codec.md has the figures of what else was tried.

    pack     := zstd(version, layout count, layout ids of 8 bytes, run count, run...)
    run      := record count, column count, width of each column (1 byte each),
                how many records each layout has in turn (index, count) until all are placed,
                seqs and times as second differences, flags (1 byte each), planes
"""

import logging
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from itertools import groupby
from operator import attrgetter
from typing import NamedTuple, Protocol

from gateway.core import deltas, packing, varint
from gateway.core.errors import CodecError, TooLargeError
from gateway.core.model import Layout, Record

VERSION = 2
BY_COLUMNS = 1  # the version whose planes stand column by column; files of before have it
RECORDS_MAX = 1_000_000
WIDTHS = {1, 2, 4, 8}

log = logging.getLogger(__name__)


class LayoutSource(Protocol):
    """Where layouts are known by their id; a dict will do."""

    def __getitem__(self, layout_id: bytes, /) -> Layout: ...
    def __contains__(self, layout_id: object, /) -> bool: ...


def encode(records: Iterable[Record], layouts: LayoutSource) -> bytes:
    """Pack `records` (any order, any mix of layouts). Raises KeyError for an unknown layout."""
    by_layout: dict[bytes, list[Record]] = {}
    for record in sorted(records, key=attrgetter("seq")):
        by_layout.setdefault(record.layout_id, []).append(record)
    index = {layout_id: position for position, layout_id in enumerate(by_layout)}
    runs: dict[bytes, list[Record]] = {}
    for layout_id, of_layout in by_layout.items():
        runs.setdefault(layouts[layout_id].rows.widths, []).extend(of_layout)
    head = bytearray([VERSION])
    varint.put(head, len(index))
    head += b"".join(index)
    varint.put(head, len(runs))
    pieces = [bytes(head)]
    for widths, run in runs.items():
        pieces += _run_head(widths, run, index), *_weights(widths, run)
    return packing.pack(*pieces)


def decode(pack: bytes, most: int | None = None) -> list[Record]:
    """Every record of `pack`, ordered by seq. Raises CodecError for anything but a whole, sound pack.

    Where there are more than `most`, raises TooLargeError before they take memory: a few bytes may hold millions.
    """
    reader, ids, version = open_pack(pack)
    records: list[Record] = []
    for _ in range(reader.number(RECORDS_MAX)):
        records += _take_run(reader, ids, version, None if most is None else most - len(records))
    if not reader.exhausted:
        raise CodecError("bytes after the end of the pack")
    records.sort(key=attrgetter("seq"))
    return records


def readable(pack: bytes) -> list[Record]:
    """As `decode`; nothing where a disk has spoilt the pack, which the log then says."""
    try:
        return decode(pack)
    except CodecError as error:
        log.warning("a pack cannot be read", extra={"bytes": len(pack), "why": str(error)})
        return []


def is_sound(pack: bytes) -> bool:
    """Whether its checksum is right, as a disk may have spoilt it; much quicker than `decode`."""
    try:
        open_pack(pack)
    except CodecError:
        return False
    return True


def times(pack: bytes) -> list[int]:
    """When the records of `pack` were measured, in no order. Raises CodecError."""
    reader, ids, _ = open_pack(pack)
    found: list[int] = []
    for _ in range(reader.number(RECORDS_MAX)):
        widths, layout_ids = take_run_head(reader, ids)
        reader.curve(len(layout_ids))
        found += reader.curve(len(layout_ids))
        reader.bytes((1 + sum(widths)) * len(layout_ids))
    return found


class Opened(NamedTuple):
    """A pack, and what comes before its runs; the reader stands at the number of runs."""

    reader: varint.Reader
    ids: list[bytes]
    version: int


def open_pack(pack: bytes) -> Opened:
    """Raises CodecError."""
    reader = varint.Reader(packing.unpack(pack))
    if not BY_COLUMNS <= (version := reader.number(255)) <= VERSION:
        raise CodecError(f"a pack of version {version}; this release reads versions up to {VERSION}")
    return Opened(reader, [reader.bytes(8) for _ in range(reader.number(RECORDS_MAX))], version)


def _run_head(widths: bytes, run: Sequence[Record], index: dict[bytes, int]) -> bytes:
    out = bytearray()
    varint.put(out, len(run))
    varint.put(out, len(widths))
    out += widths
    for layout_id, group in groupby(run, attrgetter("layout_id")):
        varint.put(out, index[layout_id])
        varint.put(out, sum(1 for _ in group))
    varint.put_curve(out, (record.seq for record in run))
    varint.put_curve(out, (record.ts for record in run))
    return bytes(out) + bytes(record.flags for record in run)


def _weights(widths: bytes, run: Sequence[Record]) -> Iterator[bytes]:
    """The planes of all columns, those of one weight as one piece."""
    rows, size, at = b"".join([record.row for record in run]), sum(widths), 0
    planes: list[list[bytes]] = [[] for _ in range(max(widths))]
    for width in widths:
        changes = deltas.deltas(_column(rows, size, at, width), width)
        for weight in range(width):
            planes[weight].append(changes[weight::width])
        at += width
    return map(b"".join, planes)


@lru_cache(maxsize=256)
def plane_places(widths: bytes, version: int) -> list[list[int]]:
    """Where among all planes those of each column stand, its high byte's first."""
    places: list[list[int]] = [[] for _ in widths]
    planes = [(weight, column) for column, width in enumerate(widths) for weight in range(width)]
    for place, (_, column) in enumerate(planes if version == BY_COLUMNS else sorted(planes)):
        places[column].append(place)
    return places


def _column(rows: bytes, size: int, at: int, width: int) -> bytes:
    """The words that stand at `at` of each row of `size` bytes."""
    column = bytearray(len(rows) // size * width)
    for byte in range(width):
        column[byte::width] = rows[at + byte :: size]
    return bytes(column)


def _take_run(reader: varint.Reader, ids: Sequence[bytes], version: int, most: int | None) -> Iterable[Record]:
    widths, layout_ids = take_run_head(reader, ids, most)
    count = len(layout_ids)
    seqs, times = reader.curve(count), reader.curve(count)
    flags = reader.bytes(count)
    size, at = sum(widths), 0
    planes = reader.bytes(size * count)
    zigzag = bytearray(size * count)
    for width, places in zip(widths, plane_places(widths, version), strict=True):
        for byte, place in enumerate(places):
            zigzag[at + byte :: size] = planes[place * count : (place + 1) * count]
        at += width
    return map(Record, layout_ids, times, deltas.summed_rows(bytes(zigzag), widths), flags, seqs)


def take_run_head(reader: varint.Reader, ids: Sequence[bytes], most: int | None = None) -> tuple[bytes, list[bytes]]:
    """The widths of the columns, and the layout of each record."""
    count = reader.number(RECORDS_MAX)
    if most is not None and count > most:
        raise TooLargeError(f"{count} records where at most {most} more can be")
    widths = reader.bytes(reader.number(RECORDS_MAX))
    if not count or not widths or not set(widths) <= WIDTHS:
        raise CodecError("an empty run, or a column of a width that does not exist")
    layout_ids: list[bytes] = []
    while len(layout_ids) < count:
        if not ids:
            raise CodecError("records without a layout")
        layout_id = ids[reader.number(len(ids) - 1)]
        layout_ids += [layout_id] * reader.number(count - len(layout_ids))
    return widths, layout_ids
