"""One Modbus client, ours or pymodbus's, that reads 125 registers again and again; prints CPU and time as JSON."""

import asyncio
import json
import time
from argparse import ArgumentParser
from collections.abc import Awaitable, Callable

from pymodbus.client import AsyncModbusTcpClient

from drivers.bus.channel import TcpChannel
from drivers.modbus.requests import Read
from drivers.modbus.tcp import TcpLink

WARM_UP = 200
REQUEST = Read(1, 3, 0, 125)


async def measure(kind: str, port: int, reads: int) -> dict[str, float]:
    """{"cpu_s", "elapsed_s"} of `reads` reads, one after the other."""
    read = await (_ours(port) if kind == "ours" else _pymodbus(port))
    for _ in range(WARM_UP):
        await read()
    cpu_s, elapsed_s = time.process_time(), time.perf_counter()
    for _ in range(reads):
        await read()
    return {"cpu_s": time.process_time() - cpu_s, "elapsed_s": time.perf_counter() - elapsed_s}


async def _ours(port: int) -> Callable[[], Awaitable[object]]:
    link = TcpLink(TcpChannel("127.0.0.1", port))
    return lambda: link.ask(REQUEST, 5)


async def _pymodbus(port: int) -> Callable[[], Awaitable[object]]:
    client = AsyncModbusTcpClient("127.0.0.1", port=port)
    await client.connect()
    return lambda: client.read_holding_registers(0, count=125, device_id=1)


if __name__ == "__main__":
    parser = ArgumentParser(description=__doc__)
    parser.add_argument("--kind", choices=["ours", "pymodbus"], required=True)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--reads", type=int, required=True)
    options = parser.parse_args()
    print(json.dumps(asyncio.run(measure(options.kind, options.port, options.reads))))
