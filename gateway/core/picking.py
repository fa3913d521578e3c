"""Some columns of a pack, without unpacking the others."""

import struct
from collections.abc import Sequence
from typing import NamedTuple

from gateway.core import deltas
from gateway.core.codec import RECORDS_MAX, open_pack, plane_places, take_run_head
from gateway.core.errors import CodecError
from gateway.core.model import Layout, Raw
from gateway.core.row import Place


class Columns(NamedTuple):
    """Some values of records of one layout, column by column."""

    seqs: list[int]
    times: list[int]
    values: list[list[Raw | None]]


def columns(pack: bytes, wanted: Sequence[tuple[Layout, Sequence[int]]]) -> list[Columns]:
    """Of the records of each layout in `pack` the points at the indexes, as the device holds them; None is missing.

    The records stand by seq; no other column is unpacked. Of a text all is None. Raises CodecError.
    """
    reader, ids, version = open_pack(pack)
    found = [Columns([], [], [[] for _ in indexes]) for _, indexes in wanted]
    here = [one for one in zip(wanted, found, strict=True) if one[0][0].id in ids]
    for _ in range(reader.number(RECORDS_MAX) if here else 0):
        widths, layout_ids = take_run_head(reader, ids)
        count = len(layout_ids)
        seqs, times = reader.curve(count), reader.curve(count)
        packed = reader.bytes((1 + sum(widths)) * count)
        for (layout, indexes), into in here:
            if layout.id not in layout_ids or widths != layout.rows.widths:
                continue
            mine = slice(layout_ids.index(layout.id), count - layout_ids[::-1].index(layout.id))
            if layout_ids[mine].count(layout.id) != mine.stop - mine.start:
                raise CodecError("records of one layout that do not stand together")
            run = _Run(packed, plane_places(widths, version), count, mine)
            into.seqs.extend(seqs[mine])
            into.times.extend(times[mine])
            for values, index in zip(into.values, indexes, strict=True):
                values.extend(run.values(layout.rows.places[index]))
    return found


class _Run:
    """The columns of a run, of which some are wanted, and of them the records `mine`."""

    def __init__(self, packed: bytes, planes: list[list[int]], count: int, mine: slice) -> None:
        self._packed = packed
        self._planes = planes
        self._count = count
        self._mine = mine
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
        count, places = self._count, self._planes[column]
        width = len(places)
        starts = [count * (1 + place) for place in places]  # after the flags
        planes = b"".join([self._packed[start : start + count] for start in starts])
        words = deltas.sums(deltas.unplaned(planes, width), width)
        return words[self._mine.start * width : self._mine.stop * width]
