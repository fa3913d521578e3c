"""What of a profile must fit together: keys that are named, registers that are taken, limits of writing; pure."""

from collections.abc import Iterator, Mapping

from drivers.modbus import models
from drivers.modbus.profile import PointSpec, Profile
from drivers.modbus.registers import Table, bits
from drivers.modbus.writes import FUNCTIONS, WRITE_REGISTER, WriteSpec
from gateway.core.document import Document, dotted
from gateway.core.errors import ConfigError

NUMBERS = {"u16": (0, 0xFFFF), "i16": (-0x8000, 0x7FFF), "u32": (0, 0xFFFFFFFF), "i32": (-0x80000000, 0x7FFFFFFF),
           "u64": (0, (1 << 64) - 1), "i64": (-(1 << 63), (1 << 63) - 1), "bcd16": (0, 9999), "bcd32": (0, 99999999),
           "f32": (-3.4e38, 3.4e38), "f64": (-1.8e308, 1.8e308)}  # fmt: skip
"""The types that can be written, and the least and the greatest that they hold."""


def mistakes(profile: Profile, parsed: Document) -> Iterator[ConfigError]:
    """All of them, in the order of the profile's parts; `parsed` says where each was written."""
    if bool(profile.points) == (profile.sunspec is not None):
        yield ConfigError(f"{parsed.place}: (top): expected either points or sunspec")
    keys = _keys(profile)
    if profile.serial and profile.serial not in keys:
        yield ConfigError(f"{parsed.place_of(('serial',))}: serial: {profile.serial} is not one of the points")
    for index, identify in enumerate(profile.identify):
        for key, why in identify.problems(profile.table):
            path = ("identify", index, key) if key else ("identify", index)
            yield ConfigError(f"{parsed.place_of(path)}: {dotted(path)}: {why}")
    for index, point, why in _point_mistakes(profile, parsed):
        yield ConfigError(f"{parsed.place_of(('points', index))}: points[{index}] ({point.key}){why}")
    if profile.sunspec is not None:
        for place, why in models.problems(profile.sunspec, profile.group_names):
            yield ConfigError(f"{parsed.place_of(('sunspec', *place))}: {dotted(('sunspec', *place))}: {why}")


def _keys(profile: Profile) -> set[str]:
    keys = {point.key for point in profile.points}
    if profile.sunspec is not None:
        keys |= {point.key for model in profile.sunspec.models.values() for point in model.points}
    return keys


def _point_mistakes(profile: Profile, parsed: Document) -> Iterator[tuple[int, PointSpec, str]]:
    first: dict[str, int] = {}
    by_key = {point.key: point for point in profile.points}
    taken: dict[tuple[Table, int, str], str] = {}
    for index, point in enumerate(profile.points):
        if first.setdefault(point.key, index) != index:
            place = parsed.place_of(("points", first[point.key]))
            yield index, point, f": the key is here twice; the first is at {place}"
            continue
        for why in (*_alone(point, profile), *_scale_factor(point, profile, by_key), *_write(point, profile, by_key)):
            yield index, point, f": {why}"
        if (other := _overlapped(point, profile.table_of(point), taken)) is not None:
            yield index, point, f": overlaps {other}"


def _alone(point: PointSpec, profile: Profile) -> Iterator[str]:
    table = profile.table_of(point)
    if (point.type == "text") != (point.words is not None):
        yield "words: expected for a text, and only there"
    if (point.type == "bit") != bits(table):
        yield f"type: a {table} holds " + ("bits" if bits(table) else "registers")
    if point.group not in profile.group_names:
        yield f"group: {point.group} is not among the profile's groups"
    if point.register + point.count > 65536:
        yield "register: ends beyond 65535"
    if point.count > profile.link.words_max:
        yield f"wider than link.words_max, {profile.link.words_max}"


def _scale_factor(point: PointSpec, profile: Profile, by_key: Mapping[str, PointSpec]) -> Iterator[str]:
    if point.sf is None:
        return
    factor = by_key.get(point.sf)
    if factor is None or factor is point:
        yield f"sf: {point.sf} is not another point"
        return
    if point.type in ("text", "ymdhms", "bit"):
        yield f"sf: expected only for a number, not for a {point.type}"
    if factor.type != "i16" or factor.scale != 1 or factor.offset or factor.sf:
        yield f"sf: {factor.key}: expected an i16 without a scale, offset or sf"
    lo, hi = min(point.register, factor.register), max(point.register + point.count, factor.register + factor.count)
    if profile.table_of(point) != profile.table_of(factor) or hi - lo > profile.link.words_max:
        yield f"sf: {factor.key} is too far away to be in the same read"
    elif any(lo < barrier < hi for barrier in profile.barriers):
        yield f"sf: {factor.key} is beyond a barrier, and so not in the same read"


def _write(point: PointSpec, profile: Profile, by_key: Mapping[str, PointSpec]) -> Iterator[str]:
    write, table = point.write, profile.table_of(point)
    if write is None:
        return
    if write.confirm and write.confirm not in by_key:
        yield f"write.confirm: {write.confirm} is not one of the points"
    if table not in FUNCTIONS:
        yield f"write: expected holding registers or coils, which can be written, not {table}"
        return
    if write.function is not None and (
        write.function not in FUNCTIONS[table] or (write.function == WRITE_REGISTER and point.count > 1)
    ):
        yield f"write.function: {write.function} cannot write {point.count} of {table}"
    if point.type == "bit":
        return
    if point.type not in NUMBERS:
        yield f"write: {point.type} cannot be written"
        return
    yield from write.mistakes(point.kind == "enum" and bool(point.names))
    if point.sf is None:
        yield from _fits(point, write)


def _fits(point: PointSpec, write: WriteSpec) -> Iterator[str]:
    least, most = NUMBERS[point.type]
    for key, limit in (("min", write.min), ("max", write.max)):
        if limit is not None and not least <= round((limit - point.offset) / point.scale, 6) <= most:
            yield f"write.{key}: {limit:g} does not fit {point.type}"


def _overlapped(point: PointSpec, table: Table, taken: dict[tuple[Table, int, str], str]) -> str | None:
    """Where another point is already, if there is one; notes where this one is."""
    for half in ("high", "low"):
        if point.type.endswith(("_high", "_low")) and not point.type.endswith(half):
            continue
        for register in range(point.register, point.register + point.count):
            other = taken.setdefault((table, register, half), point.key)
            if other != point.key:
                return f"{other} in {table} {register}"
    return None
