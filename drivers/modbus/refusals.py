"""What a device refuses to have read, found once by halving, and remembered."""

from collections.abc import Awaitable, Callable, Iterable
from typing import Protocol

from drivers.modbus.planner import Block, split
from drivers.modbus.requests import Reply

REFUSED = (2, 3)  # the exceptions that speak of an address or a count
ASKS_MAX = 24  # of one search: the neighbours on the bus want to be polled too; the next poll goes on
RECHECK_S = 3600  # what was refused may have been so for a while only


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


async def halve(
    block: Block, pieces: Iterable[Block], code: int, ask: Ask, asks_max: int = ASKS_MAX
) -> tuple[dict[Block, bytes], dict[Block, int]]:
    """Ask the halves of a refused block, and theirs, until it is clear what is refused.

    Returns the words of what was answered, and the exception by range: pieces that are refused
    themselves, and holes between pieces that are only refused together. What was not reached within
    `asks_max` questions is in neither.
    """
    answered: dict[Block, bytes] = {}
    refused: dict[Block, int] = {}
    asked = 0

    async def search(part: Block, inside: Iterable[Block], code: int) -> bool | None:
        """Whether a piece itself was to blame; None where the search was cut short."""
        nonlocal asked
        halves = split(part, inside)
        if halves is None:
            refused[part] = code
            return True
        left, hole, right = halves
        blamed: list[bool | None] = []
        for side in (left, right):
            asked += 1
            if asked > asks_max:
                return None
            side_block = Block(part.table, side[0].address, max(piece.end for piece in side) - side[0].address)
            reply = await ask(side_block)
            if not reply.exception:
                answered[side_block] = reply.words
                blamed.append(False)
            elif reply.exception in REFUSED:
                blamed.append(await search(side_block, side, reply.exception))
            else:
                blamed.append(None)  # busy or failing: that says nothing about its addresses
        if blamed == [False, False]:
            refused[hole] = code
        return None if None in blamed else any(blamed)

    await search(block, list(pieces), code)
    return answered, refused
