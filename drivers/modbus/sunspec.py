"""SunSpec: the chain of models in a device's registers, and the points of those that we read.

Facts: SunSpec Device Information Model Specification v1.1; the models themselves are data in the
profile. The walk steps over models it does not know; the order of the chain does not matter.
"""

import re
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace

from msgspec import structs

from drivers.modbus.models import SunSpec, SunSpecGroup, SunSpecModel, SunSpecPoint
from drivers.modbus.planner import Block
from drivers.modbus.points import PlacedPoint
from gateway.core.errors import DeviceError
from gateway.core.model import Kind, Point

ReadWords = Callable[[int, int], Awaitable[bytes | None]]
"""Reads (address, count) holding registers; None where the device refuses."""

MARK = b"SunS"
END = 0xFFFF
MODELS_MAX = 200  # a chain that goes on beyond this goes round in circles

# SunSpec's type: our register type, its words, the numbers that mean "not implemented".
TYPES: dict[str, tuple[str, int, tuple[int, ...]]] = {
    "int16": ("i16", 1, (-0x8000,)), "uint16": ("u16", 1, (0xFFFF,)), "count": ("u16", 1, (0xFFFF,)),
    "acc16": ("u16", 1, (0,)), "enum16": ("u16", 1, (0xFFFF,)), "bitfield16": ("u16", 1, (0xFFFF,)),
    "sunssf": ("i16", 1, (-0x8000,)), "pad": ("u16", 1, (0x8000,)),
    "int32": ("i32", 2, (-0x80000000,)), "uint32": ("u32", 2, (0xFFFFFFFF,)), "acc32": ("u32", 2, (0,)),
    "enum32": ("u32", 2, (0xFFFFFFFF,)), "bitfield32": ("u32", 2, (0xFFFFFFFF,)), "ipaddr": ("u32", 2, (0,)),
    "int64": ("i64", 4, (-(1 << 63),)), "uint64": ("u64", 4, ((1 << 64) - 1,)), "acc64": ("u64", 4, (0,)),
    "bitfield64": ("u64", 4, ((1 << 64) - 1,)), "eui48": ("u64", 4, ((1 << 64) - 1,)),
    "float32": ("f32", 2, ()), "float64": ("f64", 4, ()), "string": ("text", 0, ()),
}  # fmt: skip
KINDS: dict[str, Kind] = {"acc": "counter", "enu": "enum", "bit": "bitfield", "str": "text"}


@dataclass(frozen=True, slots=True)
class FoundModel:
    """A model in a device's chain; `words` counts from its ID, both header words included."""

    number: int
    address: int
    words: int
    counts: Mapping[str, int] = field(default_factory=dict)  # what its points say of groups within groups


async def walk(read: ReadWords, spec: SunSpec) -> list[FoundModel]:
    """The models of the chain, in its order. Raises DeviceError where there is no chain, or no answer at all."""
    answered, silence = False, None
    for base in spec.bases:
        try:
            mark = await read(base, 2)
        except DeviceError as error:  # some devices answer only where they have something
            silence = error
            continue
        answered = True
        if mark == MARK:
            return [await _counted(read, spec, model) async for model in _chain(read, base + 2)]
    if silence is not None and not answered:
        raise silence
    tried = ", ".join(map(str, spec.bases))
    raise DeviceError(
        f"no SunSpec mark at {tried}", hint="check the unit id, and that SunSpec is switched on in the device"
    )


async def _chain(read: ReadWords, address: int) -> AsyncIterator[FoundModel]:
    for _ in range(MODELS_MAX):
        head = await read(address, 2)
        if head is None:  # refused: of the chain's last two words the second need not exist
            return
        if (number := int.from_bytes(head[:2])) == END:
            return
        words = 2 + int.from_bytes(head[2:])
        if address + words > 0xFFFF:  # a length that cannot be: nothing behind it can be trusted
            return
        yield FoundModel(number, address, words)
        address += words


async def _counted(read: ReadWords, spec: SunSpec, model: FoundModel) -> FoundModel:
    wanted = spec.models[model.number].counts if model.number in spec.models else {}
    words = {name: await read(model.address + at, 1) for name, at in wanted.items()}
    return replace(model, counts={name: int.from_bytes(word) for name, word in words.items() if word is not None})


def place_models(spec: SunSpec, found: list[FoundModel]) -> tuple[PlacedPoint, ...]:
    """The points of every model that the profile knows; a key that comes again gets a number behind it."""
    taken: set[str] = set()
    placed = []
    for model in found:
        if model.number not in spec.models:
            continue
        for point in _place_model(spec.models[model.number], model):
            key, times = point.point.key, 1
            while key in taken:
                times += 1
                key = f"{point.point.key}_{times}"
            taken.add(key)
            placed.append(point if times == 1 else _renamed(point, key))
    return tuple(placed)


def _place_model(spec: SunSpecModel, model: FoundModel) -> Iterator[PlacedPoint]:
    at = {point.name: model.address + point.at for point in spec.points}
    for point in spec.points:
        yield from _place(point, model, spec, point.at, at, point.name, point.key or f"{spec.name}_{point.name}")
    if spec.repeat is None:
        return
    size = spec.repeat.size(model.counts)
    start = spec.repeat.at or 0
    for index in range(0 if size is None else (model.words - start) // size):
        path, key = f"{spec.repeat.name}[{index}]", f"{spec.name}_{spec.repeat.name}_{index}"
        for part in _parts(spec.repeat, start + index * (size or 0), path, key, f"_{index + 1}", model.counts):
            yield from _place(part.point, model, spec, part.offset, at, part.path, part.key)


@dataclass(frozen=True, slots=True)
class _Part:
    """A point of a repeated group, `offset` registers behind its model's ID."""

    point: SunSpecPoint
    offset: int
    path: str
    key: str


def _parts(
    group: SunSpecGroup, start: int, path: str, key: str, number: str, counts: Mapping[str, int]
) -> Iterator[_Part]:
    """The points of a group, then those of its own groups, as often as they are there."""
    for point in group.points:
        ours = f"{point.key}{number}" if point.key else f"{key}_{point.name}"
        yield _Part(point, start + point.at, f"{path}.{point.name}", ours)
    start += group.words
    for inner in group.groups:
        for index in range(inner.times(counts)):
            where = f"{inner.name}[{index}]" if inner.count else inner.name
            again = f"{number}_{index + 1}" if inner.count else number
            yield from _parts(inner, start, f"{path}.{where}", f"{key}_{inner.name}_{index}", again, counts)
            start += inner.size(counts) or 0


def _place(
    point: SunSpecPoint, model: FoundModel, spec: SunSpecModel, offset: int, at: dict[str, int], path: str, key: str
) -> Iterator[PlacedPoint]:
    """The point at `offset` of the model; nothing where the device's model ends before it."""
    register_type, words, missing = TYPES[point.type]
    count = point.words or words
    if offset + count > model.words:
        return
    stored = register_type if point.sf is None else "f64"
    yield PlacedPoint(
        point=Point(
            key=snake(key),
            type=f"text:{2 * count}" if register_type == "text" else stored,
            unit=point.unit,
            kind=point.kind or KINDS.get(point.type[:3], "gauge"),
            quantity=point.quantity,
            names={str(number): name for number, name in point.names.items()},
        ),
        block=Block("holding", model.address + offset, count),
        type=register_type,
        missing=frozenset(missing),
        exponent=point.sf if isinstance(point.sf, int) else 0,
        exponent_at=at[point.sf] if isinstance(point.sf, str) else None,
        group=spec.group,
        model=model.number,
        path=path,
        write=point.write,
    )


def _renamed(placed: PlacedPoint, key: str) -> PlacedPoint:
    return replace(placed, point=structs.replace(placed.point, key=key))


def snake(name: str) -> str:
    """A name as a key: `module_0_DCWh` becomes `module_0_dc_wh`."""
    parted = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", name)
    return re.sub(r"[^a-z0-9]+", "_", parted.lower()).strip("_")
