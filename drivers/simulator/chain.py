"""A SunSpec device's chain of models, laid out as a device would, with cells for its points."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from drivers.modbus.profile import SunSpec, SunSpecModel, SunSpecPoint
from gateway.core.model import Kind

MODELS = (1, 103, 160)
MODULES = 2  # of a model that repeats a part
END = 0xFFFF

# SunSpec's type: ours, the words, the number that means "not implemented".
TYPES: Mapping[str, tuple[str, int, tuple[int, ...]]] = {
    "int16": ("i16", 1, (-0x8000,)), "int32": ("i32", 2, (-0x80000000,)), "int64": ("i64", 4, (-(1 << 63),)),
    "uint16": ("u16", 1, (0xFFFF,)), "uint32": ("u32", 2, (0xFFFFFFFF,)), "uint64": ("u64", 4, ((1 << 64) - 1,)),
    "acc16": ("u16", 1, (0,)), "acc32": ("u32", 2, (0,)), "acc64": ("u64", 4, (0,)),
    "enum16": ("u16", 1, (0xFFFF,)), "enum32": ("u32", 2, (0xFFFFFFFF,)),
    "bitfield16": ("u16", 1, (0xFFFF,)), "bitfield32": ("u32", 2, (0xFFFFFFFF,)),
    "bitfield64": ("u64", 4, ((1 << 64) - 1,)), "count": ("u16", 1, (0xFFFF,)), "sunssf": ("i16", 1, (-0x8000,)),
    "float32": ("f32", 2, ()), "float64": ("f64", 4, ()), "string": ("text", 1, ()),
    "ipaddr": ("u32", 2, (0,)), "eui48": ("u64", 4, ((1 << 64) - 1,)), "pad": ("u16", 1, (0x8000,)),
}  # fmt: skip
EXPONENTS = {"voltage": -1, "current": -2, "frequency": -2, "temperature": -1, "power_factor": -3}


@dataclass(frozen=True, slots=True)
class ChainPoint:
    """A point of the chain at its address; `fixed` where the chain itself says what it holds."""

    key: str
    address: int
    spec: SunSpecPoint
    exponent: int
    fixed: int | None = None

    @property
    def type(self) -> str:
        return TYPES[self.spec.type][0]

    @property
    def count(self) -> int:
        return self.spec.words or TYPES[self.spec.type][1]

    @property
    def missing(self) -> tuple[int, ...]:
        return TYPES[self.spec.type][2]

    @property
    def kind(self) -> Kind:
        head: Mapping[str, Kind] = {"acc": "counter", "enu": "enum", "bit": "bitfield", "str": "text"}
        return self.spec.kind or head.get(self.spec.type[:3], "gauge")


def lay_out(spec: SunSpec, models: Sequence[int] = MODELS) -> tuple[dict[int, int], list[ChainPoint]]:
    """The words of mark, headers and end by address, and the points. Raises KeyError for an unknown model."""
    words = {spec.bases[0]: 0x5375, spec.bases[0] + 1: 0x6E53}  # "SunS"
    points: list[ChainPoint] = []
    address = spec.bases[0] + 2
    for number in models:
        placed = list(_model_points(spec.models[number], address))
        end = max(point.address + point.count for point in placed)
        words |= dict.fromkeys(range(address, end), 0) | {address: number, address + 1: end - address - 2}
        points += placed
        address = end
    return words | {address: END, address + 1: 0}, points


def _model_points(model: SunSpecModel, address: int) -> Iterator[ChainPoint]:
    repeated = model.repeat.points if model.repeat else ()
    exponents = {
        point.sf: EXPONENTS.get(point.quantity, 0) for point in (*model.points, *repeated) if isinstance(point.sf, str)
    }
    for point in model.points:
        fixed = None
        if point.type == "sunssf":
            fixed = exponents.get(point.name)
        elif model.repeat and point.name == model.repeat.count:
            fixed = MODULES
        yield ChainPoint(point.key or point.name.lower(), address + point.at, point, _exponent(point, exponents), fixed)
    for index in range(MODULES if model.repeat else 0):
        for point in repeated:
            at = address + model.repeat.at + index * model.repeat.words + point.at  # type: ignore[union-attr]
            key = f"{model.name}{index + 1}_{point.name.lower()}"
            yield ChainPoint(key, at, point, _exponent(point, exponents), index + 1 if point.name == "ID" else None)


def _exponent(point: SunSpecPoint, exponents: Mapping[str, int]) -> int:
    return point.sf if isinstance(point.sf, int) else exponents.get(point.sf or "", 0)
