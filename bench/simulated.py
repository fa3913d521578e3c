"""The reference work from the project's own simulator: the same registers as the farm, dearer to serve."""

import argparse
import asyncio
import struct

from bench.work import DEVICES
from drivers.modbus.registers import Table
from drivers.simulator.farm import Farm, SimulatedBus, SimulatedDevice

POINTS_ALL = 125  # that a device has, as the farm's
CLOCK_MS = 1 << 24  # point 0 counts modulo this; float32 holds every number below
WAVE = 4000  # steps of 0.1 s up and down again
FORMAT = struct.Struct(f">{POINTS_ALL}f")
WORDS = struct.Struct(f">{2 * POINTS_ALL}H")


class Measurements:
    """Point 0 is the milliseconds since `started_s` (wall time); the others go slowly up and down, in steps of 0.01."""

    def __init__(self, index: int, started_s: float) -> None:
        self._index = index
        self._started_s = started_s

    def read(self, table: Table, address: int, count: int, now_s: float) -> list[int] | None:
        """See `drivers.simulator.source.Source`."""
        if table not in ("holding", "input") or address + count > 2 * POINTS_ALL:
            return None
        ms = int((now_s - self._started_s) * 1000) % CLOCK_MS
        values = [float(ms), *(self._value(point, ms) for point in range(1, POINTS_ALL))]
        return list(WORDS.unpack(FORMAT.pack(*values))[address : address + count])

    def _value(self, point: int, ms: int) -> float:
        step = (ms // 100 * (point % 7 + 1) + self._index * 131 + point * 977) % WAVE
        return (20000 + 100 * point + min(step, WAVE - step)) / 100


async def serve(port: int, started_s: float) -> None:
    """Serve the devices of the reference work from `port` on. Run until cancelled."""
    devices = [SimulatedDevice(f"d{index}", 1, Measurements(index, started_s)) for index in range(DEVICES)]
    buses = [SimulatedBus(device.name, (device,), port + index) for index, device in enumerate(devices)]
    async with Farm(buses):
        await asyncio.Event().wait()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, required=True, help="of the first device; the others follow")
    parser.add_argument("--started-s", type=float, required=True, help="wall time from which point 0 counts")
    options = parser.parse_args()
    asyncio.run(serve(options.port, options.started_s))
