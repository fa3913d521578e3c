"""A Modbus device: a profile on a bus, read group by group."""

import asyncio
import contextlib
import hashlib
from collections.abc import Mapping
from typing import Protocol

from drivers.modbus.group import PollGroup, decode_any, poll_group
from drivers.modbus.planner import Block
from drivers.modbus.points import PlacedPoint, PointReading, place_points
from drivers.modbus.profile import Profile
from drivers.modbus.refusals import RECHECK_MAX_S, RECHECK_S, REFUSED, Allowance, Memory, NoMemory, halve
from drivers.modbus.requests import EXCEPTIONS, FUNCTIONS, Read, Reply, Request
from drivers.modbus.sunspec import place_models, walk
from gateway.core.clock import Clock
from gateway.core.errors import DeviceError, StorageError
from gateway.core.model import Layout, Raw, Record, Role

LIVE = "live"
GONE = 2  # failures in a row; then what was found of the device is found anew
DEAD_BEHIND_GATEWAY = (10, 11)  # the exceptions by which a gateway says that the device did not answer


class Link(Protocol):
    """The bus that the device is on."""

    name: str

    async def ask(self, request: Request, timeout_s: float, pause_s: float = 0) -> Reply: ...
    def wait_s(self, unit_id: int) -> float: ...


class Identities(Protocol):
    """Knows the site's devices by their serial numbers."""

    async def name_of(self, configured: str, serial: str) -> str:
        """Whose history the readings belong to that come from where `configured` is expected."""
        ...

    def role_of(self, owner: str) -> Role:
        """What that device is to the site."""
        ...

    def sure(self, configured: str) -> bool:
        """Whether it is still true what `name_of` said; else ask again."""
        ...


class ModbusDevice:
    """One device; the task that owns the bus calls `read` for each group when it is due.

    `gap` is how many unused registers are worth reading over on this bus, unless the profile says.
    """

    def __init__(
        self, name: str, profile_name: str, profile: Profile, link: Link, clock: Clock, *,
        role: Role | None = None, unit_id: int | None = None, poll_s: float = 5,
        gap: int | None = None, memory: Memory | None = None, identities: Identities | None = None,
    ) -> None:  # fmt: skip
        self.name = name
        self.profile_name = profile_name
        self.role: Role = role or profile.role
        self.intervals: Mapping[str, float] = {LIVE: poll_s} | {g: spec.every_s for g, spec in profile.groups.items()}
        self.unit_id = profile.link.unit_id if unit_id is None else unit_id
        self.profile = profile
        self._link = link
        self._clock = clock
        self._gap = gap if gap is not None and profile.link.gap_max is None else profile.link.gap
        self._memory = memory or NoMemory()
        self._identities = identities
        self._owner = ""  # whose history this is; empty until it is known who answers
        self._failures = 0  # in a row
        self._owner_planned = ""  # whose layouts `_groups` has
        self._points: tuple[PlacedPoint, ...] = ()
        self._groups: dict[str, PollGroup] = {}
        self._refused: dict[Block, int] = {}  # exception by range
        self._recheck_s = RECHECK_S
        self._recheck_at_s = 0.0

    async def read(self, group: str) -> tuple[Layout, Record] | None:
        """Read one group once; None where the device has no point in it.

        A block that the device refuses leaves its points missing and harms no other. Raises
        DeviceError where the device does not answer at all, or refuses all that is live.
        """
        try:
            plan = (await self._plan()).get(group)
            if plan is None:
                return None
            taken_at, readings = await self._read(plan)
        except DeviceError:
            self._owner = ""  # when it is back, another one may answer in its place
            self._failures += 1
            raise
        self._failures = 0
        return plan.layout, Record(plan.layout.id, taken_at, plan.layout.rows.pack([r.stored for r in readings]))

    def wait_s(self) -> float:
        """So long it should be left alone: a late answer of it may still be under way."""
        return self._link.wait_s(self.unit_id)

    async def read_points(self) -> list[PointReading]:
        """Read every point once, in the order of the profile's groups."""
        return [reading for plan in (await self._plan()).values() for reading in (await self._read(plan))[1]]

    @property
    def why_missing(self) -> Mapping[str, str]:
        """By point key: why it has no value, where the device refuses it."""
        if not self._refused:
            return {}
        return {
            placed.point.key: f"the device refuses {block.table} {block.address}: {EXCEPTIONS.get(code, code)}"
            for placed in self._points
            for block in placed.blocks
            if (code := self._refused.get(block)) is not None
        }

    async def _read(self, plan: PollGroup) -> tuple[int, list[PointReading]]:
        taken_at, replies = await self._replies(plan.blocks)
        answers = {block: reply.words for block, reply in replies.items() if not reply.exception}
        refused = {block: reply.exception for block, reply in replies.items() if reply.exception in REFUSED}
        if refused:
            await self._learn(plan, refused, answers)
        if not answers and plan.layout.group == LIVE:
            raise self._refusal(replies)
        # After a refusal the next poll is planned anew; this one decodes what was answered.
        return taken_at, plan.decode_any(answers) if refused else plan.decode(answers)

    async def _replies(self, blocks: list[Block]) -> tuple[int, dict[Block, Reply]]:
        """When the first answer came, and all answers; several reads at a time where the device can.

        What was read before a device fell silent is kept; the next poll finds out whether it is gone.
        Raises DeviceError where nothing was answered.
        """
        if self.profile.link.in_flight > 1:
            return await self._replies_together(blocks)
        replies: dict[Block, Reply] = {}
        taken_at = self._clock.wall_ms()
        for block in blocks:
            try:
                replies[block] = await self._ask(block)
            except DeviceError:
                if not replies:
                    raise
                break
            if len(replies) == 1:
                taken_at = self._clock.wall_ms()
        return taken_at, replies

    async def _replies_together(self, blocks: list[Block]) -> tuple[int, dict[Block, Reply]]:
        outcomes = await asyncio.gather(*map(self._ask, blocks), return_exceptions=True)
        replies: dict[Block, Reply] = {}
        silent: DeviceError | None = None
        for block, outcome in zip(blocks, outcomes, strict=True):
            if isinstance(outcome, DeviceError):
                silent = outcome
            elif isinstance(outcome, BaseException):
                raise outcome
            else:
                replies[block] = outcome
        if not replies and silent is not None:
            raise silent
        return self._clock.wall_ms(), replies

    async def _ask(self, block: Block) -> Reply:
        link = self.profile.link
        request = Read(self.unit_id, FUNCTIONS[block.table], block.address, block.count)
        reply = await self._link.ask(request, link.timeout_s, link.pause_ms / 1000)
        if reply.exception in DEAD_BEHIND_GATEWAY:
            raise DeviceError(f"{self._where}: {EXCEPTIONS[reply.exception]}", hint="check its power and wiring")
        return reply

    async def _learn(self, plan: PollGroup, refused: Mapping[Block, int], answers: dict[Block, bytes]) -> None:
        """Find what exactly is refused, remember it, and plan anew; what is answered meanwhile joins `answers`.

        Each block gets a second chance first, and a device that refuses everything teaches nothing:
        it may only be starting.
        """
        pieces = {piece for placed in plan.placed for piece in placed.blocks}
        found: dict[Block, int] = {}
        allowance = Allowance()
        try:
            for block, code in refused.items():
                again = await self._ask(block)
                if not again.exception:
                    answers[block] = again.words
                elif again.exception in REFUSED:
                    answered, ranges = await halve(block, pieces, code, self._ask, allowance)
                    answers |= answered
                    found |= ranges
        except DeviceError:
            pass  # it fell silent; the next poll searches on
        if not found or (not answers and plan.layout.group == LIVE):
            return
        self._refused |= found
        self._groups = self._planned()
        await self._remember()

    async def _remember(self) -> None:
        known = sorted((block.table, block.address, block.count) for block in self._refused)
        with contextlib.suppress(StorageError):  # then it is learnt once more after a restart
            await self._memory.remember_refused(self.name, self._wanted, known)

    async def _plan(self) -> dict[str, PollGroup]:
        """The groups with their points; a SunSpec device is asked for its models the first time."""
        now_s = self._clock.monotonic_s()
        if not self._owner or (self._identities is not None and not self._identities.sure(self.name)):
            await self._identify()
        if not self._points:
            self._points = await self._place()
        if not self._groups:
            remembered: list[tuple[str, int, int]] = []
            with contextlib.suppress(StorageError):  # then it is learnt once more
                remembered = await self._memory.refused(self.name, self._wanted)
            self._refused = {Block(table, address, count): 2 for table, address, count in remembered}
            self._recheck_at_s = now_s + self._recheck_s
            self._groups = self._planned()
        if self._refused and (now_s >= self._recheck_at_s or (LIVE in self._groups and not self._groups[LIVE].blocks)):
            self._refused = {}
            await self._remember()
            self._recheck_s = min(10 * self._recheck_s, RECHECK_MAX_S)
            self._recheck_at_s = now_s + self._recheck_s
            self._groups = self._planned()
        return self._groups

    async def _place(self) -> tuple[PlacedPoint, ...]:
        points = place_points(self.profile)
        if self.profile.sunspec is not None:
            points = place_models(self.profile.sunspec, await walk(self._words, self.profile.sunspec))
        if not points:
            raise DeviceError(f"{self._where}: none of its SunSpec models is known", hint="use another profile")
        return points

    async def _identify(self) -> None:
        """Find out who answers, by the serial number where the profile has one.

        A device that does not give it is who it was, or should be. Raises DeviceError where it
        cannot say now.
        """
        if self._failures >= GONE and self.profile.sunspec is not None:
            points = await self._place()  # it was away: another one, or with other models, may be back
            if points != self._points:
                self._points, self._groups = points, {}
        owner = self._owner_planned or self.name
        if self._identities is not None and self.profile.serial:
            self._points = self._points or await self._place()
            placed = next((point for point in self._points if point.point.key == self.profile.serial), None)
            serial = None if placed is None else await self._read_one(placed)
            if serial is not None:
                owner = await self._identities.name_of(self.name, str(serial))
        if owner != self._owner_planned:
            self._groups = {}
        self._owner = self._owner_planned = owner

    async def _read_one(self, placed: PlacedPoint) -> Raw | None:
        reply = await self._ask(placed.block)
        if reply.exception and reply.exception not in (1, *REFUSED):
            raise self._refusal({placed.block: reply})
        answers = {} if reply.exception else {placed.block: reply.words}
        return decode_any(placed, answers).stored

    async def _words(self, address: int, count: int) -> bytes | None:
        """Of a SunSpec chain; None where there is nothing. Raises DeviceError where the device cannot say now."""
        reply = await self._ask(Block("holding", address, count))
        if reply.exception and reply.exception not in REFUSED:
            raise self._refusal({Block("holding", address, count): reply})
        return None if reply.exception else reply.words

    @property
    def _wanted(self) -> str:
        """A digest of all that is read: what was learnt under another plan says nothing."""
        pieces = sorted({piece for placed in self._points for piece in placed.blocks})
        return hashlib.sha256(repr(pieces).encode()).hexdigest()[:16]

    def _planned(self) -> dict[str, PollGroup]:
        return {
            name: self._group(name, placed)
            for name in self.intervals
            if (placed := tuple(p for p in self._points if p.group == name))
        }

    def _group(self, name: str, placed: tuple[PlacedPoint, ...]) -> PollGroup:
        role = self.role
        if self._identities is not None and self._owner != self.name:  # another device's, at this one's place
            role = self._identities.role_of(self._owner)
        layout = Layout(self._owner, name, tuple(point.point for point in placed), self.profile_name, role)
        link = self.profile.link
        return poll_group(
            layout, placed, gap_max=self._gap, words_max=link.words_max,
            barriers=self.profile.barriers, refused=self._refused,
        )  # fmt: skip

    def _refusal(self, replies: Mapping[Block, Reply]) -> DeviceError:
        said = "; ".join(
            f"{block.table} {block.address}-{block.end - 1}: {EXCEPTIONS.get(reply.exception, reply.exception)}"
            for block, reply in replies.items()
        )
        if any(reply.exception in REFUSED for reply in replies.values()) or not replies:
            said = said or ", ".join(f"{block.table} {block.address}" for block in self._refused)
            return DeviceError(f"{self._where} refuses all that is live: {said}", hint="check that the profile fits")
        return DeviceError(f"{self._where} refuses: {said}", hint="it is asked again at the next poll")

    @property
    def _where(self) -> str:
        return f"{self._link.name} unit {self.unit_id}"
