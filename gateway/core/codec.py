"""Records as bytes: the one format of frames and blocks, on the disk and on the wire.

Records whose rows have the same shape are laid out together, layout by layout in the order of their
first seq, column by column: so like stands beside like, even where each device gave one record. A
column is a list of unsigned words, whatever its type, so every bit pattern survives. Each word is
kept as its difference to the one before (zigzag, modulo the width), and the bytes of equal weight
are put side by side: slow measurements become runs of zeros. zstd packs the whole, with a checksum.
docs/decisions/0003-block-codec.md has the figures of what else was tried.

    pack     := zstd(version, layout count, layout ids of 8 bytes, run count, run...)
    run      := record count, column count, width of each column (1 byte each),
                how many records each layout has in turn (index, count) until all are placed,
                seqs and times as second differences, flags (1 byte each), columns
"""

import struct
import threading
from collections.abc import Iterable, Sequence
from itertools import accumulate, groupby
from operator import attrgetter
from typing import NamedTuple, Protocol

import zstandard

from gateway.core import lanes, varint
from gateway.core.errors import CodecError
from gateway.core.model import Layout, Raw, Record
from gateway.core.row import Place

VERSION = 1
RECORDS_MAX = 1_000_000
PACK_BYTES_MAX = 64 * 1024 * 1024  # of one pack when unpacked; a block of an hour is about 1 MB
WIDTHS = {1, 2, 4, 8}


class _Zstd(threading.local):
    """Of each thread its own: the library's objects must never be used by two at once, and crash where they are."""

    def __init__(self) -> None:
        self.compressor = zstandard.ZstdCompressor(level=3, write_checksum=True)
        self.decompressor = zstandard.ZstdDecompressor()


_zstd = _Zstd()


class LayoutSource(Protocol):
    """Where layouts are known by their id; a dict will do."""

    def __getitem__(self, layout_id: bytes, /) -> Layout: ...


def encode(records: Iterable[Record], layouts: LayoutSource) -> bytes:
    """Pack `records` (any order, any mix of layouts). Raises KeyError for an unknown layout."""
    by_layout: dict[bytes, list[Record]] = {}
    for record in sorted(records, key=attrgetter("seq")):
        by_layout.setdefault(record.layout_id, []).append(record)
    index = {layout_id: position for position, layout_id in enumerate(by_layout)}
    runs: dict[bytes, list[Record]] = {}
    for layout_id, of_layout in by_layout.items():
        runs.setdefault(layouts[layout_id].rows.widths, []).extend(of_layout)
    out = bytearray([VERSION])
    varint.put(out, len(index))
    out += b"".join(index)
    varint.put(out, len(runs))
    for widths, run in runs.items():
        _put_run(out, widths, run, index)
    return compress(bytes(out))


def decode(pack: bytes) -> list[Record]:
    """Every record of `pack`, ordered by seq. Raises CodecError for anything but a whole, sound pack."""
    reader, ids = _take_head(pack)
    records: list[Record] = []
    for _ in range(reader.number(RECORDS_MAX)):
        records += _take_run(reader, ids)
    if not reader.exhausted:
        raise CodecError("bytes after the end of the pack")
    records.sort(key=attrgetter("seq"))
    return records


def times(pack: bytes) -> list[int]:
    """When the records of `pack` were measured, in no order. Raises CodecError."""
    reader, ids = _take_head(pack)
    found: list[int] = []
    for _ in range(reader.number(RECORDS_MAX)):
        widths, layout_ids = _take_run_head(reader, ids)
        reader.curve(len(layout_ids))
        found += reader.curve(len(layout_ids))
        reader.bytes((1 + sum(widths)) * len(layout_ids))
    return found


class Columns(NamedTuple):
    """Some values of records of one layout, column by column."""

    seqs: list[int]
    times: list[int]
    values: list[list[Raw | None]]


def columns(pack: bytes, wanted: Sequence[tuple[Layout, Sequence[int]]]) -> list[Columns]:
    """Of the records of each layout in `pack` the points at the indexes, as the device holds them; None is missing.

    The records stand by seq; no other column is unpacked. Of a text all is None. Raises CodecError.
    """
    reader, ids = _take_head(pack)
    found = [Columns([], [], [[] for _ in indexes]) for _, indexes in wanted]
    here = [one for one in zip(wanted, found, strict=True) if one[0][0].id in ids]
    for _ in range(reader.number(RECORDS_MAX) if here else 0):
        widths, layout_ids = _take_run_head(reader, ids)
        count = len(layout_ids)
        seqs, times = reader.curve(count), reader.curve(count)
        packed = reader.bytes((1 + sum(widths)) * count)
        for (layout, indexes), into in here:
            if layout.id not in layout_ids or widths != layout.rows.widths:
                continue
            mine = slice(layout_ids.index(layout.id), count - layout_ids[::-1].index(layout.id))
            if layout_ids[mine].count(layout.id) != mine.stop - mine.start:
                raise CodecError("records of one layout that do not stand together")
            run = _Run(packed, widths, count, mine)
            into.seqs.extend(seqs[mine])
            into.times.extend(times[mine])
            for values, index in zip(into.values, indexes, strict=True):
                values.extend(run.values(layout.rows.places[index]))
    return found


class _Run:
    """The columns of a run, of which some are wanted, and of them the records `mine`."""

    def __init__(self, packed: bytes, widths: bytes, count: int, mine: slice) -> None:
        self._packed = packed
        self._widths = widths
        self._count = count
        self._mine = mine
        self._starts = list(accumulate(widths, initial=1))  # after the flags; in columns of one byte
        self._missing: dict[int, bytes] = {}

    def values(self, place: Place) -> list[Raw | None]:
        if place.code.endswith("s"):
            return [None] * (self._mine.stop - self._mine.start)
        if place.bitmap not in self._missing:
            self._missing[place.bitmap] = self._words(place.bitmap)
        missing = self._missing[place.bitmap]
        words = self._words(place.column)
        values: list[Raw | None] = list(struct.unpack(f">{len(missing)}{place.code}", words))
        if missing.count(0) == len(missing):
            return values
        return [None if bits & place.bit else value for bits, value in zip(missing, values, strict=True)]

    def _words(self, column: int) -> bytes:
        start, width = self._starts[column] * self._count, self._widths[column]
        words = lanes.sums(lanes.unplaned(self._packed[start : start + width * self._count], width), width)
        return words[self._mine.start * width : self._mine.stop * width]


def _take_head(pack: bytes) -> tuple[varint.Reader, list[bytes]]:
    reader = varint.Reader(decompress(pack))
    if (version := reader.number(255)) != VERSION:
        raise CodecError(f"a pack of version {version}; this release reads version {VERSION}")
    return reader, [reader.bytes(8) for _ in range(reader.number(RECORDS_MAX))]


def unpacked_size(pack: bytes) -> int:
    """How many bytes `pack` says it holds, before any is allocated. Raises CodecError, also above PACK_BYTES_MAX."""
    try:
        size = zstandard.frame_content_size(pack)
    except zstandard.ZstdError as error:
        raise CodecError(f"not a pack: {error}") from error
    if not 0 <= size <= PACK_BYTES_MAX:
        raise CodecError(f"a pack that says it holds {size} bytes; at most {PACK_BYTES_MAX} can be")
    return size


def compress(content: bytes) -> bytes:
    """zstd, with a checksum."""
    return _zstd.compressor.compress(content)


def decompress(pack: bytes) -> bytes:
    """The bytes that `compress` was given. Raises CodecError for anything else, and above PACK_BYTES_MAX."""
    unpacked_size(pack)
    try:
        return _zstd.decompressor.decompress(pack, allow_extra_data=False)
    except zstandard.ZstdError as error:
        raise CodecError(f"not a sound pack: {error}") from error


def _put_run(out: bytearray, widths: bytes, run: Sequence[Record], index: dict[bytes, int]) -> None:
    varint.put(out, len(run))
    varint.put(out, len(widths))
    out += widths
    for layout_id, group in groupby(run, attrgetter("layout_id")):
        varint.put(out, index[layout_id])
        varint.put(out, sum(1 for _ in group))
    varint.put_curve(out, (record.seq for record in run))
    varint.put_curve(out, (record.ts for record in run))
    out += bytes(record.flags for record in run)
    rows, size, at = b"".join([record.row for record in run]), sum(widths), 0
    for width in widths:
        out += lanes.planes(lanes.deltas(_column(rows, size, at, width), width), width)
        at += width


def _column(rows: bytes, size: int, at: int, width: int) -> bytes:
    """The words that stand at `at` of each row of `size` bytes."""
    column = bytearray(len(rows) // size * width)
    for byte in range(width):
        column[byte::width] = rows[at + byte :: size]
    return bytes(column)


def _take_run(reader: varint.Reader, ids: Sequence[bytes]) -> Iterable[Record]:
    widths, layout_ids = _take_run_head(reader, ids)
    count = len(layout_ids)
    seqs, times = reader.curve(count), reader.curve(count)
    flags = reader.bytes(count)
    size, at = sum(widths), 0
    rows = bytearray(size * count)
    for width in widths:
        column = lanes.sums(lanes.unplaned(reader.bytes(width * count), width), width)
        for byte in range(width):
            rows[at + byte :: size] = column[byte::width]
        at += width
    whole = bytes(rows)
    return map(Record, layout_ids, times, [whole[i : i + size] for i in range(0, len(whole), size)], flags, seqs)


def _take_run_head(reader: varint.Reader, ids: Sequence[bytes]) -> tuple[bytes, list[bytes]]:
    """The widths of the columns, and the layout of each record."""
    count = reader.number(RECORDS_MAX)
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
