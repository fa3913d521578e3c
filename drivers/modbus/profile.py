"""Profiles: what one make of device offers, as data; checked when it is loaded.

A file in `config/profiles/` holds either `points`, each at its registers, or `sunspec`, the models
that are looked for in the device's own chain. `docs/profiles.md` explains each key by example.
"""

from decimal import Decimal
from typing import Annotated, Literal

import msgspec

from drivers.modbus.identify import IdentifySpec
from drivers.modbus.models import SunSpec
from drivers.modbus.registers import (
    WORDS,
    Checked,
    Key,
    Order,
    Pause,
    Register,
    RegisterType,
    Seconds,
    Table,
    Words,
    about,
)
from drivers.modbus.writes import WriteSpec
from gateway.core.model import Kind, Role


class PointSpec(Checked, frozen=True, kw_only=True):
    """One entry of `points:`; value = number in the register x scale + offset."""

    key: Key
    register: Annotated[Register, about("0-based, as on the wire")]
    type: RegisterType
    table: Annotated[Table | None, about("the profile's own table without")] = None
    words: Annotated[Words | None, about("of a text; 2 characters each")] = None
    order: Annotated[Order | None, about("of the words of a number; the profile's own without")] = None
    scale: Annotated[float, msgspec.Meta(gt=0)] = 1
    offset: Annotated[float, about("added after the scale")] = 0
    sf: Annotated[str | None, about("the point that holds an exponent of 10, which the number is multiplied by")] = None
    unit: str = ""
    kind: Kind = "gauge"
    quantity: Annotated[str, about("power, energy, voltage, ...: a device class of Home Assistant")] = ""
    names: Annotated[dict[int, str], about("enum: number: words; bitfield: bit: words")] = msgspec.field(
        default_factory=dict
    )
    missing: Annotated[tuple[int, ...] | None, about("numbers that mean not available, before the scale")] = None
    group: Annotated[str, about("the poll group: live or one of the profile's")] = "live"
    write: Annotated[WriteSpec | None, about("that it may be written, and within which limits")] = None

    @property
    def count(self) -> int:
        """How many registers (or bits) it takes."""
        return self.words if self.words is not None else WORDS.get(self.type, 1)


class Link(Checked, frozen=True, kw_only=True):
    """What a device wants of its bus, unless the site's configuration says otherwise."""

    port: Annotated[int, msgspec.Meta(ge=1, le=65535)] = 502
    udp_port: Annotated[
        Annotated[int, msgspec.Meta(ge=1, le=65535)] | None, about("GoodWe's framing over UDP: 8899")
    ] = None
    unit_id: Annotated[int, msgspec.Meta(ge=0, le=255)] = 1
    timeout_s: Annotated[Seconds, about("at most; a unit that answers faster gets less")] = 2
    settle_s: Annotated[Pause, about("pause between connecting and the first request")] = 0
    words_max: Annotated[int, msgspec.Meta(ge=1, le=125), about("of one read")] = 125
    gap_max: Annotated[
        Annotated[int, msgspec.Meta(ge=0, le=125)] | None,
        about("unused registers worth reading over; computed without"),
    ] = None
    pause_ms: Annotated[
        float, msgspec.Meta(ge=0, le=5000), about("at least so much between an answer and the next request")
    ] = 0
    in_flight: Annotated[int, msgspec.Meta(ge=1, le=16), about("requests at a time on TCP")] = 1
    clients: Annotated[int, msgspec.Meta(ge=1, le=64), about("TCP connections that it takes")] = 2
    lax_transaction: Annotated[bool, about("its TCP replies may carry another transaction id")] = False
    baud: Annotated[
        Literal[1200, 2400, 4800, 9600, 19200, 38400, 57600, 115200], about("as it comes from the factory")
    ] = 9600
    parity: Literal["none", "even", "odd"] = "none"
    stop_bits: Literal[1, 2] = 1

    @property
    def gap(self) -> int:
        """Unused registers worth reading over on TCP, where a request costs more than the words do."""
        return 32 if self.gap_max is None else self.gap_max


class Group(Checked, frozen=True, kw_only=True):
    """A poll group with an interval of its own; `live` follows the device's `poll_s`."""

    every_s: Seconds


class Profile(Checked, frozen=True, kw_only=True):
    """One file of `config/profiles/`."""

    based_on: Annotated[str, about("another profile, which this file is laid over")] = ""
    make: str
    model: str
    source: Annotated[str, about("where the facts come from")]
    licence: str
    role: Role = "other"
    proven_by: Annotated[str, about("the recorded answer that it decodes rightly")] = ""
    quirks: Annotated[tuple[str, ...], about("what a person should know of the device, one sentence each")] = ()
    serial: Annotated[str, about("the point that holds the device's serial number")] = ""
    identify: Annotated[tuple[IdentifySpec, ...], about("how a device of this profile is known; all must hold")] = ()
    table: Table = "holding"
    order: Order = "big"
    link: Link = Link()
    groups: dict[str, Group] = msgspec.field(default_factory=dict)
    barriers: Annotated[tuple[Register, ...], about("a read never spans from below one of these to it")] = ()
    missing: Annotated[dict[RegisterType, tuple[int, ...]], about("by type: numbers that mean not available")] = (
        msgspec.field(default_factory=dict)
    )
    points: tuple[PointSpec, ...] = ()
    sunspec: SunSpec | None = None

    def table_of(self, point: PointSpec) -> Table:
        return point.table or self.table

    def missing_of(self, point: PointSpec) -> frozenset[int]:
        """The numbers that mean that it is not available."""
        return frozenset(self.missing.get(point.type, ()) if point.missing is None else point.missing)

    @property
    def group_names(self) -> frozenset[str]:
        return frozenset(("live", *self.groups))


def decimal_text(number: float) -> str:
    """A scale or offset as `Point` writes it: the shortest decimal, without an exponent or trailing zeros."""
    text = f"{Decimal(repr(number)):f}"
    return text.rstrip("0").rstrip(".") if "." in text else text
