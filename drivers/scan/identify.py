"""Saying what a device is: by the marks that profiles name, by SunSpec's common model, by its own identification."""

from collections.abc import Mapping

from drivers.modbus.codec import decoder
from drivers.modbus.device import Link
from drivers.modbus.planner import Block
from drivers.modbus.points import place_points
from drivers.modbus.profile import Profile
from drivers.modbus.requests import FUNCTIONS, Identify, Read, identification
from drivers.modbus.sunspec import MARK
from drivers.scan.found import Identity
from gateway.core.errors import DeviceError

SILENT_MAX = 3  # questions in a row without an answer, then the unit is left alone
COMMON = 1  # SunSpec's model that says who the device is: offsets from its ID
MAKE_AT, MODEL_AT, SERIAL_AT, TEXT_WORDS = 2, 18, 50, 16


async def identify(link: Link, unit_id: int, profiles: Mapping[str, Profile], *, timeout_s: float) -> Identity:
    """What the unit is: of the profiles that fit, the one with the most telling marks. Silence raises nothing."""
    registers = Registers(link, unit_id, timeout_s)
    fitting = []
    for name in sorted(profiles, key=lambda name: -_telling(profiles[name])):
        if (chain := await _fits(registers, profiles[name])) is not None:
            fitting.append((name, chain))
    if not fitting:
        return await _by_itself(registers)
    (name, chain), others = fitting[0], tuple(name for name, _ in fitting[1:])
    if profiles[name].sunspec is not None:
        return await _by_sunspec(registers, name, chain, others)
    return await _by_profile(registers, name, profiles[name], others)


def _telling(profile: Profile) -> int:
    """A text says more of who a device is than one number of a few, and that more than one within a range."""
    return sum(8 if mark.matches is not None else 2 if mark.values else 1 for mark in profile.identify)


class Registers:
    """What one unit holds; each block is asked for once, and a unit that has fallen silent no more."""

    def __init__(self, link: Link, unit_id: int, timeout_s: float) -> None:
        self._link = link
        self._unit_id = unit_id
        self._timeout_s = timeout_s
        self._known: dict[Block, bytes | None] = {}
        self._silent = 0

    async def words(self, block: Block) -> bytes | None:
        """None where it refuses, or does not answer."""
        if block not in self._known and self._silent < SILENT_MAX:
            request = Read(self._unit_id, FUNCTIONS[block.table], block.address, block.count)
            try:
                reply = await self._link.ask(request, self._timeout_s)
            except DeviceError:
                self._silent += 1
                self._known[block] = None
            else:
                self._silent = 0
                self._known[block] = None if reply.exception else reply.words
        return self._known.get(block)

    async def text(self, address: int, words: int = TEXT_WORDS) -> str:
        answer = await self.words(Block("holding", address, words))
        return str(decoder("text", words, "big")(answer, 0) or "") if answer else ""

    async def own_words(self) -> dict[int, str]:
        """The objects of function 43/14 by number: vendor, product, revision."""
        try:
            reply = await self._link.ask(Identify(self._unit_id), self._timeout_s)
        except DeviceError:
            return {}
        return {} if reply.exception else identification(reply)[0]


async def _fits(registers: Registers, profile: Profile) -> int | None:
    """Where SunSpec's chain begins, of another profile 0; None where a mark does not hold, or none is named."""
    begin = 0
    if profile.sunspec is not None:
        bases = [base for base in profile.sunspec.bases if await registers.words(Block("holding", base, 2)) == MARK]
        if not bases:
            return None
        begin = bases[0]
    elif not profile.identify:
        return None
    moved = begin - profile.sunspec.bases[0] if profile.sunspec is not None else 0  # its marks are those of its first
    for mark in profile.identify:
        block = mark.block(profile.table)
        words = await registers.words(Block(block.table, block.address + moved, block.count))
        if words is None or not mark.holds(words, profile.order):
            return None
    return begin


async def _by_profile(registers: Registers, name: str, profile: Profile, others: tuple[str, ...]) -> Identity:
    said = {}
    for placed in place_points(profile):
        key = placed.point.key
        if key in ("model", profile.serial) and (words := await registers.words(placed.block)):
            said[key] = str(decoder(placed.type, placed.block.count, placed.order)(words, 0) or "")
    return Identity(name, profile.make, said.get("model") or profile.model, said.get(profile.serial, ""), others)


async def _by_sunspec(registers: Registers, name: str, begin: int, others: tuple[str, ...]) -> Identity:
    at = begin + len(MARK) // 2
    head = await registers.words(Block("holding", at, 2))
    if head is None or int.from_bytes(head[:2]) != COMMON:
        return Identity(name, "SunSpec", others=others)
    make, model = await registers.text(at + MAKE_AT), await registers.text(at + MODEL_AT)
    return Identity(name, make, model, await registers.text(at + SERIAL_AT), others)


async def _by_itself(registers: Registers) -> Identity:
    objects = await registers.own_words()
    return Identity("", objects.get(0, ""), objects.get(1, ""))
