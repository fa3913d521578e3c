"""Readings as the lines of a file that a spreadsheet or a program opens; pure."""

import csv
import io
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime, tzinfo
from functools import lru_cache
from itertools import groupby
from typing import Any

import msgspec

from gateway.core.formulas import harmless
from gateway.core.model import BACKFILLED, UNCERTAIN, Point, Raw, in_words
from gateway.export import Picked, Sample
from gateway.exportbuckets import Rolled

HEADING = ("time", "device", "point", "value", "unit", "quality", "flags", "words")
ROLLED_HEADING = ("time", "device", "point", "value", "unit", "low", "high", "readings", "words")
FLAGS = {BACKFILLED: "backfilled", UNCERTAIN: "uncertain"}
CHUNK = 1 << 16


class Times:
    """Milliseconds since 1970 UTC as ISO 8601 in a zone, with its offset then."""

    def __init__(self, zone: tzinfo) -> None:
        self._zone = zone
        self.text = lru_cache(maxsize=256)(self._text)  # the devices of a site are read at the same instants

    def _text(self, ts: int) -> str:
        try:
            return datetime.fromtimestamp(ts / 1000, self._zone).isoformat(timespec="milliseconds")
        except (ValueError, OverflowError, OSError):  # after the year 9999
            return str(ts)


def csv_bytes(rows: Iterable[Sequence[Raw | None]]) -> Iterator[bytes]:
    """RFC 4180 in UTF-8; text that a spreadsheet would take for a formula gets a ' before it, numbers do not."""
    out = io.StringIO(newline="")
    writer = csv.writer(out)
    for row in rows:
        writer.writerow([harmless(cell) if isinstance(cell, str) else cell for cell in row])
        if out.tell() > CHUNK:
            yield out.getvalue().encode()
            out.seek(0)
            out.truncate()
    yield out.getvalue().encode()


def json_lines(objects: Iterable[dict[str, Any]]) -> Iterator[bytes]:
    """One JSON object a line."""
    encoder = msgspec.json.Encoder()
    lines: list[bytes] = []
    for one in objects:
        lines.append(encoder.encode(one) + b"\n")
        if len(lines) > CHUNK // 100:
            yield b"".join(lines)
            lines.clear()
    yield b"".join(lines)


def long_rows(samples: Iterable[Sample], times: Times) -> Iterator[Sequence[Raw | None]]:
    """A heading, then a row for each reading."""
    yield HEADING
    for sample in samples:
        time, flags = times.text(sample.ts), " ".join(_flags(sample.flags))
        for point, value in zip(sample.picked.points, sample.values, strict=True):
            quality = "missing" if value is None else "good"
            yield time, sample.picked.layout.device, point.key, value, point.unit, quality, flags, _words(point, value)


def long_objects(samples: Iterable[Sample], times: Times) -> Iterator[dict[str, Any]]:
    """An object for each reading."""
    for sample in samples:
        about = {"time": times.text(sample.ts), "ts": sample.ts, "device": sample.picked.layout.device}
        flags = _flags(sample.flags)
        for point, value in zip(sample.picked.points, sample.values, strict=True):
            quality = "missing" if value is None else "good"
            words = {"words": text} if (text := _words(point, value)) else {}
            yield (
                about
                | {"point": point.key, "value": value, "unit": point.unit, "quality": quality, "flags": flags}
                | words
            )


def rolled_rows(buckets: Iterable[Rolled], times: Times) -> Iterator[Sequence[Raw | None]]:
    """A heading, then a row for each point of each bucket."""
    yield ROLLED_HEADING
    for ts, picked, summaries in buckets:
        for point, value, low, high, readings in summaries:
            device, words = picked.layout.device, _words(point, value)
            yield times.text(ts), device, point.key, value, point.unit, low, high, readings, words


def rolled_objects(buckets: Iterable[Rolled], times: Times) -> Iterator[dict[str, Any]]:
    """An object for each point of each bucket."""
    for ts, picked, summaries in buckets:
        about = {"time": times.text(ts), "ts": ts, "device": picked.layout.device}
        for point, value, low, high, readings in summaries:
            one = {
                "point": point.key,
                "value": value,
                "unit": point.unit,
                "low": low,
                "high": high,
                "readings": readings,
            }
            yield about | one | ({"words": words} if (words := _words(point, value)) else {})


def as_samples(buckets: Iterable[Rolled]) -> Iterator[Sample]:
    """For wide tables: of each bucket the values alone."""
    for ts, picked, summaries in buckets:
        values = {one.point.key: one.value for one in summaries}
        yield Sample(ts, picked, 0, [values.get(point.key) for point in picked.points])


def wide_rows(samples: Iterable[Sample], times: Times, picked: Iterable[Picked]) -> Iterator[Sequence[Raw | None]]:
    """A heading, then a row for each time and device, with a column for each point and unit."""
    columns = list(dict.fromkeys(_column(point) for one in picked for point in one.points))
    yield "time", "device", "flags", *columns
    for ts, device, flags, group in _together(samples):
        found = {_column(p): value for s in group for p, value in zip(s.picked.points, s.values, strict=True)}
        yield times.text(ts), device, " ".join(flags), *(found.get(column) for column in columns)


def wide_objects(samples: Iterable[Sample], times: Times) -> Iterator[dict[str, Any]]:
    """An object for each time and device."""
    for ts, device, flags, group in _together(samples):
        found = {p.key: value for s in group for p, value in zip(s.picked.points, s.values, strict=True)}
        yield {"time": times.text(ts), "ts": ts, "device": device, "flags": flags, "values": found}


def _together(samples: Iterable[Sample]) -> Iterator[tuple[int, str, list[str], list[Sample]]]:
    """What a device gave at one time, in whatever poll groups; they stand beside each other."""
    for (ts, device), group in groupby(samples, lambda sample: (sample.ts, sample.picked.layout.device)):
        together = list(group)
        flags = 0
        for sample in together:
            flags |= sample.flags
        yield ts, device, _flags(flags), together


def _column(point: Point) -> str:
    return f"{point.key} [{point.unit}]" if point.unit else point.key


def _flags(flags: int) -> list[str]:
    return [word for bit, word in FLAGS.items() if flags & bit]


def _words(point: Point, value: Raw | None) -> str:
    return in_words(point, value) if point.names and value is not None else ""
