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
from typing import Protocol

import zstandard

from gateway.core import varint
from gateway.core.errors import CodecError
from gateway.core.model import Layout, Record

VERSION = 1
RECORDS_MAX = 1_000_000
PACK_BYTES_MAX = 64 * 1024 * 1024  # of one pack when unpacked; a block of an hour is about 1 MB
WORDS = {1: "B", 2: "H", 4: "I", 8: "Q"}


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
    return _zstd.compressor.compress(bytes(out))


def decode(pack: bytes) -> list[Record]:
    """Every record of `pack`, ordered by seq. Raises CodecError for anything but a whole, sound pack."""
    reader = varint.Reader(_unpacked(pack))
    if (version := reader.number(255)) != VERSION:
        raise CodecError(f"a pack of version {version}; this release reads version {VERSION}")
    ids = [reader.bytes(8) for _ in range(reader.number(RECORDS_MAX))]
    records: list[Record] = []
    for _ in range(reader.number(RECORDS_MAX)):
        records += _take_run(reader, ids)
    if not reader.exhausted:
        raise CodecError("bytes after the end of the pack")
    records.sort(key=attrgetter("seq"))
    return records


def unpacked_size(pack: bytes) -> int:
    """How many bytes `pack` says it holds, before any is allocated. Raises CodecError, also above PACK_BYTES_MAX."""
    try:
        size = zstandard.frame_content_size(pack)
    except zstandard.ZstdError as error:
        raise CodecError(f"not a pack: {error}") from error
    if not 0 <= size <= PACK_BYTES_MAX:
        raise CodecError(f"a pack that says it holds {size} bytes; at most {PACK_BYTES_MAX} can be")
    return size


def _unpacked(pack: bytes) -> bytes:
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
    rows = struct.iter_unpack(_row_format(widths), b"".join(record.row for record in run))
    for width, column in zip(widths, zip(*rows, strict=True), strict=True):
        out += _planes(_deltas(column, width), width)


def _take_run(reader: varint.Reader, ids: Sequence[bytes]) -> Iterable[Record]:
    count = reader.number(RECORDS_MAX)
    widths = reader.bytes(reader.number(RECORDS_MAX))
    if not count or not widths or not set(widths) <= WORDS.keys():
        raise CodecError("an empty run, or a column of a width that does not exist")
    layout_ids: list[bytes] = []
    while len(layout_ids) < count:
        if not ids:
            raise CodecError("records without a layout")
        layout_id = ids[reader.number(len(ids) - 1)]
        layout_ids += [layout_id] * reader.number(count - len(layout_ids))
    seqs, times = reader.curve(count), reader.curve(count)
    flags = reader.bytes(count)
    columns = [_sums(reader.bytes(width * count), width, count) for width in widths]
    row_format = struct.Struct(_row_format(widths))
    rows = (row_format.pack(*words) for words in zip(*columns, strict=True))
    return map(Record, layout_ids, times, rows, flags, seqs)


def _row_format(widths: bytes) -> str:
    return ">" + "".join(WORDS[width] for width in widths)


def _deltas(column: Sequence[int], width: int) -> list[int]:
    """Zigzag of each difference to the word before, modulo the width; the first to 0."""
    bits = 8 * width
    half, mask = 1 << (bits - 1), (1 << bits) - 1
    deltas = []
    last = 0
    for word in column:
        delta = (word - last) & mask
        deltas.append(delta << 1 if delta < half else (mask - delta) << 1 | 1)
        last = word
    return deltas


def _planes(words: Sequence[int], width: int) -> bytes:
    packed = struct.pack(f">{len(words)}{WORDS[width]}", *words)
    return b"".join(packed[weight::width] for weight in range(width))


def _sums(planes: bytes, width: int, count: int) -> list[int]:
    """The inverse of `_planes` over `_deltas`."""
    packed = bytearray(len(planes))
    for weight in range(width):
        packed[weight::width] = planes[weight * count : (weight + 1) * count]
    mask = (1 << 8 * width) - 1
    deltas = (-(word + 1 >> 1) if word & 1 else word >> 1 for word in struct.unpack(f">{count}{WORDS[width]}", packed))
    return [total & mask for total in accumulate(deltas)]
