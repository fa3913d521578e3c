"""What the gateway pushed, and what lzma would make of the same columns."""

import lzma
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import accumulate, pairwise

import msgspec

from bench.proxy import Request
from gateway.core import codec
from gateway.core.model import Layout, Record, decode_layout
from sync import wire


@dataclass(frozen=True, slots=True)
class Batch:
    """One push of records; `readings` counts those that no earlier batch had."""

    at: float  # wall time in seconds, when its last byte passed
    body_bytes: int
    lzma_bytes: int
    ticks: tuple[tuple[int, int], ...]  # of each record that is new: its ts, and how many readings it holds

    @property
    def readings(self) -> int:
        return sum(count for _, count in self.ticks)


def batches(requests: list[Request]) -> list[Batch]:
    """The batches of records among `requests`, which are all since the gateway's start, by time."""
    layouts = _layouts(requests)
    known: set[int] = set()
    found = []
    for request in requests:
        if request.header(wire.BATCH_TYPE) != "records":
            continue
        pushed = msgspec.msgpack.decode(request.body, type=wire.Records)
        records = [record for pack in pushed.packs for record in codec.decode(pack)]
        if not all(record.layout_id in layouts for record in records):
            continue  # put off by the hub until it had the layouts, then sent again
        fresh = [record for record in records if record.seq not in known]
        known.update(record.seq for record in fresh)
        ticks = tuple((record.ts, len(layouts[record.layout_id].points)) for record in fresh)
        packed = len(packed_by_lzma(records, layouts)) if records else 0
        found.append(Batch(request.at, len(request.body), packed, ticks))
    return found


def _layouts(requests: list[Request]) -> dict[bytes, Layout]:
    layouts: dict[bytes, Layout] = {}
    for request in requests:
        if request.header(wire.BATCH_TYPE) == "layouts":
            pushed = msgspec.msgpack.decode(request.body, type=wire.Layouts)
            layouts |= {layout.id: layout for layout in map(decode_layout, pushed.layouts)}
    return layouts


def packed_by_lzma(records: list[Record], layouts: Mapping[bytes, Layout]) -> bytes:
    """The rows column by column, layout by layout, each value at its own width, big end first."""
    rows: dict[bytes, list[bytes]] = {}
    for record in sorted(records, key=lambda record: record.seq):
        rows.setdefault(record.layout_id, []).append(record.row)
    columns = b"".join(_columns(layouts[layout_id].rows.widths, of_layout) for layout_id, of_layout in rows.items())
    return lzma.compress(columns, lzma.FORMAT_ALONE)


def _columns(widths: bytes, rows: list[bytes]) -> bytes:
    edges = pairwise(accumulate(widths, initial=0))
    return b"".join(row[start:end] for start, end in edges for row in rows)
