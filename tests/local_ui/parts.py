"""A site for the page's tests, which says what it is told to."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from zoneinfo import ZoneInfo

import msgspec

from gateway.core.errors import StorageError
from gateway.core.model import Quality, Reading
from gateway.core.status import (
    BufferState,
    BusState,
    ClockState,
    Contact,
    DeviceState,
    EnergyRow,
    History,
    HistoryRow,
    Resolution,
    SiteState,
    SyncState,
    ThinnedRange,
    UnitState,
)

NOW = 1_790_000_000_000


def watts(value: float | None) -> Reading:
    return Reading("active_power", value, "W", Quality.MISSING if value is None else Quality.GOOD, "power")


def device(name: str = "Meter", value: float | None = 1234.0) -> DeviceState:
    return DeviceState(name, "grid", "eastron-sdm630", "online", NOW, ts=NOW, readings=(watts(value),))


BUS = BusState(
    "cabinet", "ttyUSB0", "serial", 2, 1, 0, 7, 0.25,
    (UnitState(3, "Meter <3>", 1000, 990, 6, 3, 1, 2, {"2": 5}, 31.0, 48.5, 0.2, 0.01),),
    ("unit 9 never answered: check its power.",),
)  # fmt: skip


class FakeSite:
    """Meets `local_ui.site.Site`."""

    def __init__(self, *devices: DeviceState) -> None:
        self.devices = {one.name: one for one in devices}
        self.sync = SyncState("https://hub.example", connected=True)
        self.broken = False
        self.clock = ClockState(known=True, source="kernel")
        self.buffer = BufferState(1500, 2_500_000)
        self.ranges: list[ThinnedRange] = []
        self._changes: list[asyncio.Queue[DeviceState]] = []

    def change(self, changed: DeviceState) -> None:
        self.devices[changed.name] = changed
        for queue in self._changes:
            queue.put_nowait(changed)

    def state(self) -> SiteState:
        devices = tuple(self.devices.values())
        return SiteState("Mill", "0.0", NOW, devices, self.buffer, self.sync, (BUS,), self.clock)

    async def changes(self) -> AsyncIterator[SiteState]:
        queue: asyncio.Queue[DeviceState] = asyncio.Queue()
        self._changes.append(queue)
        yield self.state()
        while True:
            yield msgspec.structs.replace(self.state(), devices=(await queue.get(),))

    zone = ZoneInfo("Europe/Berlin")

    async def history(
        self, device: str, key: str, since_ms: int, until_ms: int, resolution: Resolution | None = None
    ) -> History:
        self._check(device, key)
        return History(resolution or "raw", (HistoryRow(until_ms - 1000, 1.5), HistoryRow(until_ms, None)))

    async def energy(self, device: str, key: str, bounds_ms: Sequence[int]) -> tuple[EnergyRow, ...]:
        self._check(device, key)
        return tuple(EnergyRow(ts, 1.5, 0.5) for ts in bounds_ms[:-1])

    def _check(self, device: str, key: str) -> None:
        if self.broken:
            raise StorageError("buffer.db: disk I/O error")
        if device not in self.devices or key != "active_power":
            raise KeyError(device)

    async def contacts(self, device: str) -> list[Contact]:
        if device not in self.devices:
            raise KeyError(device)
        return [Contact(NOW, device, "offline", "no answer", 31.0)]

    def thinned(self) -> list[ThinnedRange]:
        return self.ranges

    async def set_pace(self, commit_s: float | None) -> None:
        chosen = self.buffer.configured_s if commit_s is None else commit_s
        self.buffer = msgspec.structs.replace(self.buffer, commit_s=chosen)
