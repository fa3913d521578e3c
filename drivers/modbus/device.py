"""A Modbus device: a profile on a bus, read group by group."""

from collections.abc import Mapping
from typing import Protocol

from drivers.modbus.planner import Block, plan_blocks
from drivers.modbus.points import LocatedPoint, PlacedPoint, PointReading, decode_point, locate, place_points
from drivers.modbus.profile import Profile
from drivers.modbus.requests import EXCEPTIONS, FUNCTIONS, Read, Reply
from drivers.modbus.sunspec import place_models, walk
from gateway.core.clock import Clock
from gateway.core.errors import DeviceError
from gateway.core.model import Layout, Record, Role

LIVE = "live"
DEAD_BEHIND_GATEWAY = (10, 11)  # the exceptions by which a gateway says that the device did not answer


class Link(Protocol):
    """The bus that the device is on."""

    name: str

    async def ask(self, request: Read, timeout_s: float) -> Reply: ...


class ModbusDevice:
    """One device; the task that owns the bus calls `read` for each group when it is due."""

    def __init__(
        self, name: str, profile_name: str, profile: Profile, link: Link, clock: Clock, *,
        role: Role | None = None, unit_id: int | None = None, poll_s: float = 5,
    ) -> None:  # fmt: skip
        self.name = name
        self.profile_name = profile_name
        self.role: Role = role or profile.role
        self.intervals: Mapping[str, float] = {LIVE: poll_s} | {g: spec.every_s for g, spec in profile.groups.items()}
        self._profile = profile
        self._link = link
        self._clock = clock
        self._unit_id = profile.link.unit_id if unit_id is None else unit_id
        self._groups: dict[str, _Group] = {}

    async def read(self, group: str) -> tuple[Layout, Record] | None:
        """Read one group once; None where the device has no point in it.

        A block that the device refuses leaves its points missing and harms no other. Raises
        DeviceError where the device does not answer at all, or refuses all that is live.
        """
        plan = (await self._plan()).get(group)
        if plan is None:
            return None
        taken_at, readings = await self._read(plan)
        return plan.layout, Record(plan.layout.id, taken_at, plan.layout.rows.pack([r.stored for r in readings]))

    async def read_points(self) -> list[PointReading]:
        """Read every point once, in the order of the profile's groups."""
        return [reading for plan in (await self._plan()).values() for reading in (await self._read(plan))[1]]

    async def _read(self, plan: "_Group") -> tuple[int, list[PointReading]]:
        answers: dict[Block, bytes] = {}
        taken_at = 0
        for block in plan.blocks:
            try:
                words = await self._words(block)
            except DeviceError:
                if not answers:
                    raise
                break  # what was read is kept; the next poll finds out whether the device is gone
            taken_at = taken_at or self._clock.wall_ms()
            if words is not None:
                answers[block] = words
        if not answers and plan.layout.group == LIVE:
            where = ", ".join(f"{block.table} {block.address}-{block.end - 1}" for block in plan.blocks)
            raise DeviceError(f"{self._where} refuses {where}", hint="check that the profile fits the model")
        return taken_at, [decode_point(point, answers) for point in plan.points]

    async def _words(self, block: Block) -> bytes | None:
        """The block's words; None where the device refuses it."""
        request = Read(self._unit_id, FUNCTIONS[block.table], block.address, block.count)
        reply = await self._link.ask(request, self._profile.link.timeout_s)
        if reply.exception in DEAD_BEHIND_GATEWAY:
            raise DeviceError(f"{self._where}: {EXCEPTIONS[reply.exception]}", hint="check its power and wiring")
        return None if reply.exception else reply.words

    async def _plan(self) -> dict[str, "_Group"]:
        """The groups with their points; a SunSpec device is asked for its models the first time."""
        if not self._groups:
            points = place_points(self._profile)
            if self._profile.sunspec is not None:
                found = await walk(
                    lambda address, count: self._words(Block("holding", address, count)), self._profile.sunspec
                )
                points = place_models(self._profile.sunspec, found)
            if not points:
                raise DeviceError(f"{self._where}: none of its SunSpec models is known", hint="use another profile")
            self._groups = {
                name: self._group(name, points) for name in self.intervals if any(p.group == name for p in points)
            }
        return self._groups

    def _group(self, name: str, points: tuple[PlacedPoint, ...]) -> "_Group":
        mine = [placed for placed in points if placed.group == name]
        link = self._profile.link
        blocks = plan_blocks(
            (piece for placed in mine for piece in placed.blocks),
            gap_max=link.gap, words_max=link.words_max, barriers=self._profile.barriers,
        )  # fmt: skip
        layout = Layout(self.name, name, tuple(placed.point for placed in mine), self.profile_name, self.role)
        return _Group(layout, [locate(placed, blocks) for placed in mine], blocks)

    @property
    def _where(self) -> str:
        return f"{self._link.name} unit {self._unit_id}"


class _Group:
    """One poll group: its layout, its points and the reads that fetch them."""

    def __init__(self, layout: Layout, points: list[LocatedPoint], blocks: list[Block]) -> None:
        self.layout = layout
        self.points = points
        self.blocks = blocks
