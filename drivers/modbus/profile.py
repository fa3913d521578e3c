"""Profiles: what one make of device offers, as data; checked when it is loaded.

A file in `config/profiles/` holds either `points`, each at its registers, or `sunspec`, the models
that are looked for in the device's own chain. `docs/profiles.md` explains each key by example.
"""

from decimal import Decimal
from typing import Annotated, Literal

import msgspec

from gateway.core import document
from gateway.core.errors import ConfigError
from gateway.core.model import Kind, Role

Table = Literal["holding", "input", "coil", "discrete"]
RegisterType = Literal[
    "bit", "u8_high", "u8_low", "i8_high", "i8_low", "u16", "i16", "u32", "i32", "u64", "i64",
    "f32", "f64", "text", "ymdhms",
]  # fmt: skip
Register = Annotated[int, msgspec.Meta(ge=0, le=65535)]
Seconds = Annotated[float, msgspec.Meta(gt=0)]

WORDS = {"bit": 1, "u8_high": 1, "u8_low": 1, "i8_high": 1, "i8_low": 1, "u16": 1, "i16": 1, "u32": 2, "i32": 2,
         "f32": 2, "u64": 4, "i64": 4, "f64": 4, "ymdhms": 3}  # fmt: skip


class _Checked(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    pass


class PointSpec(_Checked, frozen=True, kw_only=True):
    """One entry of `points:`; value = number in the register x scale."""

    key: Annotated[str, msgspec.Meta(pattern=r"^[a-z][a-z0-9_]{0,63}$")]
    register: Register  # 0-based, as on the wire
    type: RegisterType
    table: Table | None = None  # the profile's own `table` where it is not given
    words: Annotated[int, msgspec.Meta(ge=1, le=64)] | None = None  # of a text; 2 characters each
    order: Literal["big", "little"] | None = None  # of the words of a 32- or 64-bit number
    scale: Annotated[float, msgspec.Meta(gt=0)] = 1
    unit: str = ""
    kind: Kind = "gauge"
    quantity: str = ""
    names: dict[int, str] = {}
    missing: tuple[int, ...] | None = None  # raw numbers that mean "not available"
    group: str = "live"

    @property
    def count(self) -> int:
        """How many registers (or bits) it takes."""
        return self.words if self.words is not None else WORDS.get(self.type, 1)


class SunSpecPoint(_Checked, frozen=True, kw_only=True):
    """One point of a model; `at` counts registers from the model's ID, or from its group's start."""

    name: str  # SunSpec's own
    at: Register
    type: str  # SunSpec's own: int16, acc32, sunssf, string, ...
    words: Annotated[int, msgspec.Meta(ge=1, le=64)] | None = None
    sf: str | int | None = None  # the point that holds the exponent, or the exponent itself
    key: str = ""  # a word of ours where the model's name would not be understood
    unit: str = ""
    kind: Kind | None = None
    quantity: str = ""
    names: dict[int, str] = {}


class SunSpecGroup(_Checked, frozen=True, kw_only=True):
    """A part of a model that repeats; as often as `count` (a point of the model) says."""

    name: str
    at: Register
    words: Annotated[int, msgspec.Meta(ge=1, le=1000)]
    count: str
    points: tuple[SunSpecPoint, ...]


class SunSpecModel(_Checked, frozen=True, kw_only=True):
    """One model of a SunSpec device."""

    name: str
    points: tuple[SunSpecPoint, ...]
    repeat: SunSpecGroup | None = None
    group: str = "live"


class SunSpec(_Checked, frozen=True, kw_only=True):
    """Where the chain may begin, and the models that we read from it; others are stepped over."""

    bases: tuple[Register, ...] = (40000, 0, 50000)
    models: dict[int, SunSpecModel]


class Link(_Checked, frozen=True, kw_only=True):
    """What a device wants of its bus, unless the site's configuration says otherwise."""

    port: Annotated[int, msgspec.Meta(ge=1, le=65535)] = 502
    udp_port: Annotated[int, msgspec.Meta(ge=1, le=65535)] | None = None  # GoodWe's framing over UDP: 8899
    unit_id: Annotated[int, msgspec.Meta(ge=0, le=255)] = 1
    timeout_s: Seconds = 2  # at most; a unit that answers faster gets less
    settle_s: Annotated[float, msgspec.Meta(ge=0)] = 0  # pause between connecting and the first request
    words_max: Annotated[int, msgspec.Meta(ge=1, le=125)] = 125  # of one read
    gap_max: Annotated[int, msgspec.Meta(ge=0, le=125)] | None = None  # unused registers worth reading over; computed
    pause_ms: Annotated[float, msgspec.Meta(ge=0, le=5000)] = (
        0  # at least so much between an answer and the next request
    )
    in_flight: Annotated[int, msgspec.Meta(ge=1, le=16)] = 1  # requests at a time on TCP
    clients: Annotated[int, msgspec.Meta(ge=1, le=64)] = 2  # TCP connections that it takes
    lax_transaction: bool = False  # its TCP replies may carry another transaction id
    baud: Literal[1200, 2400, 4800, 9600, 19200, 38400, 57600, 115200] = 9600  # as it comes from the factory
    parity: Literal["none", "even", "odd"] = "none"
    stop_bits: Literal[1, 2] = 1

    @property
    def gap(self) -> int:
        """Unused registers worth reading over on TCP, where a request costs more than the words do."""
        return 32 if self.gap_max is None else self.gap_max


class Group(_Checked, frozen=True, kw_only=True):
    """A poll group with an interval of its own; `live` follows the device's `poll_s`."""

    every_s: Seconds


class Profile(_Checked, frozen=True, kw_only=True):
    """One file of `config/profiles/`."""

    make: str
    model: str
    source: str  # where the facts come from
    licence: str
    role: Role = "other"
    proven_by: str = ""  # the recorded answer that it decodes rightly
    table: Table = "holding"
    order: Literal["big", "little"] = "big"
    link: Link = Link()
    groups: dict[str, Group] = {}
    barriers: tuple[Register, ...] = ()  # a read never spans from below one of these to it
    missing: dict[RegisterType, tuple[int, ...]] = {}  # by type: raw numbers that mean "not available"
    points: tuple[PointSpec, ...] = ()
    sunspec: SunSpec | None = None


def parse_profile(text: str, source: str) -> Profile:
    """Raises ConfigError with file, line, key and what was expected."""
    parsed = document.parse(text, source)
    profile = document.convert(parsed, Profile)
    if bool(profile.points) == (profile.sunspec is not None):
        raise ConfigError(f"{parsed.place}: (top): expected either points or sunspec")
    _check_points(profile, parsed)
    return profile


def _check_points(profile: Profile, parsed: document.Document) -> None:
    keys: dict[str, str] = {}
    taken: dict[tuple[Table, int, str], str] = {}
    for index, point in enumerate(profile.points):
        place = parsed.place_of(("points", index))
        what = f"{place}: points[{index}] ({point.key})"
        if point.key in keys:
            raise ConfigError(f"{what}: the key is here twice; the first is at {keys[point.key]}")
        keys[point.key] = place
        if (point.type == "text") != (point.words is not None):
            raise ConfigError(f"{what}: words: expected for a text, and only there")
        table = point.table or profile.table
        if (point.type == "bit") != (table in ("coil", "discrete")):
            raise ConfigError(
                f"{what}: type: a {table} holds " + ("bits" if table in ("coil", "discrete") else "registers")
            )
        if point.group != "live" and point.group not in profile.groups:
            raise ConfigError(f"{what}: group: {point.group} is not among the profile's groups")
        if point.register + point.count > 65536:
            raise ConfigError(f"{what}: register: ends beyond 65535")
        if point.count > profile.link.words_max:
            raise ConfigError(f"{what}: wider than link.words_max, {profile.link.words_max}")
        for half in ("high", "low"):
            if point.type.endswith(("_high", "_low")) and not point.type.endswith(half):
                continue
            for register in range(point.register, point.register + point.count):
                other = taken.setdefault((table, register, half), point.key)
                if other != point.key:
                    raise ConfigError(f"{what}: overlaps {other} in {table} {register}")


def scale_text(scale: float) -> str:
    """A scale as `Point.scale` writes it: the shortest decimal, without an exponent or trailing zeros."""
    text = f"{Decimal(repr(scale)):f}"
    return text.rstrip("0").rstrip(".") if "." in text else text
