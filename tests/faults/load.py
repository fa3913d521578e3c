"""What the writers put into a buffer: every record and event follows from a number, so that it can be checked."""

import json

from gateway.core.model import Event, Layout, Point, Record
from gateway.core.row import RowFormat
from tests.intake.parts import NOW

POLLED = tuple(
    Layout(name, "live", (Point("number", "u32", kind="counter"), Point("wave", "i16"), Point("half", "f32")))
    for name in ("east", "west", "cellar")
)
AT_ONCE = 4  # numbers in one round of polls, which is one commit at most
PUSHED_AT_ONCE = 2  # numbers in one body
COUNTED = "counted"  # the kind of our events, of which each round has one


def polled(layout: Layout, number: int) -> Record:
    """The record with that number of one of `POLLED`, without its seq."""
    wave = number * 7 % 20001 - 10000
    return Record(layout.id, NOW + number, layout.rows.pack([number, wave, number / 2]), number % 2)


def counted(number: int) -> Event:
    """The event of the round that begins with that number, without its seq."""
    return Event(NOW + number, COUNTED, "east", str(number))


def left_over(number: int) -> list[tuple[int, int | None]]:
    """The spans that are kept with the round which ends before that number."""
    return [(number, number + 1), (number + 3, None)]


def body(number: int) -> str:
    """What the device sends that begins with that number."""
    numbers = range(number, number + PUSHED_AT_ONCE)
    return json.dumps([{"ts": pushed_at(n), "values": {"number": n, "half": n / 2}} for n in numbers])


def pushed_at(number: int) -> int:
    """When the pushed record with that number was measured: a while ago, as from a device's own log."""
    return NOW - 100_000_000 + 1000 * number


def pushed_number(rows: RowFormat, keys: list[str], record: Record) -> int:
    """The number in a pushed record, whose time and other value must fit it."""
    values = dict(zip(keys, rows.unpack(record.row), strict=True))
    number = int(float(str(values["number"])))
    assert (record.ts, values) == (pushed_at(number), {"number": number, "half": number / 2}), record
    return number
