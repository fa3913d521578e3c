"""Floor 1: a bare pymodbus loop that reads all devices each second, and does nothing with what it reads."""

import asyncio
from argparse import ArgumentParser

from bench.floors.reading import Account, Devices, arguments, ticks


async def read_only(port: int, phase_ms: int) -> None:
    """Run until SIGTERM."""
    devices, account = Devices(port), Account()
    await devices.connect()
    async for tick_ms in ticks(phase_ms):
        await devices.read()
        account.add(tick_ms)
    devices.close()
    account.print()


if __name__ == "__main__":
    options = arguments(ArgumentParser(description=__doc__))
    asyncio.run(read_only(options.port, options.phase_ms))
