"""A poll group: the points that are read together, the reads that fetch them, and what becomes of the answers; pure."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from drivers.modbus.planner import Block, plan_blocks
from drivers.modbus.points import LocatedPoint, PlacedPoint, PointReading, decode_point, locate
from gateway.core.model import Layout

Answers = Mapping[Block, bytes]
"""The words of each read that was answered."""


@dataclass(frozen=True, slots=True)
class PollGroup:
    """One poll group as it is planned."""

    layout: Layout
    placed: tuple[PlacedPoint, ...]
    blocks: list[Block]
    located: list[tuple[LocatedPoint | None, PlacedPoint]]  # None: it, or its scale factor, is refused

    def decode(self, answers: Answers) -> list[PointReading]:
        """The points out of the blocks that were planned; missing where theirs was not answered."""
        readings: list[PointReading] = []
        block: Block | None = None
        words: bytes | None = None
        for located, placed in self.located:
            if located is None:
                readings.append(PointReading(placed, None, None))
                continue
            if located.block is not block:  # neighbours are mostly of one block, and to look it up is half of the work
                block, words = located.block, answers.get(located.block)
            readings.append(decode_point(located, words, answers))
        return readings

    def decode_any(self, answers: Answers) -> list[PointReading]:
        """The same, where other blocks were read than those that were planned."""
        return [decode_any(placed, answers) for placed in self.placed]


def poll_group(
    layout: Layout, placed: tuple[PlacedPoint, ...], *, gap_max: int, words_max: int, barriers: Sequence[int],
    refused: Collection[Block],
) -> PollGroup:  # fmt: skip
    """Plan the reads of a group around what is refused; see `plan_blocks`."""
    pieces = (piece for point in placed for piece in point.blocks)
    blocks = plan_blocks(pieces, gap_max=gap_max, words_max=words_max, barriers=barriers, refused=refused)
    return PollGroup(layout, placed, blocks, [(_located(point, blocks), point) for point in placed])


def decode_any(placed: PlacedPoint, answers: Answers) -> PointReading:
    """One point out of whichever blocks were answered; missing where it, or its scale factor, is in none."""
    located = _located(placed, answers)
    if located is None:
        return PointReading(placed, None, None)
    return decode_point(located, answers.get(located.block), answers)


def _located(placed: PlacedPoint, blocks: Collection[Block]) -> LocatedPoint | None:
    try:
        return locate(placed, list(blocks))
    except LookupError:
        return None
