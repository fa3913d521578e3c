"""Registers side by side in every type, for an installer who looks for the value on the device's display."""

import math
import struct
from collections.abc import Iterator
from dataclasses import dataclass

from drivers.modbus.device import Link
from drivers.modbus.planner import Block, plan_blocks
from drivers.modbus.refusals import REFUSED, Allowance, halve
from drivers.modbus.requests import EXCEPTIONS, FUNCTIONS, Read, Reply
from gateway.core.errors import DeviceError

Value = int | float | str | None
WORDS_MAX = 125
ASKS_MAX = 300  # a person waits, and every register may need a question of its own
SCALES = (1, 10, 100, 1000, 0.001)  # the last: a number in kW where the display says W
NEAR = 0.01  # a display and a register are not read at the same moment
TYPES = (
    "u16", "i16", "u32", "u32 little", "i32", "i32 little", "f32", "f32 little", "f32 swapped", "text",
)  # fmt: skip
_ONE = {"u16": ">H", "i16": ">h"}
_TWO = {"u32": ">I", "i32": ">i", "f32": ">f"}


@dataclass(frozen=True, slots=True)
class Row:
    """One register, read as each of TYPES; those of two registers begin at it. `like`: the types that are near."""

    register: int
    word: int
    values: dict[str, Value]
    like: tuple[str, ...] = ()


def rows(words: dict[int, int], like: float | None = None) -> Iterator[Row]:
    """Register by register; `little` has the low word first, `swapped` the two bytes of each word."""
    for register in sorted(words):
        values = read_as(words[register], words.get(register + 1))
        near = () if like is None else tuple(t for t, value in values.items() if is_near(value, like))
        yield Row(register, words[register], values, near)


def read_as(first: int, second: int | None) -> dict[str, Value]:
    """A register, and with the next one (None: it is refused), as each of TYPES; None where it is no number."""
    one = first.to_bytes(2)
    values: dict[str, Value] = {name: struct.unpack(code, one)[0] for name, code in _ONE.items()}
    if second is not None:
        two = second.to_bytes(2)
        orders = {"": one + two, " little": two + one, " swapped": one[::-1] + two[::-1]}
        for name, code in _TWO.items():
            for order, data in orders.items():
                if name + order in TYPES:
                    values[name + order] = _number(struct.unpack(code, data)[0])
    values["text"] = "".join(chr(byte) if 32 <= byte < 127 else "." for byte in one)
    return {name: values.get(name) for name in TYPES}


def _number(number: int | float) -> int | float | None:
    return None if isinstance(number, float) and not math.isfinite(number) else number


def is_near(value: Value, like: float) -> bool:
    """Whether it is about what the display shows, at one of SCALES; the sign does not count."""
    if value is None or isinstance(value, str) or (value == 0) != (like == 0):
        return False
    return any(math.isclose(abs(value) / scale, abs(like), rel_tol=NEAR) for scale in SCALES)


class Explorer:
    """Reads one range of a unit's registers again and again; what was refused once is not asked again."""

    def __init__(self, link: Link, unit_id: int, wanted: Block, *, timeout_s: float = 2) -> None:
        self.refused: dict[Block, int] = {}  # exception by range
        self._link = link
        self._unit_id = unit_id
        self._pieces = [Block(wanted.table, address, 1) for address in range(wanted.address, wanted.end)]
        self._timeout_s = timeout_s

    async def read(self) -> dict[int, int]:
        """The words by register. Raises DeviceError where the device does not answer, or never reads this table."""
        words: dict[int, int] = {}
        for block in plan_blocks(self._pieces, gap_max=0, words_max=WORDS_MAX, refused=self.refused):
            reply = await self._ask(block)
            if reply.exception in REFUSED:
                pieces = [piece for piece in self._pieces if block.address <= piece.address < block.end]
                answered, refused = await halve(block, pieces, reply.exception, self._ask, Allowance(ASKS_MAX))
                self.refused |= refused
                for part, data in answered.items():
                    words |= _unpacked(part, data)
            elif reply.exception:
                raise DeviceError(
                    f"{self._link.name} unit {self._unit_id}, {block.table} {block.address}:"
                    f" {EXCEPTIONS.get(reply.exception, f'exception {reply.exception}')}",
                    hint="try another table or unit",
                )
            else:
                words |= _unpacked(block, reply.words)
        return words

    async def _ask(self, block: Block) -> Reply:
        request = Read(self._unit_id, FUNCTIONS[block.table], block.address, block.count)
        return await self._link.ask(request, self._timeout_s)


def _unpacked(block: Block, data: bytes) -> dict[int, int]:
    return {block.address + at // 2: int.from_bytes(data[at : at + 2]) for at in range(0, len(data), 2)}


def merged(refused: dict[Block, int]) -> list[tuple[Block, int]]:
    """Refused ranges as few as possible, with their exception; holes of no width are left out."""
    found: list[tuple[Block, int]] = []
    for block, code in sorted(refused.items()):
        if found and found[-1][0].end == block.address and found[-1][1] == code:
            last = found[-1][0]
            found[-1] = Block(last.table, last.address, last.count + block.count), code
        elif block.count:
            found.append((block, code))
    return found
