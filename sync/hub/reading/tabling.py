"""Readings as lines of text, CSV (RFC 4180) or JSON; pure.

Whatever opens the CSV as a sheet must not take a name for a formula: text that begins like one gets a ' before it.
"""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, tzinfo
from typing import NamedTuple

import msgspec

from gateway.core.formulas import harmless
from gateway.core.model import Layout, Raw, converted
from gateway.core.status import HistoryRow
from sync.hub.reading.records import finite, flag_words

TIME_BELOW = 253_402_300_800_000  # ms: with the year 10000 datetime ends
RAW = ("time", "ts", "site", "node", "device", "key", "unit", "value", "quality", "flags")
ROLLED = ("time", "ts", "site", "node", "device", "key", "unit", "value", "low", "high")
LOCAL = "local_time"


class Source(NamedTuple):
    """What all lines of a device have in common; `zone`: of the column of local time, None without one."""

    site: str
    node: str
    device: str
    zone: tzinfo | None


Rows = Iterable[tuple[int, int, bytes]]
"""Records: ts, flags, row."""


class Csv:
    """Lines with CR and LF at their ends."""

    media = "text/csv; charset=utf-8; header=present"
    name = "readings.csv"

    def head(self, columns: Sequence[str]) -> bytes:
        return (",".join(columns) + "\r\n").encode()

    def raw(self, source: Source, layout: Layout, wanted: Sequence[int], rows: Rows) -> bytes:
        """Of records (ts, flags, row) the points at the indexes `wanted`."""
        of_points = [
            (
                index,
                layout.conversions[index],
                f",{_cell(layout.points[index].key)},{_cell(layout.points[index].unit)},",
            )
            for index in wanted
        ]
        where = f"{_cell(source.site)},{_cell(source.node)},{_cell(source.device)}"
        lines: list[str] = []
        for ts, flags, row in rows:
            head, values = f"{time_text(ts)},{ts},{where}", layout.rows.unpack(row)
            tail = " ".join(flag_words(flags)) + (f",{time_text(ts, source.zone)}" if source.zone else "") + "\r\n"
            for index, conversion, middle in of_points:
                value = finite(converted(values[index], conversion))
                text = "" if value is None else _cell(value) if isinstance(value, str) else repr(value)
                lines.append(f"{head}{middle}{text},{'missing' if value is None else 'good'},{tail}")
        return "".join(lines).encode()

    def rolled(self, source: Source, key: str, unit: str, rows: Iterable[HistoryRow]) -> bytes:
        where = ",".join(map(_cell, (source.site, source.node, source.device, key, unit)))
        lines = []
        for row in rows:
            values = ",".join(
                "" if value is None else repr(value) for value in map(finite, (row.value, row.low, row.high))
            )
            local = f",{time_text(row.ts, source.zone)}" if source.zone else ""
            lines.append(f"{time_text(row.ts)},{row.ts},{where},{values}{local}\r\n")
        return "".join(lines).encode()


class JsonLines:
    """One object a line, with the names that the columns of the CSV have."""

    media = "application/x-ndjson"
    name = "readings.ndjson"

    def head(self, columns: Sequence[str]) -> bytes:
        return b""

    def raw(self, source: Source, layout: Layout, wanted: Sequence[int], rows: Rows) -> bytes:
        """See `Csv.raw`."""
        points = [
            (index, layout.conversions[index], f'"key":{_json(p.key)},"unit":{_json(p.unit)},"value":')
            for index in wanted
            for p in (layout.points[index],)
        ]
        where = f'"site":{_json(source.site)},"node":{_json(source.node)},"device":{_json(source.device)},'
        lines: list[str] = []
        for ts, flags, row in rows:
            head, values = f'{{"time":"{time_text(ts)}","ts":{ts},{where}', layout.rows.unpack(row)
            local = f',"{LOCAL}":"{time_text(ts, source.zone)}"' if source.zone else ""
            tail = f'"flags":{_json(flag_words(flags))}{local}}}\n'
            for index, conversion, middle in points:
                value = finite(converted(values[index], conversion))
                text = "null" if value is None else _json(value) if isinstance(value, str) else repr(value)
                lines.append(f'{head}{middle}{text},"quality":"{"missing" if value is None else "good"}",{tail}')
        return "".join(lines).encode()

    def rolled(self, source: Source, key: str, unit: str, rows: Iterable[HistoryRow]) -> bytes:
        lines = []
        for row in rows:
            lines.append(_common(source, row.ts, key, unit, row.value) | {"low": row.low, "high": row.high})
            _add_local(lines[-1], source, row.ts)
        return msgspec.json.Encoder().encode_lines(lines)


def _common(source: Source, ts: int, key: str, unit: str, value: Raw | None) -> dict[str, object]:
    return {
        "time": time_text(ts), "ts": ts, "site": source.site, "node": source.node, "device": source.device,
        "key": key, "unit": unit, "value": value,
    }  # fmt: skip


def _add_local(line: dict[str, object], source: Source, ts: int) -> None:
    if source.zone is not None:
        line[LOCAL] = time_text(ts, source.zone)


def time_text(ts: int, zone: tzinfo = UTC) -> str:
    """ISO 8601 with milliseconds; empty from the year 10000 on."""
    if ts >= TIME_BELOW - 86_400_000:  # a day: local time may be ahead
        return ""
    seconds, ms = divmod(ts, 1000)
    text = datetime.fromtimestamp(seconds, zone).isoformat()
    return f"{text[:19]}.{ms:03}{'Z' if zone is UTC else text[19:]}"


def _json(value: object) -> str:
    return msgspec.json.encode(value).decode()


def _cell(text: str) -> str:
    text = harmless(text)
    if any(mark in text for mark in '",\r\n'):
        return '"' + text.replace('"', '""') + '"'
    return text
