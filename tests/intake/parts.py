"""A gateway's side of what devices send: real buffer, live view and intake, a clock that is set by hand."""

from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from drivers.intake import guard, shapes
from gateway.buffer.buffer import Buffer
from gateway.config import KeyConfig, PushDevice
from gateway.core import codec
from gateway.core.credential import digest
from gateway.core.model import Record
from gateway.core.pushed import PushAnswer
from gateway.core.span import Span
from gateway.core.status import DeviceState, SyncState
from gateway.intake import Intake
from gateway.live import Live
from gateway.site import RunningSite

NOW = 1_790_000_000_000
TOKEN = "a token of this test only"
METER = PushDevice(
    name="Mill meter", role="grid", token_sha256=digest(TOKEN), keys={"Psum": KeyConfig(key="active_power")}
)


class HandClock:
    """Meets `Clock`."""

    def __init__(self) -> None:
        self.now_ms = NOW
        self.now_s = 0.0

    def wall_ms(self) -> int:
        return self.now_ms

    def monotonic_s(self) -> float:
        return self.now_s

    def goes_on(self, seconds: float) -> None:
        self.now_ms += round(seconds * 1000)
        self.now_s += seconds


@dataclass
class Side:
    buffer: Buffer
    live: Live
    intake: Intake
    clock: HandClock

    async def push(self, body: str, device: str = METER.name) -> PushAnswer:
        return await self.intake.push(device, body.encode(), "")

    def state(self, device: str = METER.name) -> DeviceState:
        return next(state for state in self.live.devices() if state.name == device)

    async def kept(self) -> list[Record]:
        """What is on the disk, by seq."""
        _, packs = await self.buffer.read(Span(0, self.buffer.head), 100_000)
        return [record for pack in packs for record in codec.decode(pack)]

    async def values(self) -> list[tuple[int, dict[str, object]]]:
        """What is on the disk: times and values."""
        return [(record.ts, self.named(record)) for record in await self.kept()]

    def named(self, record: Record) -> dict[str, object]:
        layout = self.buffer.layouts[record.layout_id]
        return dict(zip((point.key for point in layout.points), layout.rows.unpack(record.row), strict=True))


@asynccontextmanager
async def side(folder: Path, devices: Iterable[PushDevice] = (METER,)) -> AsyncIterator[Side]:
    clock = HandClock()
    buffer = await Buffer.open(folder / "buffer.db")
    try:
        live = Live(clock)
        site = RunningSite("Mill", buffer, live, clock, lambda: SyncState(hub=""))
        intake = Intake(site, live, buffer, clock, shapes, guard, "UTC")
        for device in devices:
            intake.add(device)
        await intake.recall()
        yield Side(buffer, live, intake, clock)
    finally:
        await buffer.close()
