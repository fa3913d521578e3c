"""Some buckets of one layout as bytes, so laid out that one point is read without the others.

chunk  := zstd(version, bucket count n, slot of each bucket (1 byte each), then of each bucket 4 bytes each:
          records, first and last ts from the bucket's begin on; then the points, then the lags)
point  := how many records lack it (4 bytes a bucket), then its cells, field by field:
          gauge    low, high, last as the device holds them; totals as float64
          counter  first, last as the device holds them; increase, recovered as float64
          other    last as the device holds it
lags   := of each gauge or other whose last value is older than the bucket's last record: index of the point (4 bytes),
          number of the bucket (1), by how many ms (4); a chunk without any is of version 1
Fields of one width follow each other as one column of gateway.core.deltas. A text has nothing.
"""

import struct
from collections.abc import Sequence
from itertools import accumulate

from gateway.core import deltas, packing
from gateway.core.cells import Cell, Gauge, State, is_plotted, lagging
from gateway.core.counters import Counted
from gateway.core.errors import CodecError
from gateway.core.model import Layout, Point
from gateway.core.rollup import Bucket

VERSION, WITH_LAGS = 1, 2
LAG = struct.Struct(">IBI")
BLANKS: dict[str, Cell] = {"gauge": Gauge(0, 0, 0, 0, 0), "counter": Counted(0, 0, 0, 0, 0)}
NO_STATE = State(0, 0)


class ChunkFormat:
    """How the buckets of one layout, each of `bucket_ms`, are packed."""

    def __init__(self, layout: Layout, bucket_ms: int) -> None:
        self._points = layout.points
        self._codes = [place.code for place in layout.rows.places]
        self._bucket_ms = bucket_ms
        self._starts = list(accumulate(map(_width, self._points, self._codes), initial=0))  # in bytes a bucket

    def encode(self, ts: int, buckets: Sequence[Bucket]) -> bytes:
        """`buckets`, at least one, of the chunk that begins at `ts`."""
        count = len(buckets)
        slots = bytes((bucket.ts - ts) // self._bucket_ms for bucket in buckets)
        heads = [bucket.records for bucket in buckets]
        heads += [bucket.first - bucket.ts for bucket in buckets]
        heads += [bucket.last - bucket.ts for bucket in buckets]
        out = bytearray([VERSION, count]) + slots + _column("I", heads)
        for index, (point, code) in enumerate(zip(self._points, self._codes, strict=True)):
            if is_plotted(point):
                blank = BLANKS.get(point.kind, NO_STATE)
                cells = [bucket.cells[index] or blank for bucket in buckets]
                missing = [b.records - (c.readings if c else 0) for b, c in zip(buckets, cells, strict=True)]
                out += _column("I", missing) if any(missing) else bytes(4 * count)  # the same, sooner
                out += _cells(code, cells)
        lags = [
            LAG.pack(index, number, cell.lag)
            for number, bucket in enumerate(buckets)
            for index, cell in enumerate(bucket.cells)
            if isinstance(cell, Gauge | State) and cell.lag
        ]
        if lags:
            out[0] = WITH_LAGS
        return packing.pack(bytes(out) + b"".join(lags))

    def decode(self, ts: int, chunk: bytes, indexes: Sequence[int]) -> list[Bucket]:
        """The buckets with the cells of the points at `indexes` alone. Raises CodecError."""
        content = packing.unpack(chunk)
        if len(content) < 2 or content[0] not in (VERSION, WITH_LAGS):
            raise CodecError(f"a roll-up of version {content[:1].hex()}; this release reads 1 and 2")
        count = content[1]
        head = 2 + 13 * count
        end = head + self._starts[-1] * count
        if len(content) < end or (len(content) - end) % LAG.size or (content[0] == VERSION and len(content) > end):
            raise CodecError(f"a roll-up of {len(content)} bytes where {count} buckets have another length")
        heads = _words("I", content, 2 + count, 3 * count)
        columns = [self._cells_at(content, head, count, heads, index) for index in indexes]
        if len(content) > end:
            _put_lags(content[end:], indexes, columns)
        begins = [ts + slot * self._bucket_ms for slot in content[2 : 2 + count]]
        return [
            Bucket(begin, heads[i], begin + heads[count + i], begin + heads[2 * count + i], [c[i] for c in columns])
            for i, begin in enumerate(begins)
        ]

    def _cells_at(self, content: bytes, head: int, n: int, heads: Sequence[int], index: int) -> list[Cell]:
        point, code = self._points[index], self._codes[index]
        if not is_plotted(point):
            return [None] * n
        at = head + self._starts[index] * n
        counts = [records - missing for records, missing in zip(heads, _words("I", content, at, n), strict=False)]
        at += 4 * n
        fields = _words(code, content, at, NATIVE.get(point.kind, 1) * n)
        at += len(fields) * struct.calcsize(">" + code)
        cells: list[Cell]
        if point.kind == "gauge":
            totals = _words("d", content, at, n)
            cells = list(map(Gauge, counts, fields, fields[n:], totals, fields[2 * n :]))
        elif point.kind == "counter":
            sums = _words("d", content, at, 2 * n)
            cells = list(map(Counted, counts, fields, fields[n:], sums, sums[n:]))
        else:
            cells = list(map(State, counts, fields))
        return [cell if count else None for cell, count in zip(cells, counts, strict=True)]


def _put_lags(content: bytes, indexes: Sequence[int], columns: list[list[Cell]]) -> None:
    lags = {(index, number): ms for index, number, ms in LAG.iter_unpack(content)}
    for index, column in zip(indexes, columns, strict=True):
        for number, cell in enumerate(column):
            column[number] = lagging(cell, lags.get((index, number), 0))


NATIVE = {"gauge": 3, "counter": 2}  # fields that are as the device holds them; of all else 1


def _width(point: Point, code: str) -> int:
    """Bytes of a point in each bucket."""
    if not is_plotted(point):
        return 0
    native = struct.calcsize(">" + code)
    return 4 + NATIVE.get(point.kind, 1) * native + {"gauge": 8, "counter": 16}.get(point.kind, 0)


def _cells(code: str, cells: Sequence[Cell]) -> bytes:
    gauges = [cell for cell in cells if isinstance(cell, Gauge)]
    if gauges:
        fields = [c.low for c in gauges] + [c.high for c in gauges] + [c.last for c in gauges]
        return _column(code, fields) + _column("d", [c.total for c in gauges])
    counters = [cell for cell in cells if isinstance(cell, Counted)]
    if counters:
        ends = _column(code, [c.first for c in counters] + [c.last for c in counters])
        sums = _column("d", [c.increase for c in counters] + [c.recovered for c in counters])
        return ends + sums
    return _column(code, [cell.last for cell in cells if isinstance(cell, State)])


def _column(code: str, values: Sequence[float]) -> bytes:
    packed = struct.pack(f">{len(values)}{code}", *values)
    width = len(packed) // len(values)
    return deltas.planes(deltas.deltas(packed, width), width)


def _words(code: str, content: bytes, at: int, count: int) -> tuple[int, ...]:
    width = struct.calcsize(">" + code)
    column = deltas.unplaned(content[at : at + width * count], width)
    return struct.unpack(f">{count}{code}", deltas.sums(column, width))
