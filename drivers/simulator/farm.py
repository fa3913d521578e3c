"""Simulated devices on real sockets: pymodbus's server in front of our sources."""

import asyncio
import json
import logging
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Self, TextIO, cast

from pymodbus.constants import ExcCodes
from pymodbus.exceptions import NoSuchIdException
from pymodbus.framer import FramerType
from pymodbus.server import ModbusTcpServer
from pymodbus.simulator import DataType, SimData, SimDevice
from pymodbus.simulator.simcore import SimCore

from drivers.modbus.registers import Table
from drivers.simulator.source import Source
from gateway.core.clock import Clock, SystemClock
from gateway.core.errors import ConfigError

Framing = Literal["tcp", "rtu"]
"""Modbus TCP, or RTU frames over TCP as behind a serial converter."""

HOST = "127.0.0.1"  # it has no credentials, so it answers this machine only
FRAMERS = {"tcp": FramerType.SOCKET, "rtu": FramerType.RTU}
TABLES: dict[int, Table] = {1: "coil", 2: "discrete", 3: "holding", 4: "input"}  # by function
PLACEHOLDER = SimDevice(id=1, simdata=[SimData(0, values=[0], datatype=DataType.REGISTERS)])


@dataclass(frozen=True, slots=True)
class SimulatedDevice:
    """One unit on a bus."""

    name: str
    unit_id: int
    source: Source


@dataclass(frozen=True, slots=True)
class SimulatedBus:
    """The devices behind one TCP port; port 0 takes a free one. Units that are not there stay silent."""

    name: str
    devices: tuple[SimulatedDevice, ...]
    port: int = 0
    framing: Framing = "tcp"


class Farm:
    """Serves its buses between `start` and `stop`; also an async context.

    `log` gets one JSON line for each answered read, written before the answer is sent: wall time in
    ms, device, table, address and words. Reads only: a write is answered with exception 1.
    """

    def __init__(self, buses: Iterable[SimulatedBus], *, clock: Clock | None = None, log: Path | None = None) -> None:
        self.ports: dict[str, int] = {}  # by bus, once started
        self.answered: dict[str, int] = {}  # reads, by device
        self._buses = tuple(buses)
        self._clock = clock or SystemClock()
        self._log_path = log
        self._log: TextIO | None = None
        self._servers: list[ModbusTcpServer] = []

    async def start(self) -> None:
        """Listen on all ports. Raises ConfigError where one is taken, or the log cannot be written."""
        logging.getLogger("pymodbus").setLevel(logging.CRITICAL)  # it dumps every frame around an error
        try:
            self._log = _appending(self._log_path) if self._log_path else None
            for bus in self._buses:
                await self._listen(bus)
        except ConfigError:
            await self.stop()
            raise

    async def stop(self) -> None:
        for server in self._servers:
            await server.shutdown()  # type: ignore[no-untyped-call]  # pymodbus leaves it so
        self._servers.clear()
        await asyncio.sleep(0)  # lets the transports close
        if self._log is not None:
            self._log.close()
            self._log = None

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    async def _listen(self, bus: SimulatedBus) -> None:
        server = ModbusTcpServer(
            PLACEHOLDER, framer=FRAMERS[bus.framing], address=(HOST, bus.port), ignore_missing_devices=True
        )
        # pymodbus asks a context for no more than _Units has, and its own would hold 65536 registers of each table.
        server.context = cast(SimCore, _Units(bus, self))
        try:
            await server.serve_forever(background=True)
        except RuntimeError as error:
            where = f"{HOST}:{bus.port}"
            raise ConfigError(f"bus {bus.name}: cannot listen on {where}", hint="choose a port that is free") from error
        self._servers.append(server)
        self.ports[bus.name] = cast(asyncio.Server, server.transport).sockets[0].getsockname()[1]

    def answer(self, device: SimulatedDevice, table: Table, address: int, count: int) -> list[int] | None:
        """What `device` answers now; counted and logged where it does not refuse."""
        wall_ms = self._clock.wall_ms()
        words = device.source.read(table, address, count, wall_ms / 1000)
        if words is not None:
            self.answered[device.name] = self.answered.get(device.name, 0) + 1
            if self._log is not None:
                line = {"t": wall_ms, "device": device.name, "table": table, "address": address, "words": words}
                self._log.write(json.dumps(line, separators=(",", ":")) + "\n")
        return words


def _appending(path: Path) -> TextIO:
    try:
        return path.open("a", buffering=1, encoding="utf-8")  # each line is in the file once it is written
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}") from error


class _Units:
    """The units of one bus, as pymodbus's server asks for them."""

    def __init__(self, bus: SimulatedBus, farm: Farm) -> None:
        self._devices = {device.unit_id: device for device in bus.devices}
        self._farm = farm

    def device_ids(self) -> list[int]:
        return list(self._devices)

    async def async_getValues(
        self, device_id: int, func_code: int, address: int, count: int = 1
    ) -> list[int] | list[bool] | ExcCodes:
        if device_id not in self._devices:
            raise NoSuchIdException(f"no unit {device_id}")
        if func_code not in TABLES:
            return ExcCodes.ILLEGAL_FUNCTION
        table = TABLES[func_code]
        words = self._farm.answer(self._devices[device_id], table, address, count)
        if words is None:
            return ExcCodes.ILLEGAL_ADDRESS
        return [word != 0 for word in words] if table in ("coil", "discrete") else words

    async def async_setValues(
        self, device_id: int, func_code: int, address: int, values: list[int] | list[bool]
    ) -> ExcCodes | None:
        if device_id not in self._devices:
            raise NoSuchIdException(f"no unit {device_id}")
        return ExcCodes.ILLEGAL_FUNCTION
