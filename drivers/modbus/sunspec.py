"""SunSpec: the chain of models in a device's registers, and the points of those that we read.

Facts: SunSpec Device Information Model Specification v1.1; the models themselves are data in the
profile. The walk steps over models it does not know; the order of the chain does not matter.
"""

import re
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass, replace

from msgspec import structs

from drivers.modbus.planner import Block
from drivers.modbus.points import PlacedPoint
from drivers.modbus.profile import SunSpec, SunSpecModel, SunSpecPoint
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


async def walk(read: ReadWords, spec: SunSpec) -> list[FoundModel]:
    """The models of the chain, in its order. Raises DeviceError where there is no chain."""
    for base in spec.bases:
        if await read(base, 2) == MARK:
            return [model async for model in _chain(read, base + 2)]
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


def place_models(spec: SunSpec, found: list[FoundModel]) -> tuple[PlacedPoint, ...]:
    """The points of every model that the profile knows; a key that comes again gets a number behind it."""
    seen: Counter[str] = Counter()
    placed = []
    for model in found:
        if model.number not in spec.models:
            continue
        for point in _place_model(spec.models[model.number], model):
            seen[point.point.key] += 1
            times = seen[point.point.key]
            placed.append(point if times == 1 else _renamed(point, f"{point.point.key}_{times}"))
    return tuple(placed)


def _place_model(spec: SunSpecModel, model: FoundModel) -> Iterator[PlacedPoint]:
    at = {point.name: model.address + point.at for point in spec.points}
    for point in spec.points:
        yield from _place(point, model, spec, point.at, at, point.name, point.key or f"{spec.name}_{point.name}")
    if spec.repeat is None:
        return
    group = spec.repeat
    for index in range((model.words - group.at) // group.words):
        for point in group.points:
            key = f"{point.key}_{index + 1}" if point.key else f"{spec.name}_{group.name}_{index}_{point.name}"
            offset = group.at + index * group.words + point.at
            yield from _place(point, model, spec, offset, at, f"{group.name}[{index}].{point.name}", key)


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
    )


def _renamed(placed: PlacedPoint, key: str) -> PlacedPoint:
    return replace(placed, point=structs.replace(placed.point, key=key))


def snake(name: str) -> str:
    """A name as a key: `module_0_DCWh` becomes `module_0_dc_wh`."""
    parted = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", name)
    return re.sub(r"[^a-z0-9]+", "_", parted.lower()).strip("_")
