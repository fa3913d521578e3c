"""From the registers that are wanted to the reads that fetch them, pure."""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

REQUEST_CHARACTERS = 13  # of a read beside its data: request 8, reply 5


@dataclass(frozen=True, slots=True, order=True)
class Block:
    """`count` registers or bits of one table from `address` on; addresses are 0-based, as on the wire."""

    table: str
    address: int
    count: int

    @property
    def end(self) -> int:
        return self.address + self.count


def plan_blocks(
    wanted: Iterable[Block],
    *,
    gap_max: int,
    words_max: int,
    barriers: Sequence[int] = (),
    refused: Collection[Block] = (),
) -> list[Block]:
    """Merge neighbouring pieces of one table into reads, lowest address first.

    Neighbours merge when at most `gap_max` unwanted registers lie between them, the read stays
    within `words_max`, and neither a barrier nor a refused range lies between them. A piece that is
    itself refused is left out. Each piece must be at most `words_max` wide; the profile's check
    sees to it.
    """
    blocks: list[Block] = []
    for piece in sorted(set(wanted) - set(refused)):
        last = blocks[-1] if blocks else None
        if last is not None and last.table == piece.table:
            end = max(last.end, piece.end)
            near = piece.address - last.end <= gap_max and end - last.address <= words_max
            barred = any(last.end <= barrier <= piece.address for barrier in barriers) or any(
                hole.table == piece.table and last.end <= hole.address and hole.end <= piece.address for hole in refused
            )
            if near and not barred:
                blocks[-1] = Block(last.table, last.address, end - last.address)
                continue
        blocks.append(piece)
    return blocks


def gap_worth(character_s: float, silence_s: float, latency_s: float) -> int:
    """How many unused registers cost less than another request, on a serial line.

    A request costs 13 characters, two silences and the device's latency; a register 2 characters.
    """
    cost_s = REQUEST_CHARACTERS * character_s + 2 * silence_s + latency_s
    return int(cost_s / (2 * character_s))


def split(block: Block, pieces: Iterable[Block]) -> tuple[list[Block], Block, list[Block]] | None:
    """The pieces of a refused block in two halves, and the hole between them; None for a single piece.

    The cut is at the widest gap, at the middlemost of those that are equally wide; pieces that
    overlap stay together. A hole of no width says that its two sides may not be read in one.
    """
    inside = sorted({piece for piece in pieces if block.address <= piece.address and piece.end <= block.end
                     and piece.table == block.table})  # fmt: skip
    cuts: list[tuple[int, int, int]] = []
    end = block.address
    for index, piece in enumerate(inside):
        if index and piece.address >= end:
            cuts.append((piece.address - end, -abs(2 * index - len(inside)), index))
        end = max(end, piece.end)
    if not cuts:
        return None
    _, _, index = max(cuts)
    left, right = inside[:index], inside[index:]
    hole_at = max(piece.end for piece in left)
    return left, Block(block.table, hole_at, right[0].address - hole_at), right
