"""Points and the registers they are in: what a profile says, ready for planning and decoding."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from drivers.modbus.codec import STORED, Decoder, decoder
from drivers.modbus.planner import Block
from drivers.modbus.profile import PointSpec, Profile, decimal_text
from drivers.modbus.writes import WriteSpec
from gateway.core.model import Point, Quality, Raw

EXPONENTS = range(-10, 11)  # SunSpec: what a scale factor may be
SCALE_FACTOR = decoder("i16", 1, "big")


@dataclass(frozen=True, slots=True)
class PlacedPoint:
    """A point, the registers that it is in, and how they become its number."""

    point: Point
    block: Block
    type: str
    order: str = "big"
    missing: frozenset[int] = frozenset()  # numbers that mean "not available"
    exponent: int = 0  # the number counts 10 ** exponent
    exponent_at: int | None = None  # the register that holds the exponent instead
    exponent_decode: Decoder = SCALE_FACTOR
    together: bool = False  # number and exponent must be of one read
    group: str = "live"
    model: int | None = None  # SunSpec's model and its own name for the point
    path: str = ""
    write: WriteSpec | None = None

    @property
    def blocks(self) -> Iterable[Block]:
        """All that must be read for it; each in one read."""
        if self.exponent_at is None:
            yield self.block
        elif self.together:
            first = min(self.block.address, self.exponent_at)
            yield Block(self.block.table, first, max(self.block.end, self.exponent_at + 1) - first)
        else:
            yield from (self.block, Block(self.block.table, self.exponent_at, 1))


@dataclass(frozen=True, slots=True)
class PointReading:
    """One point as the device gave it: `raw` before the scale, `stored` as the buffer keeps it."""

    placed: PlacedPoint
    raw: Raw | None
    stored: Raw | None

    @property
    def value(self) -> Raw | None:
        return self.placed.point.value(self.stored)

    @property
    def quality(self) -> Quality:
        return Quality.MISSING if self.stored is None else Quality.GOOD


def place_points(profile: Profile) -> tuple[PlacedPoint, ...]:
    """The points of a profile that lists them."""
    by_key = {spec.key: spec for spec in profile.points}
    return tuple(_place(spec, profile, by_key[spec.sf] if spec.sf else None) for spec in profile.points)


def _place(spec: PointSpec, profile: Profile, factor: PointSpec | None) -> PlacedPoint:
    stored = STORED.get(spec.type, spec.type) if factor is None else "f64"  # the device may change its exponent
    placed = PlacedPoint(
        point=Point(
            key=spec.key,
            type=f"text:{2 * spec.count}" if spec.type == "text" else stored,
            unit=spec.unit,
            kind="text" if spec.type in ("text", "ymdhms") else spec.kind,
            quantity=spec.quantity,
            scale=decimal_text(spec.scale),
            names={str(number): name for number, name in spec.names.items()},
            offset=decimal_text(spec.offset),
        ),
        block=Block(profile.table_of(spec), spec.register, spec.count),
        type=spec.type,
        order=spec.order or profile.order,
        missing=profile.missing_of(spec),
        group=spec.group,
        write=spec.write,
    )
    if factor is None:
        return placed
    decode = decoder(factor.type, factor.count, factor.order or profile.order)
    missing = profile.missing_of(factor)
    return replace(
        placed,
        exponent_at=factor.register,
        exponent_decode=lambda words, offset: None if (n := decode(words, offset)) in missing else n,
        together=True,
    )


@dataclass(frozen=True, slots=True)
class LocatedPoint:
    """A point, and where in which block's words it and its exponent are; found once, used at each poll."""

    placed: PlacedPoint
    decode: Decoder
    block: Block
    offset: int  # bytes
    exponent_block: Block | None = None
    exponent_offset: int = 0


def locate(placed: PlacedPoint, blocks: Sequence[Block]) -> LocatedPoint:
    """Find the point among the blocks that were read for it. Raises LookupError where it is in none."""
    if placed.together:
        (span,) = placed.blocks
        blocks = [_find(span, blocks)[0]]
    block, offset = _find(placed.block, blocks)
    located = LocatedPoint(placed, decoder(placed.type, placed.block.count, placed.order), block, offset)
    if placed.exponent_at is None:
        return located
    exponent_block, exponent_offset = _find(Block(placed.block.table, placed.exponent_at, 1), blocks)
    return replace(located, exponent_block=exponent_block, exponent_offset=exponent_offset)


def _find(piece: Block, blocks: Sequence[Block]) -> tuple[Block, int]:
    for block in blocks:
        if block.table == piece.table and block.address <= piece.address and piece.end <= block.end:
            return block, 2 * (piece.address - block.address)
    raise LookupError(f"{piece} is not read")


def decode_point(located: LocatedPoint, words: bytes | None, answers: Mapping[Block, bytes]) -> PointReading:
    """The point out of `words`, those of its block, and its exponent out of `answers`; missing where they are not."""
    placed = located.placed
    raw = None if words is None else located.decode(words, located.offset)
    if raw is None or raw in placed.missing:
        return PointReading(placed, raw, None)
    exponent: Raw | None = placed.exponent
    if located.exponent_block is not None:
        scale = answers.get(located.exponent_block)
        exponent = None if scale is None else placed.exponent_decode(scale, located.exponent_offset)
    elif not exponent:
        return PointReading(placed, raw, raw)
    if isinstance(raw, str) or not isinstance(exponent, int) or exponent not in EXPONENTS:
        return PointReading(placed, raw, None)
    return PointReading(placed, raw, float(raw * 10**exponent) if exponent >= 0 else raw / 10**-exponent)
