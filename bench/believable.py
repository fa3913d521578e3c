"""Measurements as a site's meters and inverters give them: registers at their own width, most of them slow."""

from random import Random

from bench.work import DEVICES, POLL_S
from gateway.core.model import Layout, Point, Record

START_MS = 1_790_000_000_000
POINTS = (
    *(Point(f"voltage_{phase}", "u16", unit="V", scale="0.1") for phase in (1, 2, 3)),
    *(Point(f"current_{phase}", "u16", unit="A", scale="0.01") for phase in (1, 2, 3)),
    *(Point(f"power_{phase}", "i32", unit="W") for phase in (1, 2, 3)),
    Point("power", "i32", unit="W"),
    *(Point(f"reactive_{phase}", "i32", unit="var") for phase in (1, 2, 3)),
    Point("frequency", "u16", unit="Hz", scale="0.01"),
    *(Point(f"temperature_{place}", "i16", unit="°C", scale="0.1") for place in range(3)),
    *(Point(f"energy_{way}", "u32", unit="Wh", kind="counter") for way in range(8)),
    *(Point(f"state_{place}", "u16", kind="enum") for place in range(4)),
    *(Point(f"setting_{place}", "u16") for place in range(11)),
)
LAYOUTS = [Layout(f"device {number}", "live", POINTS) for number in range(DEVICES)]
BY_ID = {layout.id: layout for layout in LAYOUTS}


class Device:
    """A three-phase meter on a load that wanders."""

    def __init__(self, random: Random) -> None:
        self._random = random
        self._watts = [random.uniform(200, 3000) for _ in range(3)]
        self._volts = [random.gauss(231, 2) for _ in range(3)]
        self._warm = [random.uniform(15, 45) for _ in range(3)]
        self._wh = [random.uniform(1e5, 1e7) for _ in range(8)]

    def values(self) -> list[int | float | str | None]:
        draw, phases = self._random, range(3)
        self._watts = [max(20.0, watts + draw.gauss(0, 4)) for watts in self._watts]
        self._volts = [volts + draw.gauss(0, 0.05) + (231 - volts) / 500 for volts in self._volts]
        self._warm = [warm + draw.gauss(0, 0.005) for warm in self._warm]
        watts = [sum(self._watts), *self._watts]
        self._wh[:4] = [wh + power * POLL_S / 3600 for wh, power in zip(self._wh, watts, strict=False)]
        return [
            *(round(10 * volts) for volts in self._volts),
            *(round(100 * self._watts[phase] / self._volts[phase]) for phase in phases),
            *map(round, self._watts), round(sum(self._watts)), *(round(watts / 5) for watts in self._watts),
            round(5000 + draw.gauss(0, 1)), *(round(10 * warm) for warm in self._warm), *map(int, self._wh),
            3, 0, 1, 0, *range(100, 111),
        ]  # fmt: skip


class Believable:
    """Ticks of all devices, one after the other; the same for the same seed."""

    def __init__(self, seed: int = 1) -> None:
        self._random = Random(seed)
        self._devices = [Device(self._random) for _ in LAYOUTS]
        self._at_ms = START_MS

    def tick(self) -> list[Record]:
        """One record of each device, a few milliseconds apart."""
        self._at_ms += round(1000 * POLL_S)
        return [
            Record(layout.id, self._at_ms + self._random.randrange(4), layout.rows.pack(device.values()))
            for layout, device in zip(LAYOUTS, self._devices, strict=True)
        ]
