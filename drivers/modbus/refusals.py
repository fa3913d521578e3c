"""What a device refuses to have read, found once by halving, and remembered."""

from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from typing import Protocol

from drivers.modbus.planner import Block, split
from drivers.modbus.requests import Reply

REFUSED = (2, 3)  # the exceptions that speak of an address or a count
ASKS_MAX = 24  # of one poll: the neighbours on the bus want to be polled too; the next poll goes on
RECHECK_S = 60.0  # what was refused may have been so for a while only: tried again after this, later more rarely
RECHECK_MAX_S = 3600.0


class Memory(Protocol):
    """Keeps what was learnt beyond a restart. `plan` is a digest of what the profile wants."""

    async def refused(self, device: str, plan: str) -> list[tuple[str, int, int]]:
        """(table, address, count) of each range."""
        ...

    async def remember_refused(self, device: str, plan: str, ranges: list[tuple[str, int, int]]) -> None: ...


class NoMemory:
    """Forgets; for reading a device once."""

    async def refused(self, device: str, plan: str) -> list[tuple[str, int, int]]:
        return []

    async def remember_refused(self, device: str, plan: str, ranges: list[tuple[str, int, int]]) -> None:
        return None


Ask = Callable[[Block], Awaitable[Reply]]


@dataclass(slots=True)
class Allowance:
    """How many questions may still be asked."""

    left: int = ASKS_MAX


async def halve(
    block: Block, pieces: Iterable[Block], code: int, ask: Ask, allowance: Allowance | None = None
) -> tuple[dict[Block, bytes], dict[Block, int]]:
    """Ask the halves of a refused block, and theirs, until it is clear what is refused.

    Returns the words of what was answered, and the exception by range: pieces that are refused
    themselves, and holes between pieces that are only refused together. What was not reached within
    the allowance is in neither.
    """
    answered: dict[Block, bytes] = {}
    refused: dict[Block, int] = {}
    allowance = allowance or Allowance()

    async def search(part: Block, inside: Iterable[Block], code: int) -> bool | None:
        """Whether it is known what was to blame; None where the search was cut short."""
        halves = split(part, inside)
        if halves is None:
            refused[part] = code
            return True
        left, hole, right = halves
        explained: list[bool | None] = []
        for side in (left, right):
            if not allowance.left:
                return None
            allowance.left -= 1
            side_block = Block(part.table, side[0].address, max(piece.end for piece in side) - side[0].address)
            reply = await ask(side_block)
            if not reply.exception:
                answered[side_block] = reply.words
                explained.append(False)
            elif reply.exception in REFUSED:
                explained.append(await search(side_block, side, reply.exception))
            else:
                explained.append(None)  # busy or failing: that says nothing about its addresses
        if explained == [False, False]:  # each half can be read: what lies between them cannot
            refused[hole] = code
        return None if None in explained else True

    await search(block, list(pieces), code)
    return answered, refused
