"""What the floors share: an aligned pymodbus loop over all devices, and an account of what it read."""

import asyncio
import json
import signal
import sys
import time
from argparse import ArgumentParser, Namespace
from collections.abc import AsyncIterator, Sequence

from pymodbus.client import AsyncModbusTcpClient

from bench.work import DEVICES, POINTS, POLL_S, REGISTERS

Registers = Sequence[int]


class Devices:
    """One pymodbus client for each device, all read in one burst."""

    def __init__(self, port: int) -> None:
        self._clients = [AsyncModbusTcpClient("127.0.0.1", port=port + index) for index in range(DEVICES)]

    async def connect(self) -> None:
        """Raises OSError where a device does not take the connection."""
        if not all(await asyncio.gather(*(client.connect() for client in self._clients))):
            raise OSError("a device of the reference work does not answer")

    async def read(self) -> list[Registers]:
        """The registers of each device, in the devices' order. Raises ModbusException, OSError."""
        answers = await asyncio.gather(
            *(client.read_holding_registers(0, count=REGISTERS, device_id=1) for client in self._clients)
        )
        if any(answer.isError() for answer in answers):
            raise OSError("a device of the reference work answered with an exception")
        return [answer.registers for answer in answers]

    def close(self) -> None:
        for client in self._clients:
            client.close()


class Account:
    """When how many readings were taken; printed once at the end, so that counting costs the floor nothing."""

    def __init__(self) -> None:
        self._ticks: list[tuple[int, int]] = []

    def add(self, tick_ms: int) -> None:
        self._ticks.append((tick_ms, DEVICES * POINTS))

    def print(self) -> None:
        json.dump({"ticks": self._ticks}, sys.stdout)


async def ticks(phase_ms: int) -> AsyncIterator[int]:
    """Each instant of the grid, in wall milliseconds, as it comes; ends on SIGTERM.

    The grid is every whole `POLL_S` plus `phase_ms`; an instant that was missed is left out.
    """
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    every_ms = 1000 * POLL_S
    due_ms = 0
    while not stop.is_set():
        now_ms = time.time_ns() // 1_000_000
        due_ms = max(due_ms, (now_ms - phase_ms) // every_ms * every_ms + phase_ms) + every_ms
        try:
            await asyncio.wait_for(stop.wait(), (due_ms - now_ms) / 1000)
        except TimeoutError:
            yield due_ms


def arguments(parser: ArgumentParser) -> Namespace:
    """The command line, with what every floor takes added to `parser`."""
    parser.add_argument("--port", type=int, required=True, help="of the first device; the others follow")
    parser.add_argument("--phase-ms", type=int, default=0, help="after each whole second")
    return parser.parse_args()
