"""The values everything passes on: point, layout, record, reading, event.

They are frozen msgspec structs: one definition serves memory, disk and wire, and what comes from
outside is checked against it while it is decoded.
"""

import hashlib
from enum import StrEnum
from fractions import Fraction
from functools import cached_property
from typing import Annotated, Literal

import msgspec

from gateway.core.row import RowFormat

Raw = int | float | str
"""A value as the device holds it, before its scale."""

PointType = Annotated[
    str,
    msgspec.Meta(pattern=r"^(bit|[ui](8|16|32|64)|f(32|64)|text:([1-9]|[1-9][0-9]|1[0-9][0-9]|2[0-4][0-9]|25[0-5]))$"),
]
"""How a value is stored: its width in the register, or `text:N` for at most N bytes of UTF-8."""

NUMBER_MAX = 100  # characters of a scale or an offset
BITS = frozenset(map(str, range(64)))

Kind = Literal["gauge", "counter", "enum", "bitfield", "text"]
Role = Literal["grid", "pv", "battery", "load", "meter", "relay", "lock", "other"]
Name = Annotated[str, msgspec.Meta(pattern=r"^[^\x00-\x1f/\\]{1,64}$", description="1-64 characters, no / or \\")]


BACKFILLED = 1
"""A bit of `Record.flags`: it came more than 5 minutes after it was measured, as from a device's own log.

It belongs to history and charts; alarms and automation never act on it.
"""


UNCERTAIN = 2
"""A bit of `Record.flags`: its time is an estimate, for the gateway did not know the time.

It is taken off when the time becomes known and `ts` was corrected; a reboot before that makes it stay.
"""


DATED = 4
"""A bit of `Record.flags`: the device said when it measured this; the gateway's clock has no part in it."""


class Quality(StrEnum):
    """What a value is worth."""

    GOOD = "good"
    MISSING = "missing"  # the device says so itself (a sentinel), or did not give it


class Point(msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """One quantity of a device; its value is the stored number times `scale` plus `offset`, in `unit`."""

    key: Annotated[str, msgspec.Meta(min_length=1, max_length=96)]
    type: PointType
    unit: str = ""
    kind: Kind = "gauge"
    quantity: str = ""  # power, energy, voltage: the words of Home Assistant's device classes
    scale: Annotated[str, msgspec.Meta(pattern=r"^[0-9]+(\.[0-9]+)?(e-?[0-9]{1,2})?$", max_length=NUMBER_MAX)] = "1"
    names: dict[str, str] = {}  # enum: number -> words; bitfield: bit -> words
    offset: Annotated[str, msgspec.Meta(pattern=r"^-?[0-9]+(\.[0-9]+)?(e-?[0-9]{1,2})?$", max_length=NUMBER_MAX)] = "0"

    def value(self, raw: Raw | None) -> Raw | None:
        """The number in `unit`; text and None as they are."""
        return converted(raw, self.conversion)

    @property
    def conversion(self) -> "Conversion | None":
        """None where the stored number is the value."""
        plain = self.scale == "1" and self.offset == "0"
        return None if plain else (Fraction(self.scale), Fraction(self.offset))


Conversion = tuple[Fraction, Fraction]
"""Scale and offset."""

OFFSETS_COUNT_BELOW = 1e200  # beyond, and for infinity, an offset is nothing; it keeps fractions within a float


def converted(raw: Raw | None, conversion: Conversion | None) -> Raw | None:
    """Rounded once: scale and offset are fractions, so that 3 x 0.1 is 0.3, not 0.30000000000000004.

    None for what is too large for a float.
    """
    if raw is None or isinstance(raw, str) or conversion is None:
        return raw
    scale, offset = conversion
    try:
        if not offset or not abs(raw) < OFFSETS_COUNT_BELOW:
            return raw * scale.numerator / scale.denominator
        return float(Fraction(raw) * scale + offset)
    except OverflowError:  # a layout may come with any scale
        return None


class Layout(msgspec.Struct, frozen=True, dict=True, forbid_unknown_fields=True):
    """The ordered points of one poll group of one device; a record refers to it by its id."""

    device: Name
    group: Name
    points: Annotated[tuple[Point, ...], msgspec.Meta(min_length=1, max_length=2000)]
    profile: str = ""
    role: Role = "other"

    @cached_property
    def id(self) -> bytes:
        """8 bytes: a digest of the content, so that the same layout has the same id everywhere."""
        return hashlib.sha256(self.encoded).digest()[:8]

    @cached_property
    def encoded(self) -> bytes:
        """The layout as JSON with its keys in fixed order; what `id` is the digest of."""
        return msgspec.json.encode(self, order="deterministic")

    @cached_property
    def rows(self) -> RowFormat:
        return RowFormat(tuple(point.type for point in self.points))

    @cached_property
    def conversions(self) -> tuple[Conversion | None, ...]:
        return tuple(point.conversion for point in self.points)


class Record(msgspec.Struct, frozen=True, array_like=True):
    """One layout measured at one time; `row` holds the values as `Layout.rows` packs them."""

    layout_id: bytes
    ts: int  # milliseconds since 1970 UTC, when it was measured
    row: bytes
    flags: int = 0  # 0 to 255: BACKFILLED, UNCERTAIN, DATED
    seq: int = -1  # the order in which the buffer took it; -1 until then


class Reading(msgspec.Struct, frozen=True):
    """One value of a record, for people."""

    key: str
    value: Raw | None
    unit: str
    quality: Quality
    quantity: str = ""
    words: str = ""  # what an enum's number or a bitfield's bits mean, where the profile knows


class Event(msgspec.Struct, frozen=True):
    """Something that happened on the site; a stream of its own beside the records."""

    ts: int  # milliseconds since 1970 UTC
    kind: str  # device_offline, device_online, gateway_started, ...
    device: str = ""
    detail: str = ""
    seq: int = -1  # given out by the buffer; -1 until then


class Command(msgspec.Struct, frozen=True, omit_defaults=True):
    """Something that the site shall do, once, unless it comes too late."""

    id: Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9._:-]{1,64}\Z")]  # the idempotency key
    kind: Annotated[str, msgspec.Meta(pattern=r"^[A-Z_]{1,32}\Z")]  # RESEND, LEDGER, RESTART, CONFIGURE, WRITE, ...
    not_after: int  # milliseconds since 1970 UTC: later than this it is refused
    device: str = ""
    point: str = ""
    value: int | float | str | None = None
    body: str = ""  # what the kind needs beyond that: a configuration's text
    who: str = ""
    reason: str = ""


CommandEnd = Literal["done", "failed", "expired", "unknown"]
"""How a command ended on the site; unknown: it was begun, and nobody knows how far it went."""


class CommandResult(msgspec.Struct, frozen=True):
    """How a command ended; as JSON the detail of the event `command_result`."""

    id: str
    state: CommandEnd
    words: str


def decode_layout(encoded: bytes) -> Layout:
    """Raises msgspec.ValidationError for anything that is not a layout."""
    return msgspec.json.decode(encoded, type=Layout)


def readings_of(layout: Layout, record: Record) -> list[Reading]:
    """The record's values in engineering units, in the layout's order."""
    readings = []
    for point, conversion, raw in zip(layout.points, layout.conversions, layout.rows.unpack(record.row), strict=True):
        value = converted(raw, conversion)
        quality = Quality.MISSING if value is None else Quality.GOOD
        words = in_words(point, raw) if point.names else ""
        readings.append(Reading(point.key, value, point.unit, quality, point.quantity, words))
    return readings


def in_words(point: Point, raw: Raw | None) -> str:
    """What a number means, by the point's names; empty where they do not say."""
    if point.kind != "bitfield":
        return point.names.get(str(raw), "")
    bits = raw if isinstance(raw, int) else 0
    return ", ".join(name for bit, name in point.names.items() if bit in BITS and bits >> int(bit) & 1)
