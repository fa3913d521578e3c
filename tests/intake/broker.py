"""A real mosquitto for a test."""

import asyncio
import os
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from tests.gateway.ports import free_port
from tests.needs import lacks


class Mosquitto:
    """One broker on one port, which can be ended and started again; it forgets its sessions then."""

    def __init__(self, program: str, folder: Path) -> None:
        self.port = free_port()
        self._program = program
        self._config = folder / "mosquitto.conf"
        listener = f"listener {self.port} 127.0.0.1\nallow_anonymous true\npersistence false\n"
        self._config.write_text(listener + ("user root\n" if os.getuid() == 0 else ""))
        self._process: asyncio.subprocess.Process | None = None

    async def start(self) -> None:
        self._process = await asyncio.create_subprocess_exec(
            self._program, "-c", str(self._config), stderr=asyncio.subprocess.DEVNULL
        )
        async with asyncio.timeout(10):
            while True:
                try:
                    _, writer = await asyncio.open_connection("127.0.0.1", self.port)
                except OSError:
                    await asyncio.sleep(0.01)
                else:
                    writer.close()
                    await writer.wait_closed()
                    return

    async def stop(self) -> None:
        if self._process is not None:
            self._process.terminate()
            await self._process.wait()
            self._process = None


@asynccontextmanager
async def mosquitto(folder: Path) -> AsyncIterator[Mosquitto]:
    program = shutil.which("mosquitto", path=os.environ.get("PATH", "") + ":/usr/sbin")
    if program is None:
        lacks("mosquitto", "mosquitto")
    broker = Mosquitto(program, folder)
    await broker.start()
    try:
        yield broker
    finally:
        await broker.stop()
