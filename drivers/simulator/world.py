"""A device that measures an invented house: any profile, believable values, pure."""

from bisect import bisect_left
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise

from drivers.modbus.profile import PointSpec, Profile
from drivers.modbus.registers import Table
from drivers.simulator.chain import EXPONENTS, MODELS, ChainPoint, lay_out
from drivers.simulator.encode import Value, words_of
from drivers.simulator.household import Household, Moment
from drivers.simulator.meaning import Meaning
from drivers.simulator.measure import measured
from drivers.simulator.noise import noise
from gateway.core.model import Kind

BITS_PER_READ_MAX = 2000  # Modbus Application Protocol v1.1b3, 6.1


@dataclass(frozen=True, slots=True)
class Cell:
    """The registers of one point and what they show."""

    address: int
    count: int
    meaning: Meaning
    type: str
    order: str = "big"
    scale: float = 1
    missing: tuple[int, ...] = ()
    offset: float = 0

    def words(self, now: Moment) -> list[int]:
        upward = self.meaning.kind == "counter"
        return words_of(
            self._value(now), self.type, count=self.count, order=self.order,
            scale=self.scale, offset=self.offset, missing=self.missing, upward=upward,
        )  # fmt: skip

    def _value(self, now: Moment) -> Value:
        if self.type == "ymdhms":
            return now.now_s
        if self.type == "bit":  # a switch: somebody uses it now and then
            return float(noise(f"{self.meaning.device}/{self.meaning.key}", now.now_s // 600) > 0)
        return measured(self.meaning, now)


class World:
    """Answers what a device of `profile` would measure in `household`.

    What a real device refuses, it refuses: more than `words_max` registers at once, a read across
    a barrier, a read that begins, ends or passes where no point is near. Gaps within read as 0.
    """

    def __init__(
        self, profile: Profile, *, household: Household | None = None, name: str = "", share: float = 1,
        models: tuple[int, ...] = MODELS,
    ) -> None:  # fmt: skip
        self._household = household or Household()
        self._profile = profile
        self._name = name
        self._share = share
        self._words: dict[Table, dict[int, int]] = {}  # what never changes; also says where something is
        self._cells: dict[Table, list[Cell]] = {}
        if profile.sunspec is not None:
            self._words["holding"], chain = lay_out(profile.sunspec, models)
            self._add_chain(chain)
        for table, cell in self._point_cells(profile):
            self._cells.setdefault(table, []).append(cell)
            self._words.setdefault(table, {}).update(dict.fromkeys(range(cell.address, cell.address + cell.count), 0))
        for table, cells in self._cells.items():
            cells.sort(key=lambda cell: cell.address)
            _bridge(self._words[table], profile.link.gap)

    def read(self, table: Table, address: int, count: int, now_s: float) -> list[int] | None:
        wanted = range(address, address + count)
        most = self._profile.link.words_max if table in ("holding", "input") else BITS_PER_READ_MAX
        fixed = self._words.get(table, {})
        across = any(barrier in wanted[1:] for barrier in self._profile.barriers)
        if count > most or across or any(at not in fixed for at in wanted):
            return None
        words = [fixed[at] for at in wanted]
        now = self._household.at(now_s)
        for cell in self._overlapping(table, wanted):
            for at, word in enumerate(cell.words(now), cell.address):
                if at in wanted:
                    words[at - address] |= word
        return words

    def _overlapping(self, table: Table, wanted: range) -> Iterator[Cell]:
        cells = self._cells.get(table, [])
        widest = max((cell.count for cell in cells), default=0)
        for cell in cells[bisect_left(cells, wanted.start - widest, key=lambda cell: cell.address) :]:
            if cell.address >= wanted.stop:
                return
            if cell.address + cell.count > wanted.start:
                yield cell

    def _add_chain(self, chain: list[ChainPoint]) -> None:
        keys = frozenset(point.key for point in chain)
        for point in chain:
            if point.fixed is not None:
                self._words["holding"][point.address] = point.fixed & 0xFFFF
                continue
            spec = point.spec
            meaning = self._meaning(point.key, spec.quantity, point.kind, spec.unit, spec.names, keys)
            scale = 10.0**point.exponent
            cell = Cell(point.address, point.count, meaning, point.type, scale=scale, missing=point.missing)
            self._cells.setdefault("holding", []).append(cell)

    def _point_cells(self, profile: Profile) -> Iterator[tuple[Table, Cell]]:
        keys = frozenset(point.key for point in profile.points)
        exponents = {point.sf: EXPONENTS.get(point.quantity, 0) for point in profile.points if point.sf}
        for point in profile.points:
            table, order = profile.table_of(point), point.order or profile.order
            if point.key in exponents:
                self._words.setdefault(table, {})[point.register] = _factor(exponents[point.key], order)
                continue
            missing = profile.missing.get(point.type, ()) if point.missing is None else point.missing
            meaning = self._meaning(point.key, point.quantity, _kind(point), point.unit, point.names, keys)
            scale = point.scale * 10.0 ** exponents.get(point.sf or "", 0)
            yield table, Cell(point.register, point.count, meaning, point.type, order, scale, missing, point.offset)

    def _meaning(
        self, key: str, quantity: str, kind: Kind, unit: str, names: Mapping[int, str], keys: frozenset[str]
    ) -> Meaning:
        around = frozenset(word for other in keys for word in other.split("_"))
        return Meaning(key, quantity, kind, unit, names, self._name, self._profile.role, around, self._share)


def _kind(point: PointSpec) -> Kind:
    return "text" if point.type == "text" else point.kind


def _factor(exponent: int, order: str) -> int:
    (word,) = words_of(exponent, "i16", count=1, order=order)
    return word


def _bridge(words: dict[int, int], gap_max: int) -> None:
    """Fill the gaps that a driver may read over."""
    known = sorted(words)
    for here, there in pairwise(known):
        if there - here - 1 <= gap_max:
            words.update(dict.fromkeys(range(here + 1, there), 0))
