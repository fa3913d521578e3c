"""A SunSpec device's chain of models, laid out as a device would, with cells for its points."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from drivers.modbus.models import SunSpec, SunSpecGroup, SunSpecModel, SunSpecPoint
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
        model = spec.models[number]
        placed = list(_model_points(model, address))
        end = max(address + _length(model), *(point.address + point.count for point in placed))
        words |= dict.fromkeys(range(address, end), 0) | {address: number, address + 1: end - address - 2}
        points += placed
        address = end
    return words | {address: END, address + 1: 0}, points


def _length(model: SunSpecModel) -> int:
    if model.repeat is None or model.repeat.at is None:
        return 0
    return model.repeat.at + MODULES * (model.repeat.size(_counts(model)) or 0)


def _counts(model: SunSpecModel) -> dict[str, int]:
    """The points that say how often something is there; here everything is there as often."""
    repeat = model.repeat
    return dict.fromkeys([*model.counts, *([repeat.count] if repeat else [])], MODULES)


def _model_points(model: SunSpecModel, address: int) -> Iterator[ChainPoint]:
    counts = _counts(model)
    repeated = [] if model.repeat is None else list(_groups(model.repeat, model.repeat.at or 0, counts, MODULES))
    every = (*model.points, *(point for group, _, _ in repeated for point in group.points))
    exponents = {point.sf: EXPONENTS.get(point.quantity, 0) for point in every if isinstance(point.sf, str)}
    for point in model.points:
        fixed = exponents.get(point.name) if point.type == "sunssf" else counts.get(point.name)
        yield ChainPoint(point.key or point.name.lower(), address + point.at, point, _exponent(point, exponents), fixed)
    for group, at, number in repeated:
        for point in group.points:
            key = f"{model.name}{number}_{point.name.lower()}"
            fixed = number if point.name == "ID" else None
            yield ChainPoint(key, address + at + point.at, point, _exponent(point, exponents), fixed)


def _groups(
    group: SunSpecGroup, at: int, counts: Mapping[str, int], times: int
) -> Iterator[tuple[SunSpecGroup, int, int]]:
    """Each group of a repeated part, the groups within it too: where it begins, and which one it is."""
    for number in range(1, times + 1):
        yield group, at, number
        within = at + group.words
        for inner in group.groups:
            yield from _groups(inner, within, counts, inner.times(counts))
            within += inner.times(counts) * (inner.size(counts) or 0)
        at = within


def _exponent(point: SunSpecPoint, exponents: Mapping[str, int]) -> int:
    return point.sf if isinstance(point.sf, int) else exponents.get(point.sf or "", 0)
