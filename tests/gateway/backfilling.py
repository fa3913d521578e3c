"""A backfill over real sockets into a real buffer, with a clock that is moved by hand."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from zoneinfo import ZoneInfo

from drivers.bus.channel import TcpChannel
from drivers.intake.guard import retimed
from drivers.modbus.acuvim_log import AcuvimLog
from drivers.modbus.planner import Block
from drivers.modbus.points import PlacedPoint
from drivers.modbus.tcp import TcpLink
from gateway.backfill import Backfill, Places, Sink
from gateway.core.model import Layout, Point

CAPE = ZoneInfo("Africa/Johannesburg")
BEGUN_S = 1_764_950_640
KEYS = ("imported", "exported", "q_imported", "q_exported")


class HandClock:
    """Wall time is long after all records; monotonic time stands until it is moved."""

    def __init__(self) -> None:
        self.now_ms = (BEGUN_S + 10**8) * 1000
        self.now_s = 1000.0
        self.known = True

    def wall_ms(self) -> int:
        return self.now_ms

    def monotonic_s(self) -> float:
        return self.now_s


@dataclass
class Taking:
    """A backfill and what it tells."""

    backfill: Backfill
    clock: HandClock
    layout: Layout
    events: list[str] = field(default_factory=list)

    async def drain(self) -> int:
        """Step until there is nothing more to do at once; how many steps it took."""
        for steps in range(20_000):
            if not await self.backfill.step():
                return steps
        raise AssertionError("it does not end")


@asynccontextmanager
async def backfill_over(port: int, sink: Sink, places: Places, timeout_s: float = 0.2) -> AsyncIterator[Taking]:
    link = TcpLink(TcpChannel("127.0.0.1", port))
    points = [
        PlacedPoint(Point(key, "u32", unit="kWh", scale="0.1"), Block("holding", 2 * at, 2), "u32")
        for at, key in enumerate(KEYS)
    ]
    log = AcuvimLog("meter", points, link, zone=CAPE, timeout_s=timeout_s, pause_s=0)
    clock, events = HandClock(), list[str]()

    def tell(kind: str, device: str, detail: str) -> None:
        events.append(f"{kind} {device}: {detail}")

    backfill = Backfill(log, sink, places, clock, retimed, tell, time_known=lambda: clock.known)
    yield Taking(backfill, clock, log.layout, events)
    await link.close()
