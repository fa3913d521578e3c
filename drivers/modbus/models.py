"""What a profile says of SunSpec's models: which we read, and where in a model its points are."""

from collections.abc import Iterator, Mapping
from typing import Annotated, Literal

import msgspec

from drivers.modbus.registers import Checked, Register, Words, about
from drivers.modbus.writes import WriteSpec
from gateway.core.model import Kind

SunSpecType = Literal[
    "int16", "uint16", "count", "acc16", "enum16", "bitfield16", "sunssf", "pad", "int32", "uint32", "acc32", "enum32",
    "bitfield32", "ipaddr", "int64", "uint64", "acc64", "bitfield64", "eui48", "float32", "float64", "string",
]  # fmt: skip
Place = tuple[str | int, ...]


class SunSpecPoint(Checked, frozen=True, kw_only=True):
    """One point of a model."""

    name: Annotated[str, about("SunSpec's own name")]
    at: Annotated[Register, about("registers from the model's ID, or from its group's start")]
    type: Annotated[SunSpecType, about("SunSpec's own type")]
    words: Annotated[Words | None, about("of a string; 2 characters each")] = None
    sf: Annotated[str | int | None, about("the point that holds the exponent, or the exponent itself")] = None
    key: Annotated[str, about("a word of ours where the model's name would not be understood")] = ""
    unit: str = ""
    kind: Kind | None = None
    quantity: str = ""
    names: dict[int, str] = msgspec.field(default_factory=dict)
    write: Annotated[WriteSpec | None, about("that it may be written, and within which limits")] = None


class SunSpecGroup(Checked, frozen=True, kw_only=True):
    """A part of a model: points, then groups of its own one behind the other; it may be there many times."""

    name: str
    at: Annotated[Register | None, about("where the first begins in its model; within a group: behind the last")] = None
    words: Annotated[int, msgspec.Meta(ge=1, le=1000), about("of one, without the groups within")]
    count: Annotated[str, about("the model's point that says how often it is there; once without")] = ""
    points: tuple[SunSpecPoint, ...] = ()
    groups: tuple["SunSpecGroup", ...] = ()

    def times(self, counts: Mapping[str, int]) -> int:
        """How often it is there within its group, by what the device's points say; 0 where they do not."""
        return counts.get(self.count, 0) if self.count else 1

    def size(self, counts: Mapping[str, int]) -> int | None:
        """The registers of one, all groups within included; None where the device does not say."""
        size = self.words
        for group in self.groups:
            inner = group.size(counts)
            if inner is None or (group.count and group.count not in counts):
                return None
            size += inner * group.times(counts)
        return size


class SunSpecModel(Checked, frozen=True, kw_only=True):
    """One model of a SunSpec device."""

    name: str
    points: tuple[SunSpecPoint, ...]
    repeat: SunSpecGroup | None = None
    group: Annotated[str, about("the poll group: live or one of the profile's")] = "live"

    @property
    def counts(self) -> dict[str, int]:
        """Where the points are that say how often a group within the repeated part is there."""
        wanted = {group.count for group in self.every_group() if group is not self.repeat}
        return {point.name: point.at for point in self.points if point.name in wanted}

    def every_group(self) -> Iterator[SunSpecGroup]:
        """The repeated part and the groups within it, each once."""
        if self.repeat is not None:
            yield self.repeat
            yield from _within(self.repeat)

    def every_point(self) -> Iterator[SunSpecPoint]:
        """Those of the repeated part too, once."""
        yield from self.points
        for group in self.every_group():
            yield from group.points


class SunSpec(Checked, frozen=True, kw_only=True):
    """Where the chain may begin, and the models that we read from it; others are stepped over."""

    bases: tuple[Register, ...] = (40000, 0, 50000)
    models: dict[int, SunSpecModel]


def _within(group: SunSpecGroup) -> Iterator[SunSpecGroup]:
    for inner in group.groups:
        yield inner
        yield from _within(inner)


def problems(spec: SunSpec, groups: frozenset[str]) -> Iterator[tuple[Place, str]]:
    """Where something does not fit together, and what."""
    for number, model in spec.models.items():
        place: Place = ("models", number)
        if model.group not in groups:
            yield (*place, "group"), f"{model.group} is not among the profile's groups"
        types = {point.name: point.type for point in model.points}
        yield from _point_problems(model.points, types, (*place, "points"))
        if model.repeat is not None:
            yield from _group_problems(model.repeat, types, (*place, "repeat"))
            if not model.repeat.count:
                yield (*place, "repeat"), "the key count is missing"
            if model.repeat.at is None:
                yield (*place, "repeat"), "the key at is missing"


def _group_problems(group: SunSpecGroup, types: dict[str, SunSpecType], place: Place) -> Iterator[tuple[Place, str]]:
    if group.count and group.count not in types:
        yield (*place, "count"), f"{group.count} is not a point of the model"
    yield from _point_problems(group.points, types, (*place, "points"))
    for index, inner in enumerate(group.groups):
        yield from _group_problems(inner, types, (*place, "groups", index))


def _point_problems(
    points: tuple[SunSpecPoint, ...], types: dict[str, SunSpecType], place: Place
) -> Iterator[tuple[Place, str]]:
    for index, point in enumerate(points):
        if isinstance(point.sf, str) and types.get(point.sf) != "sunssf":
            yield (*place, index, "sf"), f"{point.sf} is not a scale factor (sunssf) of the model"
        if (point.type == "string") != (point.words is not None):
            yield (*place, index, "words"), "expected for a string, and only there"
        if point.write is not None:
            if not point.type.startswith(("int", "uint", "enum")):
                yield (*place, index, "write"), f"{point.type} cannot be written"
            for why in point.write.mistakes(point.type.startswith("enum") and bool(point.names)):
                yield (*place, index), why
            if point.write.confirm and point.write.confirm not in {other.key for other in points}:
                yield (*place, index, "write", "confirm"), f"{point.write.confirm} is not a key beside it"
