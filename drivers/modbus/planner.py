"""From the registers that are wanted to the reads that fetch them, pure."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, order=True)
class Block:
    """`count` registers or bits of one table from `address` on; addresses are 0-based, as on the wire."""

    table: str
    address: int
    count: int

    @property
    def end(self) -> int:
        return self.address + self.count


def plan_blocks(wanted: Iterable[Block], *, gap_max: int, words_max: int, barriers: Sequence[int] = ()) -> list[Block]:
    """Merge neighbouring pieces of one table into reads, lowest address first.

    Neighbours merge when at most `gap_max` unwanted registers lie between them, the read stays
    within `words_max`, and no barrier lies in it behind its first register. Each piece must itself
    be at most `words_max` wide; the profile's check sees to it.
    """
    blocks: list[Block] = []
    for piece in sorted(set(wanted)):
        last = blocks[-1] if blocks else None
        if last is not None and last.table == piece.table:
            end = max(last.end, piece.end)
            near = piece.address - last.end <= gap_max and end - last.address <= words_max
            if near and not any(last.end <= barrier <= piece.address for barrier in barriers):
                blocks[-1] = Block(last.table, last.address, end - last.address)
                continue
        blocks.append(piece)
    return blocks
