"""CSV that a device sends: a header, then a row a record (`ts,power,voltage`) or a value (`ts,key,value`); pure."""

import csv
import re
from collections.abc import Iterator
from datetime import tzinfo

from drivers.intake.stamps import NAMES, parse_stamp
from drivers.intake.values import Value, clean_key, number_or_words
from gateway.core.errors import CodecError, TooLargeError
from gateway.core.pushed import RECORDS_MAX, Parsed, PushedRecord, Rejected

SEPARATORS = ",;\t"
WITH_UNIT = re.compile(r"(.+?)\s*[\[(]([^\])]*)[\])]")  # power [W]
LONG = {"key", "value"}

Row = tuple[int, list[str]]
Stamped = Iterator[tuple[int, list[str], int | None]]


def parse_table(text: str, zone: tzinfo) -> Parsed:
    """Raises CodecError where the first row is no header, TooLargeError above RECORDS_MAX rows."""
    lines = text.splitlines()
    if len(lines) > RECORDS_MAX:
        raise TooLargeError(f"more than {RECORDS_MAX} rows", hint="send fewer records at a time")
    separator = max(SEPARATORS, key=lines[0].count)
    try:
        rows = [row for row in csv.reader(lines, delimiter=separator) if any(cell.strip() for cell in row)]
    except csv.Error as error:
        raise CodecError(f"not CSV: {error}") from error
    if not rows:
        raise CodecError("expected a header row like ts,power,voltage, not only empty cells")
    header, *rows = rows
    names = [name.strip() for name in header]
    lower = [name.lower() for name in names]
    if all(isinstance(number_or_words(name), float) for name in names):
        raise CodecError("expected a header row like ts,power,voltage before the numbers")
    if len(set(lower)) < len(lower):
        raise CodecError("expected a header row in which every name is there once")
    stamp_at = next((position for position, name in enumerate(lower) if name in NAMES), None)
    if LONG.issubset(lower) and stamp_at is None:
        raise CodecError("expected a column ts beside key and value")
    if separator == ";":  # where numbers have a decimal comma
        rows = [[re.sub(r"^(-?\d+),(\d+)$", r"\1.\2", cell.strip()) for cell in row] for row in rows]
    parsed = Parsed([], [])
    numbered = [(number, row) for number, row in enumerate(rows, 1) if _fits(number, row, names, parsed)]
    read = _long if LONG.issubset(lower) else _wide
    read(numbered, names, stamp_at, zone, parsed)
    return parsed


def _fits(number: int, row: list[str], names: list[str], parsed: Parsed) -> bool:
    if len(row) == len(names):
        return True
    parsed.rejected.append(Rejected(number, f"expected {len(names)} columns as in the header, not {len(row)}"))
    return False


def _stamps(rows: list[Row], at: int | None, zone: tzinfo, parsed: Parsed) -> Stamped:
    for number, row in rows:
        try:
            yield number, row, None if at is None else parse_stamp(row[at].strip(), zone)
        except CodecError as error:
            parsed.rejected.append(Rejected(number, str(error)))


def _wide(rows: list[Row], names: list[str], stamp_at: int | None, zone: tzinfo, parsed: Parsed) -> None:
    index_at = next((position for position, name in enumerate(names) if name.lower() == "index"), None)
    columns: list[tuple[int, str, str]] = []
    for position, name in enumerate(names):
        if position not in (stamp_at, index_at):
            found = WITH_UNIT.fullmatch(name)
            columns.append((position, clean_key(found[1] if found else name), found[2] if found else ""))
    if not columns:
        raise CodecError("expected columns with values beside the time")
    units = {key: unit for _, key, unit in columns if unit}
    for number, row, ts in _stamps(rows, stamp_at, zone, parsed):
        values = {key: number_or_words(row[position]) for position, key, _ in columns}
        index = row[index_at].strip() if index_at is not None else ""
        whole = int(index) if index.isdecimal() and len(index) < 19 else None
        parsed.records.append(PushedRecord(ts, values, units, whole, number))


def _long(rows: list[Row], names: list[str], stamp_at: int | None, zone: tzinfo, parsed: Parsed) -> None:
    """Neighbouring rows of one time are one record; its number is that of its first row."""
    lower = [name.lower() for name in names]
    key_at, value_at = lower.index("key"), lower.index("value")
    unit_at = lower.index("unit") if "unit" in lower else None
    last: PushedRecord | None = None
    for number, row, ts in _stamps(rows, stamp_at, zone, parsed):
        key = clean_key(row[key_at])
        if last is None or last.ts_ms != ts or key in last.values:
            values: dict[str, Value] = {}
            last = PushedRecord(ts, values, {}, None, number)
            parsed.records.append(last)
        last.values[key] = number_or_words(row[value_at])
        if unit_at is not None and row[unit_at].strip():
            last.units[key] = row[unit_at].strip()
