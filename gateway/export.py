"""Readings out of the buffer's file, a segment at a time: never more than that in memory."""

import sqlite3
import struct
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from math import isfinite
from typing import NamedTuple

from gateway.bar import Step
from gateway.buffer.reading import HEAD
from gateway.bufferfile import snapshot
from gateway.bufferwalk import pieces
from gateway.core import codec
from gateway.core.errors import CodecError, ConfigError
from gateway.core.model import Layout, Point, Raw, Record, converted

SEALED = "SELECT coalesce((SELECT hi FROM segment ORDER BY lo DESC LIMIT 1), 0)"
SEGMENTS_IN_TIME = "SELECT DISTINCT segment FROM block WHERE layout = ? AND ts_max >= ? AND ts_min < ?"
# Plus: of the two indexes the one on `segment` is right, for it has few rows.
BLOCK_IN_TIME = "SELECT bytes FROM block WHERE segment = ? AND +layout = ? AND +ts_max >= ? AND +ts_min < ?"
NAMED_MOST = 20
FOREVER = 1 << 62
F32 = struct.Struct(">f")


class Choice(NamedTuple):
    """What is asked for: of no devices or points named all; times in ms, `until` is not in it."""

    devices: Collection[str]
    points: Collection[str]
    since: int
    until: int


@dataclass(frozen=True, slots=True)
class Picked:
    """The points of a layout that are asked for, by their places in it."""

    layout: Layout
    places: tuple[int, ...]
    points: tuple[Point, ...]
    order: int  # among what was picked: by device and poll group

    def values(self, record: Record) -> list[Raw | None]:
        """In engineering units; None is missing."""
        raw = self.layout.rows.unpack(record.row)
        return [self.value(place, raw[place]) for place in self.places]

    def value(self, place: int, raw: Raw | None) -> Raw | None:
        """One of them, of the point at `place` of the layout."""
        if isinstance(raw, float) and self.layout.points[place].type == "f32":
            raw = shortest(raw)
        return converted(raw, self.layout.conversions[place])


class Sample(NamedTuple):
    """What a record holds of what is asked for."""

    ts: int
    picked: Picked
    flags: int
    values: list[Raw | None]


def pick(layouts: Iterable[Layout], choice: Choice) -> dict[bytes, Picked]:
    """By layout id. Raises ConfigError for a device or point that no layout has."""
    known = list(layouts)
    _check_known("device", choice.devices, {layout.device for layout in known})
    mine = [layout for layout in known if not choice.devices or layout.device in choice.devices]
    _check_known("point", choice.points, {point.key for layout in mine for point in layout.points})
    picked: dict[bytes, Picked] = {}
    for layout in sorted(mine, key=lambda one: (one.device, one.group)):
        keys = [point.key for point in layout.points]
        places = tuple(place for place, key in enumerate(keys) if not choice.points or key in choice.points)
        if places:
            points = tuple(layout.points[place] for place in places)
            picked[layout.id] = Picked(layout, places, points, len(picked))
    return picked


class Samples:
    """What is in a file of what is picked; `left_out` says afterwards what could not be read."""

    def __init__(self, db: sqlite3.Connection, picked: Mapping[bytes, Picked], choice: Choice) -> None:
        self.left_out: list[str] = []
        self._db = db
        self._picked = picked
        self._choice = choice

    def all(self, step: Step) -> Iterator[Sample]:
        """All that was taken until now, in the order in which it was; within a segment by time, device, poll group.

        No snapshot is kept over the whole: a running gateway's log would grow as long as somebody reads slowly.
        """
        with snapshot(self._db):
            (head,), (sealed,) = self._db.execute(HEAD).fetchone(), self._db.execute(SEALED).fetchone()
            args = [(layout_id, self._choice.since, self._choice.until) for layout_id in self._picked]
            found = {segment for arg in args for (segment,) in self._db.execute(SEGMENTS_IN_TIME, arg)}
        for segment in sorted(found):
            step(segment, head)
            packs = [pack for arg in args for (pack,) in self._db.execute(BLOCK_IN_TIME, (segment, *arg))]
            yield from self._of(packs, f"segment {segment}", head)
        for piece in pieces(self._db, sealed):
            if piece and piece[0].lo >= head:
                return
            yield from self._of(
                [block.pack for block in piece], f"the tail from {piece[0].lo} on" if piece else "", head
            )

    def _of(self, packs: list[bytes], where: str, head: int) -> Iterator[Sample]:
        records: list[Record] = []
        for pack in packs:
            try:
                records += filter(self._is_wanted, codec.decode(pack))
            except CodecError as error:
                self.left_out.append(f"{where}: {error}")
        records.sort(key=lambda record: (record.ts, self._picked[record.layout_id].order, record.seq))
        for record in records:
            mine = self._picked[record.layout_id]
            if record.seq < head:
                yield Sample(record.ts, mine, record.flags, mine.values(record))

    def _is_wanted(self, record: Record) -> bool:
        """Raises CodecError."""
        mine = self._picked.get(record.layout_id)
        if mine is None or not self._choice.since <= record.ts < self._choice.until:
            return False
        if len(record.row) != mine.layout.rows.size:
            raise CodecError(f"record {record.seq} does not fit its layout")
        return True


def shortest(value: float) -> float:
    """The number with the fewest digits that is the same float32: 230.1, not 230.10000610351562."""
    if not isfinite(value):
        return value
    packed = F32.pack(value)
    for digits in (7, 8):
        number = float(f"{value:.{digits}g}")
        if F32.pack(number) == packed:
            return number
    return float(f"{value:.9g}")


def _check_known(what: str, asked: Collection[str], known: Collection[str]) -> None:
    for name in asked:
        if name not in known:
            close = sorted(get_close_matches(name, known))
            hint = f"did you mean {' or '.join(close)}?" if close else f"there are {_some(known)}"
            raise ConfigError(f"--{what} {name}: the buffer has no such {what}", hint=hint)


def _some(names: Collection[str]) -> str:
    listed, more = sorted(names)[:NAMED_MOST], len(names) - NAMED_MOST
    return (", ".join(listed) or "none") + (f" and {more} more" if more > 0 else "")
